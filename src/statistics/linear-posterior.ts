import { GuerdonError } from "../error.ts";
import { dot, rankOneUpdate, solveLower, solveUpper } from "./cholesky.ts";
import { normal } from "./stream.ts";
import type { Rng } from "./stream.ts";
import { checked } from "./summary.ts";

/**
 * What is believed about the coefficients of a linear function that is seen with normal noise: Bayesian ridge regression. With
 * A = ridge I + sum of x x^T and b = sum of x y they are normal with mean A^-1 b and covariance noise A^-1. Made by `linearPrior`, updated by
 * `linearUpdate`; plain data, so that a snapshot can hold it.
 */
export interface LinearPosterior {
  /** The lower Cholesky factor of A, row-major. */
  readonly factor: Float64Array;
  /** b. */
  readonly shift: Float64Array;
  /** The variance of what is seen around the function. */
  readonly noise: number;
}

/**
 * Before anything was seen: coefficients are independent, normal, with mean 0 and variance noise / ridge.
 *
 * @param size how many coefficients there are; for an intercept give a feature that is always 1
 * @param options.ridge positive
 * @param options.noise variance, positive. Means do not depend on it.
 */
export function linearPrior(size: number, options: { readonly ridge: number; readonly noise: number }): LinearPosterior {
  const { ridge, noise } = options;
  if (!(Number.isInteger(size) && size >= 1))
    throw new GuerdonError("usage", `a linear belief needs a positive number of coefficients; got ${size}`);
  if (!(ridge > 0 && noise > 0))
    throw new GuerdonError("usage", `a linear belief needs a positive ridge and noise; got ${ridge} and ${noise}`);
  const factor = new Float64Array(size * size);
  for (let i = 0; i < size; i++) factor[i * size + i] = Math.sqrt(ridge);
  return { factor, shift: new Float64Array(size), noise };
}

/** The belief after the function was seen to have a value at a point; takes size^2 steps. */
export function linearUpdate(belief: LinearPosterior, features: ArrayLike<number>, value: number): LinearPosterior {
  checkedFeatures(belief, features);
  checked([value], 1, "an observation");
  const { factor, shift, noise } = belief;
  return { factor: rankOneUpdate(factor, features), shift: shift.map((entry, i) => entry + features[i]! * value), noise };
}

/** The expected coefficients: those of ridge regression. */
export function linearCoefficients(belief: LinearPosterior): Float64Array {
  return solveUpper(belief.factor, solveLower(belief.factor, belief.shift));
}

/**
 * The function's value at a point: its mean, and its variance without the noise of seeing it. LinUCB is mean + a sqrt(variance), the
 * elliptical bonus of E3B the variance, both with noise 1.
 */
export function linearPredict(belief: LinearPosterior, features: ArrayLike<number>): { readonly mean: number; readonly variance: number } {
  checkedFeatures(belief, features);
  const x = solveLower(belief.factor, features);
  return { mean: dot(x, solveLower(belief.factor, belief.shift)), variance: belief.noise * dot(x, x) };
}

/** Coefficients drawn from the belief (Thompson sampling). */
export function linearSample(belief: LinearPosterior, rng: Rng): Float64Array {
  const { factor, shift, noise } = belief;
  // L^-T z has the covariance L^-T L^-1 = A^-1.
  return solveUpper(
    factor,
    solveLower(factor, shift).map((entry) => entry + Math.sqrt(noise) * normal(rng)),
  );
}

function checkedFeatures({ shift }: LinearPosterior, features: ArrayLike<number>): void {
  checked(features, 1, "a linear belief");
  if (features.length !== shift.length)
    throw new GuerdonError(
      "input",
      `a linear belief about ${shift.length} coefficients needs as many features; there are ${features.length}`,
    );
}
