import { describe, expect, test } from "vitest";
import { incompleteBeta, logGamma, normalCdf, normalQuantile, tCdf, tQuantile } from "../../src/statistics/index.ts";

/** Reference values: mpmath 1.3 with 40 digits. */
const close = (got: number, want: number, relative = 2e-13): void => expect(Math.abs(got - want)).toBeLessThanOrEqual(relative * Math.max(Math.abs(want), 1e-300));

describe("special functions against mpmath", () => {
  test.each([
    [0.1, 2.2527126517342059599],
    [0.5, 0.57236494292470008707],
    [3.7, 1.4280723266653879219],
    [10, 12.801827480081469611],
    [100.5, 361.43554046777762156],
    [1e5, 1051287.7089736568949],
  ])("logGamma(%f)", (x, want) => close(logGamma(x), want));

  test("logGamma is 0 at 1 and 2", () => {
    expect(logGamma(1)).toBeCloseTo(0, 14);
    expect(logGamma(2)).toBeCloseTo(0, 14);
  });

  test.each([
    [0.1, 0.5, 0.5, 0.20483276469913345165],
    [0.3, 2, 3, 0.3483],
    [0.9, 2, 3, 0.9963],
    [0.5, 10, 10, 0.5],
    [0.001, 0.5, 20, 0.15758381398363849393],
    [0.99, 150, 2.5, 0.69533981060256427206],
    [0.42, 1000, 1400, 0.63052670458585700079],
  ])("incompleteBeta(%f, %f, %f)", (x, a, b, want) => close(incompleteBeta(x, a, b), want, 1e-11));

  test.each([
    [0.1, 0.53982783727702898147],
    [1, 0.84134474606854294859],
    [-1, 0.15865525393145705141],
    [2.5, 0.99379033467422386483],
    [-2.999, 0.0013543365337271066511],
    [-3.001, 0.001345472825084965989],
    [-6, 9.865876450376981407e-10],
    [-10, 7.619853024160526066e-24],
  ])("normalCdf(%f)", (x, want) => close(normalCdf(x), want));

  test.each([
    [0.5001, 0.00025066283008803509892],
    [0.6, 0.2533471031357997988],
    [0.9, 1.281551565544600467],
    [0.975, 1.9599639845400542355],
    [0.9995, 3.2905267314918947932],
    [0.001, -3.0902323061678135415],
    [1e-12, -7.0344838253011319298],
  ])("normalQuantile(%f)", (p, want) => close(normalQuantile(p), want, 1e-12));

  test.each([
    [0.975, 1, 12.706204736174704646],
    [0.975, 2, 4.3026527297494638523],
    [0.975, 4, 2.7764451051977943578],
    [0.975, 19, 2.0930240544083097692],
    [0.995, 9, 3.2498355415921262756],
    [0.9, 3, 1.6377443536962101055],
    [0.975, 100, 1.9839715185235522866],
    [0.025, 5, -2.5705818356363155147],
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
    expect(() => logGamma(0)).toThrow(/x > 0/);
  });
});
