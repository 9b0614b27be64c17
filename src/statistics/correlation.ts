import { GuerdonError } from "../error.ts";
import { checked, checkedPairs, mean } from "./summary.ts";

/**
 * Pearson's correlation, in [-1, 1].
 *
 * @throws GuerdonError "input" for fewer than two pairs, and where one side does not vary: nothing can be said then, and 0 would be a claim
 */
export function pearson(left: ArrayLike<number>, right: ArrayLike<number>): number {
  checkedPairs(left, right, 2, "a correlation");
  const [a, b] = [mean(left), mean(right)];
  let [together, leftSquares, rightSquares] = [0, 0, 0];
  for (let i = 0; i < left.length; i++) {
    const [x, y] = [left[i]! - a, right[i]! - b];
    together += x * y;
    leftSquares += x * x;
    rightSquares += y * y;
  }
  if (leftSquares === 0 || rightSquares === 0)
    throw new GuerdonError(
      "input",
      `a correlation needs values that vary; all of the ${leftSquares === 0 ? "left" : "right"} ones are equal`,
    );
  return Math.max(-1, Math.min(1, together / Math.sqrt(leftSquares) / Math.sqrt(rightSquares)));
}

/** Spearman's correlation: `pearson` of the ranks, in [-1, 1]. Equal values share the mean of their ranks. Throws as `pearson` does. */
export function spearman(left: ArrayLike<number>, right: ArrayLike<number>): number {
  checkedPairs(left, right, 2, "a correlation");
  return pearson(ranks(left), ranks(right));
}

/**
 * The area under the curve of true positives over false positives: how often a positive scores above a negative, a tie counting one half.
 *
 * @param positive what each of the scores belongs to
 * @returns in [0, 1]; 0.5 is chance
 * @throws GuerdonError "input" unless there are both positives and negatives, as many labels as scores
 */
export function areaUnderCurve(scores: ArrayLike<number>, positive: ArrayLike<boolean>): number {
  checked(scores, 2, "an area under the curve");
  if (positive.length !== scores.length)
    throw new GuerdonError("input", `there are ${scores.length} scores and ${positive.length} labels; every score needs one`);
  const order = ranks(scores);
  let [rankSum, positives] = [0, 0];
  for (let i = 0; i < order.length; i++) if (positive[i]!) [rankSum, positives] = [rankSum + order[i]!, positives + 1];
  const negatives = order.length - positives;
  if (positives === 0 || negatives === 0)
    throw new GuerdonError("input", `an area under the curve needs positives and negatives; there are ${positives} and ${negatives}`);
  // Mann and Whitney: the sum of the positives' ranks, less what they would have among themselves.
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/** The places of values in ascending order, from 1; equal ones share the mean of theirs. */
export function ranks(values: ArrayLike<number>): Float64Array {
  checked(values, 1, "a ranking");
  const order = Float64Array.from(values, (_, i) => i).sort((i, j) => values[i]! - values[j]!);
  const out = new Float64Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let k = start; k < end; k++) out[order[k]!] = (start + 1 + end) / 2;
    start = end;
  }
  return out;
}
