import { GuerdonError } from "../error.ts";
import { cholesky, dot, solveLower, solveUpper, timesLower } from "./cholesky.ts";
import { normal } from "./stream.ts";
import type { Rng } from "./stream.ts";
import { checked } from "./summary.ts";

/** Points as rows of coordinates, all of the same length. */
export type Points = readonly ArrayLike<number>[];

/** What a Gaussian process believes before anything is seen. */
export interface GaussianProcessPrior {
  /** The distance over which values go together. */
  readonly length: number;
  /** The variance of the function around 0. */
  readonly variance: number;
  /** The variance of what is seen around the function; 0 for exact values. */
  readonly noise: number;
}

/** A Gaussian process and what it has seen. Made by `gaussianProcess`; plain data. */
export interface GaussianProcess {
  readonly prior: GaussianProcessPrior;
  readonly points: Points;
  /** The lower Cholesky factor of the covariance of what was seen, row-major. */
  readonly factor: Float64Array;
  /** That covariance's inverse times the values. */
  readonly weights: Float64Array;
  /** How well the prior explains the values; the largest one belongs to the best length, variance and noise. */
  readonly logMarginalLikelihood: number;
}

/**
 * A Gaussian process with the covariance variance * exp(-distance^2 / (2 length^2)) and mean 0, given values seen with normal noise
 * (Rasmussen and Williams, 2006, algorithm 2.1). Subtract the mean of values that do not lie around 0, and scale them: a prior that is far
 * off makes predictions that are.
 *
 * @param points n points
 * @param values n values
 * @throws GuerdonError "input" for unequal numbers, points of unequal length, or equal points without noise
 */
export function gaussianProcess(points: Points, values: ArrayLike<number>, prior: GaussianProcessPrior): GaussianProcess {
  const { length, variance, noise } = prior;
  if (!(length > 0 && variance > 0 && noise >= 0))
    throw new GuerdonError(
      "usage",
      `a Gaussian process needs positive length and variance and noise >= 0; got ${length}, ${variance} and ${noise}`,
    );
  const n = points.length;
  checked(values, 1, "a Gaussian process");
  if (values.length !== n)
    throw new GuerdonError("input", `a Gaussian process needs a value for every point; there are ${n} points and ${values.length} values`);
  checkedPoints(points, points[0]!.length);
  const matrix = covariance(prior, points, points);
  for (let i = 0; i < n; i++) matrix[i * n + i]! += noise;
  const factor = cholesky(matrix, n);
  const weights = solveUpper(factor, solveLower(factor, values));
  let halfLogDeterminant = 0;
  for (let i = 0; i < n; i++) halfLogDeterminant += Math.log(factor[i * n + i]!);
  const logMarginalLikelihood = -0.5 * dot(Float64Array.from(values), weights) - halfLogDeterminant - 0.5 * n * Math.log(2 * Math.PI);
  return { prior, points, factor, weights, logMarginalLikelihood };
}

/** Mean and variance of the function at each of the points, without the noise of seeing it. */
export function gaussianProcessPredict(
  process: GaussianProcess,
  points: Points,
): { readonly mean: Float64Array; readonly variance: Float64Array } {
  const { means, reached } = conditioned(process, points);
  // Rounding can leave a little less than nothing where the value is known.
  return { mean: means, variance: Float64Array.from(reached, (v) => Math.max(0, process.prior.variance - dot(v, v))) };
}

/**
 * The function's values at points, drawn together from the posterior. A billionth of the prior's variance is added to each, without which
 * values that are all but known have no factor.
 */
export function gaussianProcessSample(process: GaussianProcess, points: Points, rng: Rng): Float64Array {
  const { prior } = process;
  const { means, reached } = conditioned(process, points);
  const matrix = covariance(prior, points, points).map((before, at) => {
    const [i, j] = [Math.floor(at / points.length), at % points.length];
    return before - dot(reached[i]!, reached[j]!) + (i === j ? 1e-9 * prior.variance : 0);
  });
  const noise = timesLower(
    cholesky(matrix, points.length),
    means.map(() => normal(rng)),
  );
  return means.map((mean, i) => mean + noise[i]!);
}

/** Posterior means, and for each point the vector whose inner products are what the observations take from the prior covariance. */
function conditioned({ prior, points: seen, factor, weights }: GaussianProcess, points: Points) {
  checkedPoints(points, seen[0]!.length);
  const rows = points.map((point) => covariance(prior, [point], seen));
  return { means: Float64Array.from(rows, (row) => dot(row, weights)), reached: rows.map((row) => solveLower(factor, row)) };
}

/** Row-major, one row for each point on the left. */
function covariance({ length, variance }: GaussianProcessPrior, left: Points, right: Points): Float64Array {
  const out = new Float64Array(left.length * right.length);
  for (const [i, a] of left.entries())
    for (const [j, b] of right.entries()) {
      let squared = 0;
      for (let k = 0; k < a.length; k++) squared += (a[k]! - b[k]!) ** 2;
      out[i * right.length + j] = variance * Math.exp(-squared / (2 * length ** 2));
    }
  return out;
}

function checkedPoints(points: Points, size: number): void {
  for (const [i, point] of points.entries()) {
    checked(point, 1, `point ${i}`);
    if (point.length !== size) throw new GuerdonError("input", `point ${i} has ${point.length} coordinates, the first has ${size}`);
  }
}
