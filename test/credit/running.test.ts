import { expect, test } from "vitest";
import { runningClip, runningMinmax, runningStandardise } from "../../src/credit/index.ts";

const first = Float64Array.of(1, 2, 3, 6);
const second = Float64Array.of(-4, 4);

test("mean and deviation of all rewards so far, the new ones among them", () => {
  const transform = runningStandardise();
  // mean 3, population deviation sqrt(3.5)
  expect([...transform.apply(first)].map((x) => x * Math.sqrt(3.5))).toEqual([-2, -1, 0, 3].map((x) => expect.closeTo(x, 12)));
  // of 1, 2, 3, 6, -4, 4: mean 2, deviation sqrt(58 / 6)
  expect([...transform.apply(second)].map((x) => x * Math.sqrt(58 / 6))).toEqual([-6, 2].map((x) => expect.closeTo(x, 12)));
  expect([...runningStandardise().apply(Float64Array.of(5, 5))]).toEqual([0, 0]);
});

test("clip: within one deviation of the running mean", () => {
  const s = Math.sqrt(3.5);
  expect([...runningClip().apply(first)]).toEqual([3 - s, 2, 3, 3 + s].map((x) => expect.closeTo(x, 12)));
});

test("minimum and maximum of all rewards so far", () => {
  const transform = runningMinmax();
  expect([...transform.apply(first)]).toEqual([0, 0.2, 0.4, 1]);
  expect([...transform.apply(second)]).toEqual([0, 0.8]);
  expect([...runningMinmax().apply(Float64Array.of(5, 5))]).toEqual([0, 0]);
});

test("what they remember survives JSON bit by bit, and is not another one's", async () => {
  for (const make of [runningStandardise, runningClip, runningMinmax]) {
    const whole = make();
    const half = make();
    whole.apply(first);
    half.apply(first);
    const resumed = make();
    await resumed.state.restore(JSON.parse(JSON.stringify(await half.state.snapshot())) as Awaited<ReturnType<typeof half.state.snapshot>>);
    expect(resumed.apply(second)).toEqual(whole.apply(second));
    const fresh = make();
    await fresh.state.restore(await make().state.snapshot());
    expect(fresh.apply(first)).toEqual(make().apply(first));
  }
  await expect(runningClip().state.restore(await runningMinmax().state.snapshot())).rejects.toThrow(/"running minimum and maximum"/);
  expect(() => runningClip().apply(Float64Array.of(1, Number.NaN))).toThrow(/row 1 is NaN/);
});
