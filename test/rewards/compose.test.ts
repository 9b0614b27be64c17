import { expect, test, vi } from "vitest";
import { z } from "zod";
import { gate, reward, score, sum, type Score } from "../../src/rewards/index.ts";

const constant = (name: string, value: number | boolean | null) => reward(name, () => value);
const row = { prompt: "p", completion: "x", reference: "x" };
const correct = reward("exact", { columns: z.object({ reference: z.string() }) }, ({ text, reference }) => text === reference);

test("a sum weighs its named parts and keeps them unweighted", async () => {
  const both = sum({ correct, brief: constant("b", 1) }, { weights: { brief: 0.1 } });
  expect(await score(both, row)).toEqual({ value: 1.1, parts: { correct: 1, brief: 1 } });
  expect(both.parts).toEqual(["correct", "brief"]);
  expect(both.name).toBe("sum(correct, brief)");
});

test("an unscorable part makes a sum unscorable, unless it may be skipped; then it is visible", async () => {
  const parts = { a: constant("a", 2), b: constant("b", null) };
  expect(await score(sum(parts), row)).toEqual({
    value: null,
    parts: { a: 2, b: null },
    error: { kind: "declined", message: 'The part "b": The reward "b" could not say (null).' },
  });
  // Skipping never renormalises.
  expect(await score(sum(parts, { weights: { a: 0.5, b: 0.5 }, missing: "skip" }), row)).toEqual({ value: 1, parts: { a: 2, b: null } });
  const nothing = sum({ a: constant("a", null) }, { missing: "skip" });
  expect((await score(nothing, row)).value).toBeNull();
});

test("a part that scored nothing is reported", async () => {
  const said: string[] = [];
  const routed = sum({ math: constant("m", 1), code: constant("c", null) }, { missing: "skip" });
  await score(routed, [row, row], { onWarning: (sentence) => said.push(sentence) });
  expect(said).toEqual(['The part "code" of the reward "sum(math, code)" scored nothing in 2 rows.']);
});

test("sums nest, with the parts of parts below them", async () => {
  const inner = sum({ a: constant("a", 1), b: constant("b", 2) });
  const outer = sum({ inner, c: constant("c", 3) }, { weights: { inner: 10 } });
  expect(await score(outer, row)).toEqual({ value: 33, parts: { inner: 3, "inner/a": 1, "inner/b": 2, c: 3 } });
  expect(outer.parts).toEqual(["inner", "inner/a", "inner/b", "c"]);
});

test("a gate asks its reward only where the condition holds", async () => {
  const asked = vi.fn(() => 0.7);
  const gated = gate(
    reward("think-tags", ({ text }) => text.startsWith("<think>")),
    reward("inner", asked),
    { otherwise: -1 },
  );
  const rows = ["<think>", "no"].map((completion) => ({ prompt: "p", completion }));
  expect(await score(gated, rows)).toEqual([
    { value: 0.7, parts: { "think-tags": 1, inner: 0.7 } },
    { value: -1, parts: { "think-tags": 0 } },
  ]);
  expect(asked).toHaveBeenCalledTimes(1);
});

test("the example of the README: a gate before a sum", async () => {
  const tags = reward("think-tags", ({ text }) => /^<think>.*<\/think>/s.test(text));
  const boxed = reward("boxed", { columns: z.object({ reference: z.string() }) }, ({ text, reference }) =>
    text.includes(`\\boxed{${reference}}`),
  );
  const brief = reward("brief", ({ text }) => text.length < 400);
  const quality = gate(tags, sum({ correct: boxed, brief }, { weights: { brief: 0.1 } }));
  const [s] = await score(quality, [{ prompt: "What is 6 x 7?", completion: "<think>6 sevens</think> \\boxed{42}", reference: "42" }]);
  expect(s).toEqual({ value: 1.1, parts: { "think-tags": 1, correct: 1, brief: 1 } });
});

test("an unscorable condition or inner reward makes a gate unscorable", async () => {
  expect(await score(gate(constant("c", null), constant("r", 1)), row)).toEqual({
    value: null,
    parts: { c: null },
    error: { kind: "declined", message: 'The condition "c": The reward "c" could not say (null).' },
  });
  expect(await score(gate(constant("c", 1), constant("r", null)), row)).toEqual({
    value: null,
    parts: { c: 1, r: null },
    error: { kind: "declined", message: 'The reward "r" could not say (null).' },
  });
});

test("group and batch rewards keep what they need inside compositions", async () => {
  const seen: number[] = [];
  const rank = reward.group("rank", (answers) => {
    seen.push(answers.length);
    return answers.map(({ text }) => text.length);
  });
  const long = reward("long", ({ text }) => text.length > 1);
  const rows = ["a", "bb", "ccc"].map((completion) => ({ prompt: "p", completion })).concat([{ prompt: "q", completion: "d" }]);
  const scores = await score(gate(long, sum({ rank, one: constant("one", 1) })), rows);
  // All three answers to "p" are compared although one of them fails the gate; "q" is not asked at all.
  expect(seen).toEqual([3]);
  expect(scores.map(({ value }) => value)).toEqual([0, 3, 4, 0]);
  const batch = reward.batch("batch", (answers) => answers.map(() => answers.length));
  // A part that needs whole groups makes the batches of its siblings groups.
  expect((await score(sum({ rank, batch }), rows)).map(({ value }) => value)).toEqual([4, 5, 6, 2]);
});

test("notes are kept and named; a sum that overflows is not a grade", async () => {
  const noted = (value: number): Score => ({ value, note: `got ${value}` });
  const both = sum({ a: reward("a", () => noted(1)), b: reward("b", () => noted(2)) });
  expect((await score(both, row)).note).toBe("a: got 1; b: got 2");
  const huge = sum({ a: constant("a", 1e308), b: constant("b", 1e308) });
  expect((await score(huge, row)).error!.kind).toBe("not-finite");
});

test("mistakes in a composition are found when it is made", () => {
  expect(() => sum({})).toThrow(/at least one part/);
  // @ts-expect-error a weight for a part that does not exist
  expect(() => sum({ a: correct }, { weights: { b: 1 } })).toThrow(/there is a weight for "b", but the parts are a/);
  expect(() => sum({ a: correct }, { weights: { a: Number.NaN } })).toThrow(/finite number, not NaN/);
  expect(() => gate(correct, correct)).toThrow(/both have a part "exact"/);
  expect(() => gate(correct, constant("c", 1), { otherwise: Infinity })).toThrow(/otherwise/);
});

test("a version changes with weights, parts and options", () => {
  const versions = [
    sum({ correct }),
    sum({ correct }, { weights: { correct: 2 } }),
    sum({ other: correct }),
    sum({ correct: reward("exact", { version: "2" }, () => 1) }),
    gate(correct, constant("c", 1)),
    gate(correct, constant("c", 1), { otherwise: 1 }),
  ].map(({ version }) => version);
  expect(new Set(versions).size).toBe(versions.length);
});
