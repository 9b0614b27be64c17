import { GuerdonError } from "../error.ts";
import { normalQuantile, tQuantile } from "./special.ts";
import { below } from "./stream.ts";
import type { Rng } from "./stream.ts";
import { checked, checkedCounts, checkedPairs, deviation, mean, quantile } from "./summary.ts";

/** An estimate and the range that covers the truth in a share `level` of repetitions. */
export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
  /** Number of observations. */
  readonly n: number;
  /** In (0, 1), usually 0.95. */
  readonly level: number;
}

/**
 * Student's interval for a mean: mean +- t * deviation / sqrt(n). For shares use `shareInterval`, for medians `bootstrapInterval`.
 *
 * @throws GuerdonError "input" for fewer than two values
 */
export function meanInterval(values: ArrayLike<number>, level = 0.95): Interval {
  checked(values, 2, "an interval");
  const half = tQuantile(upper(level), values.length - 1) * (deviation(values, { ddof: 1 }) / Math.sqrt(values.length));
  const estimate = mean(values);
  return { estimate, low: estimate - half, high: estimate + half, n: values.length, level };
}

/**
 * Wilson's interval for a share (Wilson, 1927): sensible at 0 and 1 and for few trials, where the t interval is not.
 *
 * @param successes whole number in [0, n]
 * @param n number of trials, at least 1
 */
export function shareInterval(successes: number, n: number, level = 0.95): Interval {
  checkedCounts(successes, n);
  const z2 = normalQuantile(upper(level)) ** 2;
  const estimate = successes / n;
  const centre = (successes + z2 / 2) / (n + z2);
  const half = (Math.sqrt(z2) / (n + z2)) * Math.sqrt((successes * (n - successes)) / n + z2 / 4);
  return { estimate, low: successes === 0 ? 0 : centre - half, high: successes === n ? 1 : centre + half, n, level };
}

/**
 * Fieller's interval for a ratio of paired means (Fieller, 1954): all ratios r for which a paired t test does not tell `values` from
 * r * `over`. Both vary and go together, and where both are normal the coverage is exact.
 *
 * @param values the numerators, one a pair
 * @param over the denominators, in the same order
 * @returns from -Infinity to Infinity where the mean denominator is not told from 0 at this level: the pairs say nothing about the ratio
 * @throws GuerdonError "input" for fewer than two pairs, unequal numbers of values or a mean denominator of 0
 */
export function ratioInterval(values: ArrayLike<number>, over: ArrayLike<number>, level = 0.95): Interval {
  checkedPairs(values, over, 2, "an interval of a ratio");
  const n = values.length;
  const [top, bottom] = [mean(values), mean(over)];
  if (bottom === 0) throw new GuerdonError("input", "a ratio of means needs a mean denominator other than 0");
  let [topVariance, bottomVariance, covariance] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [x, y] = [values[i]! - top, over[i]! - bottom];
    topVariance += (x * x) / (n * (n - 1));
    bottomVariance += (y * y) / (n * (n - 1));
    covariance += (x * y) / (n * (n - 1));
  }
  // The ends solve (top - r bottom)^2 = t^2 Var(top - r bottom), a square equation in r. Its discriminant is written so that nothing cancels.
  const t2 = tQuantile(upper(level), n - 1) ** 2;
  const square = bottom ** 2 - t2 * bottomVariance;
  const estimate = top / bottom;
  if (square <= 0) return { estimate, low: -Infinity, high: Infinity, n, level };
  const spread = bottom ** 2 * topVariance - 2 * top * bottom * covariance + top ** 2 * bottomVariance;
  const half = Math.sqrt(Math.max(0, t2 * (spread - t2 * (topVariance * bottomVariance - covariance ** 2))));
  const middle = top * bottom - t2 * covariance;
  return { estimate, low: (middle - half) / square, high: (middle + half) / square, n, level };
}

/**
 * Percentile bootstrap (Efron, 1979) for any statistic of independent observations.
 *
 * @param items the observations: numbers, or rows that belong together (pairs of numbers for paired differences)
 * @param options.rng a derived stream; the same stream gives the same interval
 * @param options.resamples how many, default 2000
 * @throws GuerdonError "non-finite" when the statistic of a resample is not a number
 */
export function bootstrapInterval<T>(
  items: readonly T[],
  statistic: (items: readonly T[]) => number,
  options: { readonly rng: Rng; readonly resamples?: number; readonly level?: number },
): Interval {
  const { rng, resamples = 2000, level = 0.95 } = options;
  if (items.length < 2) throw new GuerdonError("input", `an interval needs at least 2 observations; there are ${items.length}`);
  if (!(Number.isInteger(resamples) && resamples >= 1))
    throw new GuerdonError("usage", `resamples must be a positive whole number; it is ${resamples}`);
  const tail = 1 - upper(level);
  const drawn = Float64Array.from({ length: resamples }, () => statistic(items.map(() => items[below(rng, items.length)]!)));
  return { estimate: statistic(items), low: quantile(drawn, tail), high: quantile(drawn, 1 - tail), n: items.length, level };
}

/** 0.95 -> 0.975: where the upper tail begins. */
export function upper(level: number): number {
  if (!(level > 0 && level < 1)) throw new GuerdonError("usage", `an interval's level must be between 0 and 1; it is ${level}`);
  return 0.5 + level / 2;
}
