import { describe, expect, test } from "vitest";
import { cosineRestarts, finished, progress, rampAt, schedule, start, valueAt, type At } from "../../src/training/schedule.ts";

const at = (inPhase: number, seconds = 0): At => ({ ...start, inPhase, signals: { seconds } });
const rate = { peak: 1, up: 4, floor: 0.1, shape: "linear" } as const;

test("up in equal steps to the peak, then down along a line to the floor", () => {
  const value = schedule(rate, { steps: 14 });
  const values = Array.from({ length: 15 }, (_, i) => valueAt(value, at(i)));
  [0.25, 0.5, 0.75, 1, 1, 0.91, 0.82].forEach((v, i) => expect(values[i]).toBeCloseTo(v, 12));
  expect(values[13]).toBeCloseTo(0.19, 12);
  expect(values[14]).toBeCloseTo(0.1, 12);
});

test("along a cosine the middle is half way", () => {
  const value = schedule({ ...rate, up: 0, shape: "cosine" }, { steps: 10 });
  expect(valueAt(value, at(0))).toBe(1);
  expect(valueAt(value, at(5))).toBeCloseTo(0.55, 12);
  expect(valueAt(value, at(10))).toBeCloseTo(0.1, 12);
});

test("a phase measured in seconds falls with its seconds", () => {
  const value = schedule(rate, { seconds: 100 });
  expect(valueAt(value, at(2, 50))).toBe(0.75);
  expect(valueAt(value, at(30, 50))).toBeCloseTo(0.55, 12);
  expect(valueAt(value, at(90, 120))).toBeCloseTo(0.1, 12);
});

test("numbers are constant", () => expect(valueAt(schedule(3e-4, { steps: 5 }), at(4))).toBe(3e-4));

test("up once, then down along a cosine again and again", () => {
  const value = cosineRestarts({ steps: 150, up: 30, cycles: 3, peak: 0.6, floor: 0 });
  const values: readonly (readonly [number, number])[] = [
    [0, 0],
    [15, 0.3],
    [30, 0.6],
    [50, 0.3],
    [70, 0.6],
    [90, 0.3],
    [110, 0.6],
    [150, 0],
    [900, 0],
  ];
  for (const [step, want] of values) expect(valueAt(value, at(step))).toBeCloseTo(want, 12);
  expect(() => cosineRestarts({ steps: 10, up: 10, cycles: 1, peak: 1, floor: 0 })).toThrow(/do not fit/);
});

test("a ramp goes along a line; a number stays", () => {
  expect([0, 0.5, 1].map((past) => rampAt({ from: 0.25, to: 1 }, past))).toEqual([0.25, 0.625, 1]);
  expect(rampAt(0.3, 0.7)).toBe(0.3);
});

describe("progress and end", () => {
  test.each([
    [{ steps: 10 }, at(0), 0, false],
    [{ steps: 10 }, at(5), 0.5, false],
    [{ steps: 10 }, at(10), 1, true],
    [{ steps: 0 }, at(0), 0, true],
    [{ seconds: 4 }, at(1000, 1), 0.25, false],
    [{ seconds: 4 }, at(1, 4.5), 1, true],
  ])("%o %#", (budget, place, share, over) => {
    expect(progress(budget, place)).toBe(share);
    expect(finished(budget, place)).toBe(over);
  });
});
