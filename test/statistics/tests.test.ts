import { describe, expect, test } from "vitest";
import { holm, meanTest, pairedTest, shareTest, welchTest } from "../../src/statistics/index.ts";
import type { Side } from "../../src/statistics/index.ts";
import golden from "../golden/statistics.json" with { type: "json" };

const sides: Side[] = ["both", "above", "below"];
const close = (got: number, want: number): void => expect(Math.abs(got - want)).toBeLessThanOrEqual(1e-11 * Math.abs(want));

describe("t tests as SciPy has them", () => {
  test.each(golden.tTests)("case %#", ({ left, right, mean, paired, welch }) => {
    for (const side of sides)
      for (const [got, want] of [
        [meanTest(left, 0.3, side), mean[side]],
        [pairedTest(left, right.slice(0, left.length), side), paired[side]],
        [welchTest(left, right, side), welch[side]],
      ] as const) {
        close(got.statistic, want.statistic);
        close(got.degrees, want.degrees);
        close(got.p, want.p);
      }
  });

  test("by hand: differences 1, 2, 3 have mean 2 and standard error 1/sqrt(3), so t = 2 sqrt(3)", () => {
    const { difference, statistic, degrees, p } = pairedTest([2, 4, 6], [1, 2, 3]);
    expect([difference, degrees]).toEqual([2, 2]);
    expect(statistic).toBeCloseTo(2 * Math.sqrt(3), 14);
    expect(p).toBeCloseTo(0.0741799, 7);
  });

  test("values that do not vary are certain, and equal ones say nothing", () => {
    expect(pairedTest([2, 3], [1, 2])).toEqual({ difference: 1, statistic: Infinity, degrees: 1, p: 0 });
    expect(pairedTest([2, 3], [1, 2], "below").p).toBe(1);
    expect(welchTest([1, 1], [1, 1, 1])).toEqual({ difference: 0, statistic: 0, degrees: 3, p: 1 });
    expect(meanTest([2, 2], 2, "above").p).toBe(0.5);
  });

  test("too little is refused", () => {
    expect(() => pairedTest([1, 2], [1])).toThrow(/2 and 1 values/);
    expect(() => welchTest([1, 2], [1])).toThrow(/at least 2 values/);
    expect(() => meanTest([1, Number.NaN])).toThrow(/value 1 is NaN/);
  });
});

describe("the exact test of a share", () => {
  test.each(golden.share)("$successes of $n against $at as SciPy has it", ({ successes, n, at, ...p }) => {
    for (const side of sides) close(shareTest(successes, n, at, side), p[side]);
  });

  test("by hand: 9 or more heads of 10 are 11 of 1024", () => {
    expect(shareTest(9, 10, 0.5, "above")).toBeCloseTo(11 / 1024, 15);
    expect(shareTest(9, 10, 0.5)).toBeCloseTo(22 / 1024, 15);
  });

  test("what cannot be is refused, what cannot happen has p = 0", () => {
    expect(shareTest(4, 5, 1)).toBe(0);
    expect(shareTest(5, 5, 1)).toBe(1);
    expect(shareTest(1, 5, 0, "above")).toBe(0);
    expect(() => shareTest(6, 5, 0.5)).toThrow(/6 of 5/);
    expect(() => shareTest(1, 5, 1.5)).toThrow(/1.5/);
  });
});

describe("Holm's adjustment", () => {
  test.each(golden.holm)("of $p as statsmodels has it", ({ p, adjusted }) => {
    for (const [i, value] of holm(p).entries()) expect(value).toBeCloseTo(adjusted[i]!, 15);
  });

  test("by hand: .01, .04, .03, .005 become .03, .06, .06, .02", () => {
    expect(holm([0.01, 0.04, 0.03, 0.005]).map((p) => Number(p.toFixed(12)))).toEqual([0.03, 0.06, 0.06, 0.02]);
    expect(holm([])).toEqual([]);
    expect(() => holm([0.1, Number.NaN])).toThrow(/value 1 is NaN/);
  });
});
