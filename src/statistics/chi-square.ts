import { GuerdonError } from "../error.ts";
import { incompleteGamma } from "./special.ts";

/** How far counts are from what probabilities lead one to expect. */
export interface ChiSquare {
  /** Sum over cells of (count - expected)^2 / expected. */
  readonly statistic: number;
  /** Degrees of freedom: cells with a positive probability, less one. */
  readonly degrees: number;
  /** How likely a statistic at least as large is where the probabilities are right. */
  readonly p: number;
}

/**
 * Pearson's chi-square test that counts were drawn from a distribution. The p-value is an approximation that wants about five expected
 * counts in each cell.
 *
 * @param counts how often each cell was drawn
 * @param probabilities of the cells; normalised here
 * @throws GuerdonError "input" for lengths that differ, no counts, fewer than two possible cells, or a count in an impossible one
 */
export function chiSquareTest(counts: ArrayLike<number>, probabilities: ArrayLike<number>): ChiSquare {
  if (counts.length !== probabilities.length)
    throw new GuerdonError("input", `a chi-square test needs one probability a count: ${counts.length} and ${probabilities.length}`);
  let [drawn, mass, possible] = [0, 0, 0];
  for (let i = 0; i < counts.length; i++) {
    if (!(counts[i]! >= 0 && probabilities[i]! >= 0) || (probabilities[i] === 0 && counts[i]! > 0))
      throw new GuerdonError("input", `cell ${i} has the count ${counts[i]} and the probability ${probabilities[i]}`);
    drawn += counts[i]!;
    mass += probabilities[i]!;
    if (probabilities[i]! > 0) possible++;
  }
  if (!(drawn > 0 && possible > 1))
    throw new GuerdonError("input", `a chi-square test of ${drawn} draws from ${possible} cells says nothing`);
  let statistic = 0;
  for (let i = 0; i < counts.length; i++) {
    const expected = (drawn * probabilities[i]!) / mass;
    if (expected > 0) statistic += (counts[i]! - expected) ** 2 / expected;
  }
  const degrees = possible - 1;
  return { statistic, degrees, p: incompleteGamma(statistic / 2, degrees / 2) };
}
