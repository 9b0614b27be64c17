import { describe, expect, test } from "vitest";
import {
  betaInterval,
  betaMean,
  betaQuantile,
  betaSample,
  betaUpdate,
  betaVariance,
  incompleteBeta,
  mean,
  stream,
} from "../../src/statistics/index.ts";
import golden from "../golden/statistics.json" with { type: "json" };

describe("the Beta belief", () => {
  test.each(golden.beta)("Beta($alpha, $beta) as SciPy has it", ({ alpha, beta, mean, variance, low, high }) => {
    const belief = { alpha, beta };
    expect(betaMean(belief)).toBeCloseTo(mean, 14);
    expect(betaVariance(belief)).toBeCloseTo(variance, 14);
    const interval = betaInterval(belief);
    expect(interval).toMatchObject({ estimate: betaMean(belief), n: alpha + beta, level: 0.95 });
    expect(Math.abs(interval.low - low)).toBeLessThan(1e-9 * low);
    expect(Math.abs(interval.high - high)).toBeLessThan(1e-9 * high);
  });

  test("what is seen is added, and what was seen before fades (MoPPS: 2 of 8, then 6 of 8, with keep 1/2)", () => {
    const first = betaUpdate({ alpha: 1, beta: 1 }, { successes: 2, failures: 6 }, { keep: 0.5 });
    expect(first).toEqual({ alpha: 3, beta: 7 });
    expect(betaMean(first)).toBeCloseTo(0.3, 15);
    const second = betaUpdate(first, { successes: 6, failures: 2 }, { keep: 0.5 });
    expect(second).toEqual({ alpha: 8, beta: 6 });
    expect(betaMean(second)).toBeCloseTo(0.571429, 6);
    expect(betaUpdate(first, { successes: 6, failures: 2 })).toEqual({ alpha: 9, beta: 9 });
    expect(betaUpdate(first, { successes: 0, failures: 0 }, { keep: 0, prior: { alpha: 2, beta: 5 } })).toEqual({ alpha: 2, beta: 5 });
  });

  test.each([
    [1, 1],
    [3, 7],
    [0.3, 2.5],
    [120, 4],
    [0.2, 0.4],
  ])("draws from Beta(%f, %f) have its moments and its distribution", (alpha, beta) => {
    const belief = { alpha, beta };
    const rng = stream(0, "beta", alpha, beta);
    const n = 30_000;
    const draws = Array.from({ length: n }, () => betaSample(belief, rng)).sort((a, b) => a - b);
    const error = Math.sqrt(betaVariance(belief) / n);
    expect(Math.abs(mean(draws) - betaMean(belief))).toBeLessThan(4 * error);
    // Kolmogorov and Smirnov: the largest gap between the distribution functions is above 1.95 / sqrt(n) once in a thousand.
    const gap = Math.max(...draws.map((x, i) => Math.abs(incompleteBeta(x, alpha, beta) - (i + 0.5) / n)));
    expect(gap).toBeLessThan(1.95 / Math.sqrt(n));
  });

  test("where nearly all of the belief lies at 0 and 1, so do the draws", () => {
    const rng = stream(0, "beta at the ends");
    const draws = Array.from({ length: 4000 }, () => betaSample({ alpha: 0.01, beta: 0.02 }, rng));
    expect(Math.abs(mean(draws) - 1 / 3)).toBeLessThan(4 * Math.sqrt(0.21575 / 4000));
    expect(draws.every((x) => x >= 0 && x <= 1)).toBe(true);
  });

  test("the same stream gives the same draws", () => {
    const draw = () => betaSample({ alpha: 2, beta: 3 }, stream(1, "task", 4));
    expect(draw()).toBe(draw());
  });

  test("the ends of the quantiles, and what is refused", () => {
    expect(betaQuantile({ alpha: 2, beta: 3 }, 0)).toBe(0);
    expect(betaQuantile({ alpha: 2, beta: 3 }, 1)).toBe(1);
    expect(() => betaQuantile({ alpha: 2, beta: 3 }, 1.1)).toThrow(/probability/);
    expect(() => betaMean({ alpha: 0, beta: 1 })).toThrow(/positive/);
    expect(() => betaUpdate({ alpha: 1, beta: 1 }, { successes: -1, failures: 0 })).toThrow(/-1 successes/);
    expect(() => betaUpdate({ alpha: 1, beta: 1 }, { successes: 1, failures: Number.NaN })).toThrow(/NaN failures/);
    expect(() => betaUpdate({ alpha: 1, beta: 1 }, { successes: 1, failures: 0 }, { keep: 2 })).toThrow(/keep/);
  });
});
