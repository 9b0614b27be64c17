import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { examples, highestRows, mostVaried, randomRows, reweight, rowMeans, topCells, withRecorded } from "../../src/credit/index.ts";
import { d3s, paper } from "../../src/papers/d3s.ts";
import { stream } from "../../src/statistics/index.ts";
import { rollout, scored } from "../credit/fixtures.ts";
import { all, environment, small, withEngine } from "../training/tiny.ts";

const advantage = Float64Array.of(2, 1, 0.5, 0, -0.2, -0.4, -1.5, 0.9);
const one = new Int32Array(8);
const variance = (x: readonly number[]): number => {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  return x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length;
};

describe("the card's known answers", () => {
  test("of eight advantages, the four that vary most", () => {
    const chosen = Array.from(mostVaried(advantage, one, 4), (i) => advantage[i]!);
    expect(chosen).toEqual([2, 1, -0.4, -1.5]);
    expect(variance(chosen)).toBeCloseTo(1.776875, 12);
    expect(variance([...advantage])).toBeCloseTo(0.98109375, 12);
  });

  test("the variance of the k largest with the 4 - k smallest", () => {
    const ascending = [...advantage].sort((a, b) => a - b);
    const by = [0, 1, 2, 3, 4].map((k) => variance([...ascending.slice(0, 4 - k), ...ascending.slice(8 - k)]));
    [0.336875, 1.611875, 1.776875, 1.655, 0.305].forEach((want, k) => expect(by[k]).toBeCloseTo(want, 12));
  });
});

test("no other subset varies more", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 2, maxLength: 9 }), fc.integer({ min: 1, max: 9 }), (x, count) => {
      const n = Math.min(count, x.length);
      const chosen = mostVaried(Float64Array.from(x), new Int32Array(x.length), n);
      expect(new Set(chosen).size).toBe(n);
      let best = 0;
      for (let bits = 0; bits < 2 ** x.length; bits++) {
        const subset = x.filter((_, i) => (bits >> i) & 1);
        if (subset.length === n) best = Math.max(best, variance(subset));
      }
      expect(variance(Array.from(chosen, (i) => x[i]!))).toBeCloseTo(best, 9);
    }),
    { seed: 1 },
  );
});

test("right and wrong answers: as many of each as there are", () => {
  const rewards = Float64Array.of(1, 0, 0, 0, 0, 0, 0, 0);
  expect(Array.from(mostVaried(rewards, one, 4), (i) => rewards[i]!).toSorted((a, b) => a - b)).toEqual([0, 0, 0, 1]);
  const groups = Int32Array.of(0, 0, 0, 0, 1, 1, 1, 1);
  expect([...mostVaried(Float64Array.of(1, 0, 0, 1, 5, 6, 7, 9), groups, 2)]).toEqual([1, 3, 4, 7]);
  expect([...highestRows(Float64Array.of(1, 0, 0, 1, 5, 6, 7, 9), groups, 2)]).toEqual([0, 3, 6, 7]);
  expect([...randomRows(groups, 2, stream(1, "rows"))].map((row) => groups[row])).toEqual([0, 0, 1, 1]);
  expect(() => mostVaried(rewards, one, 0)).toThrow(/at least 1/);
});

test("tokens: the top share of the unmasked cells by their score, and means of rows", () => {
  const made = examples(scored([{ reward: 1, mask: [1, 0, 1, 1] }, { reward: 0 }]), { advantage: Float64Array.of(1, -2) });
  const weights = topCells(made, [1, 9, 3, 2, 6, 5, 4], 0.5);
  expect([...weights]).toEqual([0, 0, 0, 0, 1, 1, 1]);
  expect([...topCells(made, [1, 9, 1, 1, 1, 1, 1], 1)]).toEqual([1, 0, 1, 1, 1, 1, 1]);
  expect([...topCells(made, [1, 9, 1, 1, 1, 1, 1], 1e-6)]).toEqual([1, 0, 0, 0, 0, 0, 0]);
  expect([...reweight(made, weights).mask]).toEqual([0, 0, 0, 0, 1, 1, 1]);
  expect([...rowMeans(made, made.token["advantage"]!)]).toEqual([1, -2]);
  expect(() => topCells(made, [1], 0.5)).toThrow(/1 scores for 7 cells/);
});

