import { expect, test } from "vitest";
import { chiSquareTest, stream } from "../../src/statistics/index.ts";
import golden from "../golden/statistics.json" with { type: "json" };

test("p-values of the chi-square distribution", () => {
  // Two cells a degree of freedom apart: counts chosen so that the statistic is known. Values of the upper tail from tables.
  const p = (counts: number[]) =>
    chiSquareTest(
      counts,
      counts.map(() => 1),
    ).p;
  // (60 - 50)^2 / 50 * 2 = 4 with 1 degree of freedom: 2 (1 - Phi(2)).
  expect(chiSquareTest([60, 40], [0.5, 0.5])).toEqual({ statistic: 4, degrees: 1, p: expect.closeTo(0.04550026389635842, 12) });
  // Two degrees of freedom: exp(-statistic / 2), below and above the change of method.
  const three = chiSquareTest([44, 26, 30], [1, 1, 1]);
  expect(three.p).toBeCloseTo(Math.exp(-three.statistic / 2), 12);
  const near = chiSquareTest([34, 33, 33], [1, 1, 1]);
  expect(near.p).toBeCloseTo(Math.exp(-near.statistic / 2), 12);
  // Four: exp(-x) (1 + x) with x half the statistic.
  const five = chiSquareTest([10, 12, 30, 8, 14], [1, 1, 1, 1, 1]);
  expect(five.p).toBeCloseTo(Math.exp(-five.statistic / 2) * (1 + five.statistic / 2), 12);
  expect(p([7, 7, 7])).toBe(1);
});

test.each(golden.chiSquare)("of $counts against $probabilities as SciPy has it", ({ counts, probabilities, ...want }) => {
  const { statistic, degrees, p } = chiSquareTest(counts, probabilities);
  expect(degrees).toBe(want.degrees);
  for (const [got, reference] of [
    [statistic, want.statistic],
    [p, want.p],
  ] as const)
    expect(Math.abs(got - reference)).toBeLessThan(1e-11 * reference);
});

test("p-values are uniform where the probabilities are right, and tiny where they are not", () => {
  const probabilities = [0.4, 0.3, 0.2, 0.1];
  const values = Array.from({ length: 400 }, (_, i) => {
    const rng = stream(i, "chi-square");
    const counts = [0, 0, 0, 0];
    for (let n = 0; n < 200; n++) {
      const u = rng();
      counts[u < 0.4 ? 0 : u < 0.7 ? 1 : u < 0.9 ? 2 : 3]!++;
    }
    return chiSquareTest(counts, probabilities).p;
  });
  expect(values.filter((p) => p < 0.1).length / 400).toBeCloseTo(0.1, 1);
  expect(values.filter((p) => p < 0.5).length / 400).toBeCloseTo(0.5, 1);
  expect(chiSquareTest([50, 50, 50, 50], probabilities).p).toBeLessThan(1e-9);
});

test("refuses what cannot be tested", () => {
  expect(() => chiSquareTest([1, 2], [1])).toThrow(/2 and 1/);
  expect(() => chiSquareTest([0, 0], [1, 1])).toThrow(/0 draws/);
  expect(() => chiSquareTest([3, 1], [1, 0])).toThrow(/cell 1/);
});
