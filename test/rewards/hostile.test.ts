import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { coverage, gate, product, reward, route, score, sum } from "../../src/rewards/index.ts";
import { placeOf } from "../../src/rewards/place.ts";
import { processorTime } from "../kit/crowding.ts";

// Graders that break promises, and rows that are not what they are said to be: no grade may be invented, lost or given to another row.
const row = { prompt: "p", completion: "c" };
const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test("a deadline longer than a timer can wait is no deadline", async () => {
  const slow = reward("slow", () => wait(30).then(() => 1));
  expect(await score(slow, row, { timeoutMs: 3e9 })).toEqual({ value: 1 });
});

test("a promise of another kind is waited for", async () => {
  // oxlint-disable-next-line unicorn/no-thenable -- that is what graders give who use another library's promises
  const deferred = { then: (take: (grade: number) => void) => take(0.5) };
  const foreign = reward("foreign", () => deferred as unknown as Promise<number>);
  expect(await score(foreign, row)).toEqual({ value: 0.5 });
});

test("a score that cannot be read is unscorable, and the other rows keep theirs", async () => {
  const trap = {
    get value(): number {
      throw new Error("not decoded");
    },
  };
  const sometimes = reward("sometimes", ({ text }) => (text === "bad" ? trap : 1));
  const scores = await score(sometimes, [row, { ...row, completion: "bad" }, row]);
  expect(scores.map(({ value }) => value)).toEqual([1, null, 1]);
  expect(scores[1].error?.message).toMatch(/threw at .*hostile\.test\.ts:\d+: not decoded$/);
});

test("a score is a copy: a grader may reuse its own object", async () => {
  const shared = { value: 0, parts: { length: 0 }, steps: [0] };
  const reusing = reward("reusing", ({ text }) => {
    shared.value = shared.parts.length = shared.steps[0] = text.length;
    return shared;
  });
  const scores = await score(reusing, [row, { ...row, completion: "four" }]);
  expect(scores).toEqual([
    { value: 1, parts: { length: 1 }, steps: [1] },
    { value: 4, parts: { length: 4 }, steps: [4] },
  ]);
});

test("scores of steps are copies too, and one that cannot be read costs its row only", async () => {
  const shared = [0, 0];
  const reusing = reward.steps("reusing", ({ steps, text }) => {
    if (text === "bad") return Object.defineProperty([1, 1], 1, { get: () => expect.unreachable("not decoded") });
    shared.fill(steps[0]!.length);
    return shared;
  });
  const of = (step: string, completion = step) => ({ prompt: "p", completion, steps: [step, step] });
  const scores = await score(reusing, [of("a"), of("b", "bad"), of("four")]);
  expect(scores.map(({ steps }) => steps)).toEqual([[1, 1], undefined, [4, 4]]);
  expect(scores[1].error?.kind).toBe("threw");
});

test("what is thrown is quoted in short, quickly, and its text is not taken for a place", async () => {
  const long = reward("long", () => {
    throw new Error(" /".repeat(500_000));
  });
  const took = await processorTime(async () => expect((await score(long, row)).error?.message.length).toBeLessThan(700));
  expect(took).toBeLessThan(500);
  const quoting = new Error("the model wrote:\n    at answer (/etc/hosts:1:2)");
  expect(placeOf(quoting)).toMatch(/hostile\.test\.ts:\d+$/);
  quoting.message = "changed since";
  expect(placeOf(quoting)).not.toBeNull();
});

test("parts of one name are refused instead of hiding each other", () => {
  const one = reward("one", () => 1);
  expect(() => sum({ "a/b": one, a: sum({ b: one }) })).toThrow(/two parts would be called "a\/b"/);
  expect(() => sum({ one }, { weights: { toString: 1 } as {} })).toThrow(/weight for "toString"/);
  expect(() => product({ "a/b": one, a: sum({ b: one }) })).toThrow(/product: two parts would be called "a\/b"/);
  expect(() => route("kind", { "a/b": one, a: sum({ b: one }) })).toThrow(/route: two parts would be called "a\/b"/);
});

