import { GuerdonError } from "../error.ts";

/** Arithmetic mean, exact for equal values. @throws GuerdonError "input" for no values, "non-finite" naming the index */
export function mean(values: ArrayLike<number>): number {
  checked(values, 1, "a mean");
  const first = values[0]!;
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]! - first;
  return first + total / values.length;
}

/**
 * Standard deviation.
 *
 * @param options.ddof 0 divides the sum of squares by n (population), 1 by n - 1 (sample)
 * @throws GuerdonError "input" when there are not more values than ddof
 */
export function deviation(values: ArrayLike<number>, { ddof }: { readonly ddof: 0 | 1 }): number {
  checked(values, ddof + 1, "a deviation");
  const centre = mean(values);
  let total = 0;
  for (let i = 0; i < values.length; i++) total += (values[i]! - centre) ** 2;
  return Math.sqrt(total / (values.length - ddof));
}

/**
 * The value below which a share of the values lies, interpolated linearly between neighbours (type 7, the default of NumPy and R).
 *
 * @param share in [0, 1]; 0.5 is the median
 */
export function quantile(values: ArrayLike<number>, share: number): number {
  checked(values, 1, "a quantile");
  if (!(share >= 0 && share <= 1)) throw new GuerdonError("usage", `a quantile's share must be in [0, 1]; it is ${share}`);
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below]!;
  const high = sorted[Math.ceil(place)]!;
  return low + (place - below) * (high - low);
}

/** The middle value; the mean of the two middle ones of an even number. */
export const median = (values: ArrayLike<number>): number => quantile(values, 0.5);

/**
 * The mean of the middle half: a quarter of the values, rounded down, is left out at either end (rliable, arXiv 2108.13264, and SciPy's
 * trim_mean). Its interval is the bootstrap's: `bootstrapInterval(values, interquartileMean, { rng })`.
 */
export function interquartileMean(values: ArrayLike<number>): number {
  checked(values, 1, "an interquartile mean");
  const sorted = Float64Array.from(values).sort();
  const cut = Math.floor(sorted.length / 4);
  return mean(sorted.subarray(cut, sorted.length - cut));
}

/** Throws where values are too few or not finite, so that no statistic is ever made of them. */
export function checked(values: ArrayLike<number>, atLeast: number, what: string): void {
  if (values.length < atLeast)
    throw new GuerdonError("input", `${what} needs at least ${atLeast} ${atLeast === 1 ? "value" : "values"}; there are ${values.length}`);
  for (let i = 0; i < values.length; i++)
    if (!Number.isFinite(values[i]!)) throw new GuerdonError("non-finite", `${what}: value ${i} is ${values[i]}`);
}

/** `checked` for two lists whose values belong together one by one. */
export function checkedPairs(left: ArrayLike<number>, right: ArrayLike<number>, atLeast: number, what: string): void {
  if (left.length !== right.length)
    throw new GuerdonError("input", `${what} needs pairs; there are ${left.length} and ${right.length} values`);
  checked(left, atLeast, what);
  checked(right, atLeast, what);
}

/** Throws where a number of successes is not one of n trials. */
export function checkedCounts(successes: number, n: number): void {
  if (!(Number.isInteger(n) && n >= 1 && Number.isInteger(successes) && successes >= 0 && successes <= n))
    throw new GuerdonError("input", `a share needs whole numbers 0 <= successes <= n and n >= 1; got ${successes} of ${n}`);
}
