import fc from "fast-check";
import { expect, test } from "vitest";
import { averagePrecision, ndcg, rankingMatch, reciprocalRank, reordering, reorderingMatch, score } from "../../../src/rewards/index.ts";

test("nDCG with grades: gains 2^grade - 1, the ideal ranking holds all gold", () => {
  const grades = { a: 3, b: 2, c: 1 };
  const ideal = 7 + 3 / Math.log2(3) + 1 / 2;
  expect(ndcg(["a", "b", "c"], grades)).toBe(1);
  expect(ndcg(["b", "a", "x", "c"], grades)).toBeCloseTo((3 + 7 / Math.log2(3) + 1 / Math.log2(5)) / ideal, 12);
  expect(ndcg(["a"], grades)).toBeCloseTo(7 / ideal, 12);
  expect(ndcg(["a"], grades, 1)).toBe(1);
  expect(ndcg([], grades)).toBe(0);
  // Repeating the best id earns nothing.
  expect(ndcg(["a", "a", "a"], grades)).toBeCloseTo(7 / ideal, 12);
});

test("reciprocal rank and average precision", () => {
  expect([reciprocalRank(["x", "a"], ["a"]), reciprocalRank(["x"], ["a"]), reciprocalRank(["x", "a"], ["a"], 1)]).toEqual([0.5, 0, 0]);
  expect(averagePrecision(["a", "x", "b"], ["a", "b"])).toBeCloseTo((1 + 2 / 3) / 2, 12);
  expect(averagePrecision(["a", "x"], ["a", "b"])).toBe(0.5);
  expect(averagePrecision(["a", "x"], ["a", "b"], 1)).toBe(1);
});

test("where nothing is relevant nobody can say", async () => {
  expect([ndcg(["a"], []), ndcg(["a"], { a: 0 }), reciprocalRank(["a"], []), averagePrecision(["a"], {})]).toEqual([
    null,
    null,
    null,
    null,
  ]);
  expect((await score(rankingMatch(), { prompt: "p", completion: "a", relevant: [] })).error!.kind).toBe("declined");
  expect((await score(rankingMatch(), { prompt: "p", completion: "a", relevant: { a: -1 } })).error!.kind).toBe("wrong-column");
  expect(() => rankingMatch({ at: 0 })).toThrow(/at least 1/);
});

test("rankings are read from JSON or lines", async () => {
  const relevant = ["b"];
  const completions = ['["a", "b"]', "1. a\n2. b", "- a\n- b\n"];
  const scores = await score(
    rankingMatch({ by: "reciprocal-rank" }),
    completions.map((completion) => ({ prompt: "p", completion, relevant })),
  );
  expect(scores.map(({ value }) => value)).toEqual([0.5, 0.5, 0.5]);
});

test("reordering: Temporal-RLT's known answer", async () => {
  const order = [0, 1, 2, 3, 4, 5, 6, 7];
  expect(reordering([0, 1, 2, 3, 4, 5, 7, 6], order)).toEqual({ isPermutation: true, inOrder: 0.875 });
  const one = (completion: string) => score(reorderingMatch(), { prompt: "p", completion, order });
  expect(await one("The order is [0, 1, 2, 3, 4, 5, 7, 6].")).toEqual({
    value: 0.9375,
    parts: { format: 1, permutation: 1, order: 0.875 },
  });
  expect((await one("[0, 1, 2, 3, 4, 5, 6, 6]")).parts).toEqual({ format: 1, permutation: 0, order: 0.875 });
  expect((await one("no idea")).value).toBe(0);
  expect((await score(reorderingMatch(), { prompt: "p", completion: "[]", order: [1, 1] })).error!.message).toMatch(/twice/);
});

test("rankings are worth 0 to 1, the ideal one 1", () => {
  const ids = fc.array(fc.constantFrom("a", "b", "c", "d", "e"), { maxLength: 7 });
  const gold = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d"), { minLength: 1 });
  fc.assert(
    fc.property(ids, gold, fc.integer({ min: 1, max: 6 }), (ranking, relevant, at) => {
      for (const f of [ndcg, reciprocalRank, averagePrecision]) {
        for (const k of [at, Infinity]) {
          expect(f(ranking, relevant, k)).toBeGreaterThanOrEqual(0);
          expect(f(ranking, relevant, k)).toBeLessThanOrEqual(1);
          expect(f(relevant, relevant, k)).toBeCloseTo(1, 12);
        }
      }
    }),
    { seed: 1 },
  );
});
