import { describe, expect, test } from "vitest";
import { difference, largest, mean, median, ratio, sampleMean, share, smallest } from "../../src/papers/index.ts";
import type { Estimate } from "../../src/papers/index.ts";
import { stream } from "../../src/statistics/index.ts";
import { columns } from "./kit.ts";

const of = (estimate: Estimate, results: ReturnType<typeof columns>) => estimate.of(results, stream(0, "test"));

describe("estimates", () => {
  const results = columns({ a: [1, 2, 3, 4, 5], b: [2, 3, 5, 4, 6] });

  test("mean: Student's interval and test", () => {
    // 3 +- 2.776445 * 1.581139 / sqrt(5)
    expect(of(mean("a", "x"), results)).toMatchObject({ estimate: 3, n: 5, level: 0.95 });
    expect(of(mean("a", "x"), results).low).toBeCloseTo(1.03676, 5);
    expect(of(mean("a", "x"), results).high).toBeCloseTo(4.96324, 5);
    // t = (3 - 1) / 0.707107 = 2.828427 with 4 degrees of freedom: R's pt(-2.828427, 4)
    expect(mean("a", "x").p!(results, "above", 1)).toBeCloseTo(0.02371, 5);
    expect(mean("a", "x").p!(results, "below", 1)).toBeCloseTo(1 - 0.02371, 5);
  });

  test("share: Wilson's interval, exact test", () => {
    const values = columns({ a: [1, 1, 1, 1, 0, 1, 1, 1, 0, 1] });
    const solved = share("a", ({ x }) => x === 1);
    expect(of(solved, values).estimate).toBe(0.8);
    expect(of(solved, values).low).toBeCloseTo(0.490162, 5);
    expect(of(solved, values).high).toBeCloseTo(0.943318, 5);
    // (45 + 10 + 1) / 1024
    expect(solved.p!(values, "above", 0.5)).toBeCloseTo(0.0546875, 12);
  });

  test("difference: paired", () => {
    // Differences 1, 1, 2, 0, 1: mean 1, deviation 0.707107, half width 2.776445 * 0.316228.
    const interval = of(difference("b", "a", "x"), results);
    expect(interval.estimate).toBe(1);
    expect(interval.low).toBeCloseTo(1 - 0.877989, 5);
    // t = 1 / 0.316228 with 4 degrees of freedom: 1/2 - 3/8 * 1.690309 * (1 - 10 / 42).
    expect(difference("b", "a", "x").p!(results, "above", 0)).toBeCloseTo(0.017055, 5);
  });

  test("ratio: at the ends of the interval the p-value is that of its level", () => {
    const estimate = ratio("b", "a", "x");
    const { low, high, estimate: middle } = of(estimate, results);
    expect(middle).toBeCloseTo(20 / 15, 12);
    expect(estimate.p!(results, "above", low)).toBeCloseTo(0.025, 9);
    expect(estimate.p!(results, "below", high)).toBeCloseTo(0.025, 9);
    expect(estimate.arms).toEqual(["b", "a"]);
  });

  test("median: the bootstrap's ends are observations or between two, the test is the sign test", () => {
    const values = columns({ a: [5, 6, 7, 8, 9, 10, 11, 12, 13, 100] });
    const { estimate, low, high } = of(median("a", "x"), values);
    expect(estimate).toBe(9.5);
    expect(low).toBeGreaterThanOrEqual(5);
    expect(high).toBeLessThanOrEqual(13);
    // 9 of 10 above 5.5: (10 + 1) / 1024.
    expect(median("a", "x").p!(values, "above", 5.5)).toBeCloseTo(11 / 1024, 12);
    // One that equals the threshold is on neither side.
    expect(median("a", "x").p!(values, "below", 100)).toBeCloseTo(11 / 1024, 12);
  });

  test("extremes infer nothing", () => {
    expect(of(largest("b", "x"), results)).toEqual({ estimate: 6, low: 6, high: 6, n: 5, level: 1 });
    expect(of(smallest("b", "x"), results)).toEqual({ estimate: 2, low: 2, high: 2, n: 5, level: 1 });
    expect(largest("b", "x").p).toBeUndefined();
    // b - a: 1, 1, 2, 0, 1.
    expect(of(largest("b", "x", { minus: "a" }), results)).toMatchObject({ estimate: 2, n: 5 });
    expect(of(smallest("b", "x", { minus: "a", seeds: (seed) => seed < 3 }), results)).toMatchObject({ estimate: 1, n: 3 });
    expect(smallest("b", "x", { minus: "a" }).arms).toEqual(["b", "a"]);
  });

  test("a mean of these seeds infers nothing", () => {
    expect(of(sampleMean("b", "x"), results)).toEqual({ estimate: 4, low: 4, high: 4, n: 5, level: 1 });
    expect(of(sampleMean("b", "x", { seeds: (seed) => seed < 2 }), results)).toMatchObject({ estimate: 2.5, n: 2 });
    expect(sampleMean("b", "x").p).toBeUndefined();
  });

  test("seeds can be selected", () => {
    const even = (seed: number) => seed % 2 === 0;
    expect(of(mean("a", "x", { seeds: even }), results)).toMatchObject({ estimate: 3, n: 3 });
    expect(of(mean("a", "x", { seeds: even }), columns({ a: [1, 2, 3, 4, 5] }, 1))).toMatchObject({ estimate: 3, n: 2 });
    expect(of(ratio("b", "a", "x", { seeds: even }), results).estimate).toBeCloseTo(13 / 9, 12);
  });

  test("what is not there is named", () => {
    expect(() => of(mean("c", "x"), results)).toThrow('an estimate reads the arm "c", and there are only a, b');
    expect(() => of(mean("a", "y"), results)).toThrow('an estimate reads "y" of the arm "a", which measures x (seed 0)');
    expect(() => of(mean("a", "x", { seeds: () => false }), results)).toThrow("selects none of the seeds 0, 1, 2, 3, 4");
  });
});
