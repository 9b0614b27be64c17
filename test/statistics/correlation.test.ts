import { expect, test } from "vitest";
import { areaUnderCurve, pearson, ranks, spearman } from "../../src/statistics/index.ts";
import golden from "../golden/statistics.json" with { type: "json" };

test.each(golden.correlation)(
  "correlations, ranks and the area as SciPy and scikit-learn have them: case %#",
  ({ left, right, ...want }) => {
    expect(pearson(left, right)).toBeCloseTo(want.pearson, 13);
    expect(spearman(left, right)).toBeCloseTo(want.spearman, 13);
    expect([...ranks(left)]).toEqual(want.ranks);
    expect(areaUnderCurve(left, want.labels)).toBeCloseTo(want.area, 13);
  },
);

test("by hand", () => {
  expect(pearson([1, 2, 3], [2, 4, 6])).toBeCloseTo(1, 15);
  expect(spearman([1, 2, 3], [1, 8, 27])).toBeCloseTo(1, 15);
  expect(spearman([1, 2, 3], [9, 4, 1])).toBeCloseTo(-1, 15);
  expect([...ranks([5, 1, 5, 7])]).toEqual([2.5, 1, 2.5, 4]);
  expect(areaUnderCurve([0.1, 0.4, 0.35, 0.8], [false, false, true, true])).toBe(0.75);
  expect(areaUnderCurve([1, 1], [true, false])).toBe(0.5);
});

test("nothing is said about values that do not vary or cannot be compared", () => {
  expect(() => pearson([1, 1], [1, 2])).toThrow(/left ones are equal/);
  expect(() => spearman([1, 2], [3, 3])).toThrow(/right ones are equal/);
  expect(() => pearson([1, 2], [1])).toThrow(/2 and 1 values/);
  expect(() => areaUnderCurve([1, 2], [true, true])).toThrow(/2 and 0/);
  expect(() => areaUnderCurve([1, 2], [true])).toThrow(/1 labels/);
});
