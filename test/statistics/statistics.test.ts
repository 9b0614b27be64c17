import { describe, expect, test } from "vitest";
import {
  bootstrapInterval,
  deviation,
  interquartileMean,
  majorityAtK,
  mean,
  meanInterval,
  median,
  normal,
  passAtK,
  quantile,
  ratioInterval,
  shareInterval,
  stream,
} from "../../src/statistics/index.ts";
import golden from "../golden/statistics.json" with { type: "json" };

describe("summaries", () => {
  test("known answers", () => {
    expect(mean([1, 2, 6])).toBe(3);
    expect(deviation([2, 1, 1, 0], { ddof: 0 })).toBeCloseTo(0.7071067811865476, 15);
    expect(deviation([2, 1, 1, 0], { ddof: 1 })).toBeCloseTo(0.816496580927726, 15);
    expect(quantile([4, 1, 3, 2], 0.25)).toBe(1.75); // numpy.quantile
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([3, 1, 2])).toBe(2);
  });

  test("equal values have exactly their mean and no deviation", () => {
    expect(mean([0.1, 0.1, 0.1])).toBe(0.1);
    expect(deviation([0.1, 0.1, 0.1], { ddof: 1 })).toBe(0);
  });

  test("too few and non-finite values are refused", () => {
    expect(() => mean([])).toThrow(/at least 1 value/);
    expect(() => deviation([1], { ddof: 1 })).toThrow(/at least 2 values/);
    expect(() => mean([1, Number.NaN])).toThrow(/value 1 is NaN/);
    expect(() => quantile([1], 1.5)).toThrow(/share/);
  });
});

test.each(golden.interquartileMean)("the interquartile mean as SciPy's trim_mean: case %#", ({ values, mean: want }) => {
  expect(interquartileMean(values)).toBeCloseTo(want, 14);
});

test("the interquartile mean leaves out what is far off, and has a bootstrap interval", () => {
  expect(interquartileMean([0, 1, 2, 1000])).toBe(1.5);
  expect(interquartileMean([7])).toBe(7);
  const values = [...Array.from({ length: 19 }, (_, i) => i), 1000];
  const { low, estimate, high } = bootstrapInterval(values, interquartileMean, { rng: stream(0), resamples: 500 });
  expect(estimate).toBe(9.5);
  expect(low).toBeGreaterThan(4);
  expect(high).toBeLessThan(15);
});

describe("intervals", () => {
  test("Student: mean 3, deviation sqrt(2.5), t(4) = 2.776445", () => {
    const interval = meanInterval([1, 2, 3, 4, 5]);
    expect(interval.estimate).toBe(3);
    expect(interval.high - 3).toBeCloseTo((2.7764451051977943 * Math.sqrt(2.5)) / Math.sqrt(5), 12);
    expect(3 - interval.low).toBeCloseTo(interval.high - 3, 12);
    expect(() => meanInterval([1])).toThrow(/at least 2 values/);
  });

  test("Wilson at 20 of 20, 1 of 20 and 5 of 10", () => {
    // (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n), z = 1.959964
    expect(shareInterval(20, 20)).toMatchObject({ estimate: 1, high: 1 });
    expect(shareInterval(20, 20).low).toBeCloseTo(0.838875, 6);
    expect(shareInterval(0, 20).low).toBe(0);
    expect(shareInterval(1, 20).low).toBeCloseTo(0.008881, 6);
    expect(shareInterval(1, 20).high).toBeCloseTo(0.236131, 6);
    expect(shareInterval(5, 10).low).toBeCloseTo(0.236593, 6);
    expect(shareInterval(5, 10).high).toBeCloseTo(0.763407, 6);
    expect(() => shareInterval(3, 2)).toThrow(/3 of 2/);
  });

  test.each(golden.fieller)(
    "Fieller: the ends are the ratios at which a paired t test has p = 0.05: case %#",
    ({ values, over, ...want }) => {
      const interval = ratioInterval(values, over);
      expect(interval.estimate).toBeCloseTo(want.estimate, 14);
      expect(interval.low).toBeCloseTo(want.low, 12);
      expect(interval.high).toBeCloseTo(want.high, 12);
    },
  );

  test("a ratio of proportional pairs is exact, and pairing is used", () => {
    expect(ratioInterval([3, 4, 5], [6, 8, 10])).toMatchObject({ estimate: 0.5, low: 0.5, high: 0.5, n: 3 });
    const width = (x: number[], y: number[]): number => ratioInterval(x, y).high - ratioInterval(x, y).low;
    expect(width([10, 12, 14, 16.1], [5, 6, 7, 8])).toBeLessThan(width([16.1, 14, 12, 10], [5, 6, 7, 8]));
  });

  test("a ratio over what may be 0 has no bounds, and what is no ratio is refused", () => {
    expect(ratioInterval([1, 2, 3], [-1, 1, 0.5])).toMatchObject({ low: -Infinity, high: Infinity });
    expect(() => ratioInterval([1, 2], [1, -1])).toThrow(/other than 0/);
    expect(() => ratioInterval([1, 2], [1])).toThrow(/2 and 1 values/);
  });

  test("Fieller's interval covers the ratio about as often as it says, for pairs that go together", () => {
    let covered = 0;
    for (let seed = 0; seed < 400; seed++) {
      const rng = stream(seed, "pairs");
      const pairs = Array.from({ length: 8 }, () => {
        const common = normal(rng);
        return [3 + common + 0.5 * normal(rng), 4 + common + 0.5 * normal(rng)] as const;
      });
      const { low, high } = ratioInterval(
        pairs.map(([x]) => x),
        pairs.map(([, y]) => y),
      );
      if (low <= 0.75 && 0.75 <= high) covered++;
    }
    // 380 are expected, with a deviation of 4.4.
    expect(Math.abs(covered - 380)).toBeLessThan(3 * 4.4);
  });

  test("the bootstrap is seeded, contains the estimate and covers the truth about as often as it says", () => {
    const draw = (seed: number): number[] => {
      const rng = stream(seed, "sample");
      return Array.from({ length: 40 }, () => rng());
    };
    const interval = (seed: number) => bootstrapInterval(draw(seed), (x) => median(x), { rng: stream(seed, "bootstrap"), resamples: 300 });
    expect(interval(1)).toEqual(interval(1));
    let covered = 0;
    for (let seed = 0; seed < 100; seed++) {
      const { low, estimate, high } = interval(seed);
      expect(low).toBeLessThanOrEqual(estimate);
      expect(high).toBeGreaterThanOrEqual(estimate);
      if (low <= 0.5 && 0.5 <= high) covered++;
    }
    expect(covered).toBeGreaterThanOrEqual(86);
  });
});

