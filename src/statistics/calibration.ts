import { GuerdonError } from "../error.ts";
import { checkedPairs } from "./summary.ts";

/**
 * The expected calibration error (Naeini et al., 2015): predictions are put into bins of equal width by their probability, and in each bin
 * the mean probability is held against the mean label; the mean of the absolute differences, weighted by the bins' numbers.
 *
 * @param probabilities in [0, 1]
 * @param labels in [0, 1], usually 0 or 1
 * @param bins how many, default 10
 * @returns in [0, 1]; 0 is perfect
 * @throws GuerdonError "input" for unequal numbers, none, or a probability out of range
 */
export function calibrationError(probabilities: ArrayLike<number>, labels: ArrayLike<number>, bins = 10): number {
  if (!(Number.isInteger(bins) && bins >= 1)) throw new GuerdonError("usage", `bins must be a positive whole number; it is ${bins}`);
  checkedPairs(probabilities, labels, 1, "a calibration error");
  const difference = new Float64Array(bins);
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i]!;
    if (!(p >= 0 && p <= 1)) throw new GuerdonError("input", `probability ${i} is ${p}; it must be from 0 to 1`);
    difference[Math.min(bins - 1, Math.floor(p * bins))]! += p - labels[i]!;
  }
  return difference.reduce((sum, d) => sum + Math.abs(d), 0) / probabilities.length;
}
