import { pairs } from "../credit/index.ts";
import { combine, onRows, pairLoss, sft } from "../objectives/index.ts";
import { rolloutMethod } from "../training/index.ts";
import type { RolloutMethod, RolloutOptions } from "../training/index.ts";

export interface XpoOptions extends RolloutOptions {
  /** Weight of the optimism. Default 1e-5. */
  readonly alpha?: number;
  /** Strength of the pull towards the reference. Default 0.1. */
  readonly beta?: number;
  /** Answers of the reference policy to each task, beside `groupSize` (default 8) of the policy's own. Default 8. */
  readonly referenceAnswers?: number;
  /** The most pairs of one task. Default 4. */
  readonly perTask?: number;
}

/**
 * Exploratory preference optimisation (XPO, arXiv 2405.21046): DPO on pairs of an answer of the policy and one of the reference policy,
 * plus alpha times the log-probability of the reference's answers, which a minimiser lowers. As the log-ratio to the reference is an
 * implicit reward, this is optimism: what the reference rarely says is presumed good until it was compared. The policy class must bound the
 * log-ratio, or the second term has no lower end.
 *
 * Both terms are means, of pairs and of answers; the paper sums both over the same number of them.
 */
export function xpo(options: XpoOptions = {}): RolloutMethod {
  const { alpha = 1e-5, beta = 0.1, referenceAnswers = 8, perTask = 4, groupSize = 8 } = options;
  return rolloutMethod(
    {
      name: "XPO",
      settings: { alpha, beta, pairs: "policy against reference", perTask },
      referenceAnswers,
      credit(table, { rng }) {
        const explored = Float64Array.from(table.keys["source"]!);
        return pairs(table, { kind: "across", key: "source", perTask, rng, rows: "all", columns: { row: { explored } } });
      },
      // The negative log-likelihood with a negative weight: unlearning what the reference says.
      objective: combine(
        { dpo: pairLoss("dpo", { beta }), optimism: onRows("explored", sft({ aggregation: "row-sum", divisor: null })) },
        { optimism: -alpha },
      ),
    },
    { ...options, groupSize },
  );
}
