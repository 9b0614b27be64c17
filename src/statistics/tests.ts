import { GuerdonError } from "../error.ts";
import { incompleteBeta, logGamma, tCdf } from "./special.ts";
import { checked, checkedCounts, checkedPairs, deviation, mean } from "./summary.ts";

/** What the null hypothesis is tested against: a difference in any direction, one above 0 or one below 0. */
export type Side = "both" | "above" | "below";

/** A t test. */
export interface TTest {
  /** The mean, or the difference of means, less what the null hypothesis says it is. */
  readonly difference: number;
  /** The difference over its standard error; infinite where the values do not vary and the difference is not 0. */
  readonly statistic: number;
  /** Degrees of freedom, not necessarily whole. */
  readonly degrees: number;
  /** How often a difference at least this far to that side is seen where there is none. */
  readonly p: number;
}

/**
 * Student's test that a mean is `at`, for instance that a difference is 0.
 *
 * @throws GuerdonError "input" for fewer than two values
 */
export function meanTest(values: ArrayLike<number>, at = 0, side: Side = "both"): TTest {
  checked(values, 2, "a t test");
  return tTest(mean(values) - at, deviation(values, { ddof: 1 }) / Math.sqrt(values.length), values.length - 1, side);
}

/**
 * The paired t test that two means are equal: `meanTest` of left - right, pair by pair. For two arms that ran on the same seeds.
 *
 * @throws GuerdonError "input" for fewer than two pairs or unequal numbers of values
 */
export function pairedTest(left: ArrayLike<number>, right: ArrayLike<number>, side: Side = "both"): TTest {
  checkedPairs(left, right, 2, "a paired t test");
  return meanTest(
    Array.from(left, (x, i) => x - right[i]!),
    0,
    side,
  );
}

/**
 * Welch's t test (1947) that the means of two independent samples are equal, whatever their variances: degrees of freedom after
 * Satterthwaite.
 *
 * @throws GuerdonError "input" for fewer than two values on a side
 */
export function welchTest(left: ArrayLike<number>, right: ArrayLike<number>, side: Side = "both"): TTest {
  checked(left, 2, "Welch's t test");
  checked(right, 2, "Welch's t test");
  const [a, b] = [left, right].map((values) => deviation(values, { ddof: 1 }) ** 2 / values.length) as [number, number];
  // Without any variance the ratio is 0/0; it does not matter then, because t is 0 or infinite.
  const degrees = a + b === 0 ? left.length + right.length - 2 : (a + b) ** 2 / (a ** 2 / (left.length - 1) + b ** 2 / (right.length - 1));
  return tTest(mean(left) - mean(right), Math.sqrt(a + b), degrees, side);
}

/**
 * The exact binomial test that the probability behind `successes` of `n` is `at`.
 *
 * @param successes whole number in [0, n]
 * @param at in [0, 1]
 * @returns the p-value: how often so many ("above"), so few ("below") or so unlikely ("both") a number of successes is seen
 */
export function shareTest(successes: number, n: number, at: number, side: Side = "both"): number {
  checkedCounts(successes, n);
  if (!(at >= 0 && at <= 1)) throw new GuerdonError("usage", `a share is tested against a share in [0, 1]; got ${at}`);
  if (side === "above") return successes === 0 ? 1 : incompleteBeta(at, successes, n - successes + 1);
  if (side === "below") return successes === n ? 1 : incompleteBeta(1 - at, n - successes, successes + 1);
  if (at === 0 || at === 1) return successes === at * n ? 1 : 0;
  const probability = (k: number): number =>
    Math.exp(logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1) + k * Math.log(at) + (n - k) * Math.log1p(-at));
  // Numbers as likely as the one seen count too, in spite of rounding.
  const bound = probability(successes) * (1 + 1e-7);
  let p = 0;
  for (let k = 0; k <= n; k++) p += probability(k) <= bound ? probability(k) : 0;
  return Math.min(1, p);
}

/**
 * Holm's adjustment (1979) of the p-values of several tests: rejecting where the adjusted value is at most alpha keeps the probability of
 * any false rejection at alpha, however the tests depend on each other.
 *
 * @returns in the order given: the k-th smallest of m times m - k + 1, at least the one before it and at most 1
 */
export function holm(p: readonly number[]): number[] {
  const outside = p.findIndex((value) => !(value >= 0 && value <= 1));
  if (outside >= 0) throw new GuerdonError("input", `Holm's adjustment needs p-values in [0, 1]; value ${outside} is ${p[outside]}`);
  const adjusted = Array.from<number>({ length: p.length });
  let largest = 0;
  for (const [rank, i] of [...p.keys()].sort((a, b) => p[a]! - p[b]!).entries()) {
    largest = Math.max(largest, Math.min(1, (p.length - rank) * p[i]!));
    adjusted[i] = largest;
  }
  return adjusted;
}

function tTest(difference: number, error: number, degrees: number, side: Side): TTest {
  const statistic = difference === 0 ? 0 : difference / error;
  // The smaller tail has the digits; at infinity it is empty.
  const tail = (t: number): number => (t === -Infinity ? 0 : t === Infinity ? 1 : tCdf(t, degrees));
  const p = side === "above" ? tail(-statistic) : side === "below" ? tail(statistic) : 2 * tail(-Math.abs(statistic));
  return { difference, statistic, degrees, p };
}
