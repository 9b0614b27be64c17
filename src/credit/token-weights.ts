import { GuerdonError } from "../error.ts";

/** Weights in [0, 1] of each token, 0 in masked ones: for answers that were right, and for answers that were wrong. */
export interface TokenWeights {
  readonly right: Float64Array;
  readonly wrong: Float64Array;
}

/**
 * Token weights from the scores of a token reward model, whose mean over a whole answer is the logit of its being right. With
 * c_t the mean score of the policy's tokens up to t and p_t = sigmoid(c_t): `right` is max(2 p_t - 1, 0) and `wrong` max(1 - 2 p_t, 0). A
 * token thus counts in a right answer as far as the answer looked right by then, and in a wrong one as far as it looked wrong.
 *
 * @param scores one a token
 * @param mask 0: not an action of the policy; such a token has no part in the means
 * @throws GuerdonError "input" when lengths differ; "non-finite" naming the token
 * Source: arXiv 2502.06781 (OREAL).
 */
export function cumulativeTokenWeights(scores: ArrayLike<number>, mask: ArrayLike<number>): TokenWeights {
  if (scores.length !== mask.length) throw new GuerdonError("input", `${scores.length} token scores and ${mask.length} mask entries`);
  const right = new Float64Array(scores.length);
  const wrong = new Float64Array(scores.length);
  let total = 0;
  let count = 0;
  for (let t = 0; t < scores.length; t++) {
    if (mask[t] === 0) continue;
    if (!Number.isFinite(scores[t]!)) throw new GuerdonError("non-finite", `the score of token ${t} is ${scores[t]}`);
    total += scores[t]!;
    // 2 sigmoid(c) - 1 = tanh(c / 2)
    const lean = Math.tanh(total / ++count / 2);
    right[t] = Math.max(lean, 0);
    wrong[t] = Math.max(-lean, 0);
  }
  return { right, wrong };
}
