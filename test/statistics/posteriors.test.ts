import { describe, expect, test } from "vitest";
import {
  gaussianProcess,
  gaussianProcessPredict,
  gaussianProcessSample,
  linearCoefficients,
  linearPredict,
  linearPrior,
  linearSample,
  linearUpdate,
  mean,
  stream,
} from "../../src/statistics/index.ts";
import golden from "../golden/statistics.json" with { type: "json" };

const close = (got: ArrayLike<number>, want: readonly number[], to = 1e-12): void => {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) expect(Math.abs(got[i]! - want[i]!)).toBeLessThan(to);
};

/** Means and covariances of many drawn vectors are within four standard errors of theirs. */
function expectMoments(draws: readonly Float64Array[], means: readonly number[], covariance: readonly (readonly number[])[]): void {
  for (const [i, row] of covariance.entries()) {
    expect(Math.abs(mean(draws.map((x) => x[i]!)) - means[i]!)).toBeLessThan(4 * Math.sqrt(row[i]! / draws.length));
    for (const [j, want] of row.entries()) {
      const products = draws.map((x) => (x[i]! - means[i]!) * (x[j]! - means[j]!));
      expect(Math.abs(mean(products) - want)).toBeLessThan(4 * Math.sqrt((row[i]! * covariance[j]![j]! + want * want) / draws.length));
    }
  }
}

describe("the linear belief", () => {
  const fitted = ({ features, values, ...options }: (typeof golden.linear)[number]) =>
    features.reduce((belief, x, i) => linearUpdate(belief, x, values[i]!), linearPrior(3, options));

  test.each(golden.linear)("ridge $ridge as scikit-learn and NumPy have it", (want) => {
    const belief = fitted(want);
    close(linearCoefficients(belief), want.coefficients);
    for (const [i, x] of want.at.entries()) {
      const got = linearPredict(belief, x);
      close([got.mean, got.variance], [want.mean[i]!, want.variance[i]!]);
    }
  });

  test("draws have the belief's mean and covariance", () => {
    const want = golden.linear[1]!;
    const [belief, rng] = [fitted(want), stream(0, "linear")];
    expectMoments(
      Array.from({ length: 3000 }, () => linearSample(belief, rng)),
      want.coefficients,
      want.covariance,
    );
    expect(linearSample(belief, stream(1))).toEqual(linearSample(belief, stream(1)));
  });

  test("what is refused", () => {
    const prior = linearPrior(2, { ridge: 1, noise: 1 });
    expect(() => linearUpdate(prior, [1], 1)).toThrow(/2 coefficients/);
    expect(() => linearUpdate(prior, [1, 2], Number.NaN)).toThrow(/NaN/);
    expect(() => linearPredict(prior, [1, Infinity])).toThrow(/value 1 is Infinity/);
    expect(() => linearPrior(2, { ridge: 0, noise: 1 })).toThrow(/positive ridge/);
  });
});

describe("the Gaussian process", () => {
  test.each(golden.gaussianProcess)("with $prior as scikit-learn has it", ({ prior, points, values, ...want }) => {
    const process = gaussianProcess(points, values, prior);
    expect(process.logMarginalLikelihood).toBeCloseTo(want.logMarginalLikelihood, 9);
    const { mean: means, variance } = gaussianProcessPredict(process, want.at);
    close(means, want.mean, 1e-9);
    close(
      variance,
      want.covariance.map((row, i) => row[i]!),
      1e-9,
    );
    const rng = stream(0, "process");
    expectMoments(
      Array.from({ length: 2000 }, () => gaussianProcessSample(process, want.at, rng)),
      want.mean,
      want.covariance,
    );
  });

  test("by hand: one point seen as 1 with variance 1 and noise 1 is believed to be 1/2 with variance 1/2, and far away nothing is known", () => {
    const process = gaussianProcess([[0]], [1], { length: 1, variance: 1, noise: 1 });
    const { mean: means, variance } = gaussianProcessPredict(process, [[0], [50]]);
    close(means, [0.5, 0]);
    close(variance, [0.5, 1]);
    expect(process.logMarginalLikelihood).toBeCloseTo(-0.25 - 0.5 * Math.log(4 * Math.PI), 12);
  });

  test("without noise it goes through its points, also when drawn", () => {
    const process = gaussianProcess([[0], [1], [2.5]], [1, -1, 0.5], { length: 1, variance: 1, noise: 0 });
    close(gaussianProcessPredict(process, process.points).mean, [1, -1, 0.5]);
    close(gaussianProcessSample(process, process.points, stream(0)), [1, -1, 0.5], 1e-3);
  });

  test("what is refused", () => {
    const prior = { length: 1, variance: 1, noise: 0 };
    expect(() => gaussianProcess([[0], [0]], [1, 2], prior)).toThrow(/not positive definite/);
    expect(() => gaussianProcess([[0], [1, 2]], [1, 2], prior)).toThrow(/point 1 has 2 coordinates/);
    expect(() => gaussianProcess([[0]], [1, 2], prior)).toThrow(/1 points and 2 values/);
    expect(() => gaussianProcess([[0]], [1], { ...prior, length: 0 })).toThrow(/positive length/);
    expect(() => gaussianProcessPredict(gaussianProcess([[0]], [1], prior), [[Number.NaN]])).toThrow(/NaN/);
  });
});
