import { describe, expect, test } from "vitest";
import { incompleteBeta, incompleteGamma, logGamma, normalCdf, normalQuantile, tCdf, tQuantile } from "../../src/statistics/index.ts";
import golden from "../golden/statistics.json" with { type: "json" };

/** Reference values: mpmath 1.3 with 40 digits. */
const close = (got: number, want: number, relative = 2e-13): void =>
  expect(Math.abs(got - want)).toBeLessThanOrEqual(relative * Math.max(Math.abs(want), 1e-300));

describe("special functions against mpmath", () => {
  test.each([
    [0.1, 2.252712651734206],
    [0.5, 0.5723649429247001],
    [3.7, 1.4280723266653879],
    [10, 12.801827480081469],
    [100.5, 361.4355404677776],
    [1e5, 1051287.7089736569],
  ])("logGamma(%f)", (x, want) => close(logGamma(x), want));

  test("logGamma is 0 at 1 and 2", () => {
    expect(logGamma(1)).toBeCloseTo(0, 14);
    expect(logGamma(2)).toBeCloseTo(0, 14);
  });

  test.each([
    [0.1, 0.5, 0.5, 0.20483276469913345],
    [0.3, 2, 3, 0.3483],
    [0.9, 2, 3, 0.9963],
    [0.5, 10, 10, 0.5],
    [0.001, 0.5, 20, 0.1575838139836385],
    [0.99, 150, 2.5, 0.6953398106025642],
    [0.42, 1000, 1400, 0.630526704585857],
  ])("incompleteBeta(%f, %f, %f)", (x, a, b, want) => close(incompleteBeta(x, a, b), want, 1e-11));

  test.each(golden.incompleteGamma)("incompleteGamma($x, $a) as SciPy has it", ({ x, a, q }) => close(incompleteGamma(x, a), q, 1e-11));

  test.each([
    [0.1, 0.539827837277029],
    [1, 0.8413447460685429],
    [-1, 0.15865525393145705],
    [2.5, 0.9937903346742238],
    [-2.999, 0.0013543365337271066],
    [-3.001, 0.001345472825084966],
    [-6, 9.86587645037698e-10],
    [-10, 7.619853024160525e-24],
  ])("normalCdf(%f)", (x, want) => close(normalCdf(x), want));

  test.each([
    [0.5001, 0.0002506628300880351],
    [0.6, 0.2533471031357998],
    [0.9, 1.2815515655446004],
    [0.975, 1.9599639845400543],
    [0.9995, 3.290526731491895],
    [0.001, -3.0902323061678136],
    [1e-12, -7.034483825301132],
  ])("normalQuantile(%f)", (p, want) => close(normalQuantile(p), want, 1e-12));

  test.each([
    [0.975, 1, 12.706204736174705],
    [0.975, 2, 4.302652729749464],
    [0.975, 4, 2.7764451051977943],
    [0.975, 19, 2.0930240544083096],
    [0.995, 9, 3.2498355415921263],
    [0.9, 3, 1.6377443536962102],
    [0.975, 100, 1.9839715185235522],
    [0.025, 5, -2.5705818356363155],
  ])("tQuantile(%f, %i)", (p, degrees, want) => close(tQuantile(p, degrees), want, 1e-12));

  test("quantile and distribution function are inverses, and 0.5 is the centre", () => {
    for (const p of [1e-9, 0.03, 0.4, 0.8, 0.999]) {
      close(normalCdf(normalQuantile(p)), p, 1e-12);
      close(tCdf(tQuantile(p, 7), 7), p, 1e-12);
    }
    expect(normalQuantile(0.5)).toBe(0);
    expect(tQuantile(0.5, 3)).toBe(0);
  });

  test("arguments outside of the domain are refused", () => {
    expect(() => normalQuantile(0)).toThrow(/between 0 and 1/);
    expect(() => normalQuantile(Number.NaN)).toThrow(/between 0 and 1/);
    expect(() => tQuantile(0.5, 0)).toThrow(/degrees/);
    expect(() => incompleteBeta(1.1, 1, 1)).toThrow(/incompleteBeta/);
    expect(() => incompleteGamma(-1, 1)).toThrow(/incompleteGamma/);
    expect(() => logGamma(0)).toThrow(/x > 0/);
  });
});