test("rows whose group is uncertain are refused, not thrown together", async () => {
  const rank = reward.group("rank", (answers) => answers.map(() => answers.length));
  const of = (group: unknown) => ({ ...row, group });
  await expect(score(rank, [of(new Map([[1, 1]])), of(new Map())])).rejects.toThrow(/group of row 1 must be text or a number, not \{\}/);
  await expect(score(rank, [of(1), of(Number.NaN)])).rejects.toThrow(/group of row 2 must be text or a number, not NaN/);
  await expect(score(rank, [{ completion: "c" } as typeof row])).rejects.toThrow(/row 1 has neither a group nor a prompt/);
  // Databases give big integers; a number is not the text that looks like it.
  const groups = [of(1), of(1n), of("1"), of(null), row, { ...row, prompt: "1" }];
  expect((await score(rank, groups)).map(({ value }) => value)).toEqual([2, 2, 1, 2, 2, 1]);
  expect(
    (
      await score(
        reward("any", () => true),
        of(new Map()),
      )
    ).value,
  ).toBe(1);
});

test("a row of a file whose group is uncertain is named with its place", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "guerdon-hostile-")), "answers.jsonl");
  onTestFinished(() => rmSync(dirname(path), { recursive: true }));
  writeFileSync(
    path,
    [
      { ...row, group: 1 },
      { ...row, group: { of: 1 } },
    ]
      .map((one) => JSON.stringify(one))
      .join("\n"),
  );
  const rank = reward.group("rank", (answers) => answers.map(() => answers.length));
  await expect(score(rank, path)).rejects.toThrow(/The group of .*answers\.jsonl row 2 must be text or a number, not \{"of":1\}/);
  expect(
    (
      await score(
        reward("any", () => 1),
        path,
      )
    ).length,
  ).toBe(2);
});

test("a reward of batches behind a gate is asked about what passes only", async () => {
  let asked = 0;
  const many = reward.batch("many", (answers) => answers.map(() => ++asked));
  const rows = ["no", "yes", "no"].map((completion) => ({ prompt: "p", completion }));
  const scores = await score(
    gate(
      reward("yes", ({ text }) => text === "yes"),
      many,
    ),
    rows,
  );
  expect(scores.map(({ value }) => value)).toEqual([0, 1, 0]);
  expect(asked).toBe(1);
});

test("nothing is paid for when a later row in memory is no row", async () => {
  let calls = 0;
  await expect(
    score(
      reward("counting", () => ++calls),
      [row, row, undefined as unknown as typeof row],
    ),
  ).rejects.toThrow(/row 3/);
  expect(calls).toBe(0);
});

test("a row that is no object is refused by its number", async () => {
  const any = reward("any", () => 1);
  await expect(score(any, [row, null as unknown as typeof row])).rejects.toMatchObject({ code: "input" });
  await expect(score(any, 3 as unknown as typeof row)).rejects.toThrow(/row 1 is 3/);
  expect((await score(any, { ...row, completion: [null] as unknown as [] })).error?.kind).toBe("wrong-column");
});

test("synchronous parts of a reward of batches leave others their turn, and an abort stops them", async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 10);
  const busy = reward("busy", () => {
    for (const end = performance.now() + 2; performance.now() < end;);
    return 1;
  });
  const both = sum({ busy, many: reward.batch("many", (answers) => answers.map(() => 1)) });
  const rows = Array.from({ length: 500 }, () => row);
  expect(coverage(await score(both, rows, { signal: controller.signal })).reasons.aborted).toBe(500);
});

test("an observer that throws ends the scoring: no further grades are asked for", async () => {
  let calls = 0;
  const counting = reward("counting", async () => {
    await wait(1);
    return ++calls;
  });
  const onProgress = () => {
    throw new Error("the screen is gone");
  };
  const rows = Array.from({ length: 100 }, () => row);
  await expect(score(counting, rows, { onProgress, concurrency: 2 })).rejects.toThrow("the screen is gone");
  await wait(50);
  expect(calls).toBeLessThan(10);
  await expect(score.stream(counting, rows, { onProgress, concurrency: 2 }).next()).rejects.toThrow("the screen is gone");
});

test("many rows keep their order", async () => {
  const length = reward("length", ({ text }) => Number(text));
  const even = reward.batch("even", { size: 1000 }, (answers) => answers.map(({ text }) => Number(text) % 2 === 0));
  const rows = Array.from({ length: 3e4 }, (_, i) => ({ prompt: "p", completion: String(i) }));
  const scores = await score(sum({ length, even }), rows);
  expect(scores.every(({ value }, i) => value === i + (i % 2 === 0 ? 1 : 0))).toBe(true);
});