/** Eight answers of three tokens to one task; the middle token is the uncertain one. */
const table = () => ({
  ...scored([...advantage].map((reward) => ({ reward }))),
  rollouts: [...advantage].map((reward, i) => ({ ...rollout({ reward }, i), recorded: { entropy: Float32Array.of(0.1, 1, 0.2) } })),
});

test("advantages stay those of all answers, and the selection relaxes as training goes on", () => {
  const method = d3s({ groupSize: 8, answers: { from: 0.5, to: 1 }, tokens: { from: 1 / 3, to: 1 } });
  const at = { step: 0, phase: 0, inPhase: 0, signals: {} };
  const context = (progress: number) => ({ rng: stream(1, "credit"), at, progress });
  const begin = method.credit(table(), context(0))!;
  const whole = method.credit(table(), context(1))!;
  expect([begin.rows.length, whole.rows.length]).toEqual([4, 8]);
  expect([begin.mask.reduce((a, b) => a + b), whole.mask.reduce((a, b) => a + b)]).toEqual([4, 24]);
  for (const [cell, weight] of begin.mask.entries()) if (weight === 1) expect(begin.token["entropy"]![cell]).toBe(1);
  expect(begin.token["advantage"]![0]).toBe(whole.token["advantage"]![0]);
  expect(() => withRecorded(scored([{ reward: 1 }]), "entropy")).toThrow(/no recorded "entropy"/);
});

test("of the whole batch: a group without differences gives nothing to those that have some", () => {
  const at = { step: 0, phase: 0, inPhase: 0, signals: {} };
  const rows = [1, 0, 0, 0, 1, 1, 1, 1].map((reward, i) => ({ reward, group: Math.floor(i / 4) }));
  const plain = scored(rows);
  const batch = { ...plain, rollouts: plain.rollouts.map((one) => ({ ...one, recorded: { entropy: Float32Array.of(1, 1, 1) } })) };
  const kept = (within: "group" | "batch") =>
    d3s({ groupSize: 4, within, answers: 0.5, tokens: 1 }).credit(batch, { rng: stream(1, "credit"), at, progress: 0 })!.tasks;
  expect(kept("group")).toEqual(["task 0", "task 0", "task 1", "task 1"]);
  expect(kept("batch")).toEqual(["task 0", "task 0", "task 0", "task 0"]);
});

test("GRPO as verl has it, from a quarter of the answers and a fifth of their tokens; never fewer than two answers", () => {
  expect(d3s().settings).toMatchObject({ answers: { from: 0.25, to: 1 }, tokens: { from: 0.2, to: 1 }, within: "group" });
  expect(d3s().settings).toMatchObject({ scale: { ddof: 1, epsilon: 1e-6 }, aggregation: "token-mean", divisor: null });
  const at = { step: 0, phase: 0, inPhase: 0, signals: {} };
  const made = d3s({ groupSize: 8, answers: 0.01, tokens: 1 }).credit(table(), { rng: stream(1, "credit"), at, progress: 0 })!;
  expect(Array.from(made.rows, ({ actions }) => Math.floor(actions[0]! / 10))).toEqual([0, 6]);
});

test("the arms at a small size", async () => {
  const of = async (arm: string) => (await paper.claim.arms[arm]!(0)) as Readonly<Record<string, number>>;
  const [varied, random] = [await of("mostVaried"), await of("random")];
  expect(varied["steps"]! / random["steps"]!).toBeLessThan(0.6);
  expect(varied["norm"]! / random["norm"]!).toBeGreaterThan(1.5);
  const [chosen, byChance] = [await of("chosenTokens"), await of("randomTokens")];
  expect(chosen["steps"]! / byChance["steps"]!).toBeLessThan(0.4);
  expect(chosen["tokens"]).toBe(192);
  expect(chosen["deciding"]).toBeGreaterThan(0.5);
});

test.each([["by group"], ["over the batch, as GSPO"]])("it trains a language model: %s", (which) =>
  withEngine(async (engine) => {
    expect(paper.method!({ environment }).name).toBe("D3S");
    const method = d3s({ groupSize: 4, ...(which === "by group" ? {} : { within: "batch", ratio: "sequence" }) });
    const reports = await all({ ...small, engine, method, steps: 3 });
    const trained = reports.map((report) => report.rollouts!.drawn.filter(({ advantage: a }) => a !== null).length);
    for (const report of reports) expect(report.gradientNorm).toBeGreaterThan(0);
    expect(trained[0]).toBeLessThan(9);
    expect(trained[2]).toBeGreaterThan(trained[0]!);
  }),
);