describe("pass@k", () => {
  test("known answers: 1 - C(n-c, k) / C(n, k)", () => {
    expect(passAtK(4, 1, 1)).toBe(0.25);
    expect(passAtK(4, 1, 2)).toBeCloseTo(0.5, 15);
    expect(passAtK(10, 3, 5)).toBeCloseTo(1 - 21 / 252, 15); // C(7,5) / C(10,5)
    expect(passAtK(16, 0, 16)).toBe(0);
    expect(passAtK(16, 1, 16)).toBe(1);
    expect(passAtK(5, 4, 2)).toBe(1);
  });

  test("does not overflow and grows with k", () => {
    expect(passAtK(100_000, 10, 50_000)).toBeCloseTo(1 - 0.5 ** 10, 3);
    for (let n = 2; n <= 60; n++)
      for (let c = 0; c <= n; c++) {
        const values = Array.from({ length: n }, (_, i) => passAtK(n, c, i + 1));
        expect(values[0]).toBeCloseTo(c / n, 12);
        expect(
          values.every((value, i) => i === 0 || value >= values[i - 1]! - 1e-15),
          `${c} of ${n}`,
        ).toBe(true);
      }
  });

  test("is the average over all subsets", () => {
    const right = [true, false, false, true, false];
    let hits = 0;
    let all = 0;
    for (let a = 0; a < 5; a++)
      for (let b = a + 1; b < 5; b++) for (let c = b + 1; c < 5; c++, all++) if (right[a] || right[b] || right[c]) hits++;
    expect(passAtK(5, 2, 3)).toBeCloseTo(hits / all, 15);
  });

  test("refuses impossible counts", () => {
    expect(() => passAtK(4, 5, 1)).toThrow(/5 of 4/);
    expect(() => passAtK(4, 1, 5)).toThrow(/k = 5/);
  });
});

test("majority: most votes, ties to the first seen, null does not vote", () => {
  expect(majorityAtK(["a", "b", "b"], 3)).toBe("b");
  expect(majorityAtK(["a", "b", "b"], 2)).toBe("a");
  expect(majorityAtK(["b", "a", "a", "b"], 4)).toBe("b");
  expect(majorityAtK([null, null, "c"], 3)).toBe("c");
  expect(majorityAtK([null, null], 2)).toBeNull();
  expect(() => majorityAtK(["a"], 2)).toThrow(/at least 2/);
});
