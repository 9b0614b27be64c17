import { log, logSoftmax, logSumExp, maximum, sub, where } from "../arrays/index.ts";
import type { Arr } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import { objective } from "./objective.ts";
import type { Objective } from "./objective.ts";
import { againstColumns, logRatio } from "./pair-loss.ts";
import type { Against } from "./pair-loss.ts";
import { rowMeanOf, setMean } from "./reductions.ts";

/** Stands for a member that is not there: exp of it is 0, and unlike -Infinity it survives a product with 0. */
const ABSENT = -1e30;

export interface ListLossOptions {
  /** Scales the log-ratios: u = beta * (log pi(row) - what it is measured against). ADPO writes 1 / tau. */
  readonly beta: number;
  /** Default "reference". */
  readonly against?: Against;
}

/**
 * Losses on sets of any size, with u = beta * log-ratio of each member:
 * - "cross-entropy": -sum_i q_i log softmax(u)_i against a target distribution q, the member column "target", which must sum to 1 in
 *   each set (anchored DPO, arXiv 2510.18913; two members with q = (1, 0) give DPO). Metric `kl`: the same minus the entropy of q.
 * - "plackett-luce": sum_k [logsumexp of u over the members ranked k or worse, minus u_k], with the member column "rank", 0 for the
 *   best (ListMLE). Members of equal rank stand in each other's denominators (Breslow's rule).
 * The mean is over sets. Coefficient: beta.
 *
 * @throws GuerdonError "usage" when beta is not positive
 */
export function listLoss(kind: "cross-entropy" | "plackett-luce", options: ListLossOptions): Objective {
  const { beta, against = "reference" } = options;
  if (!(beta > 0)) throw new GuerdonError("usage", `beta must be positive; it is ${beta}`);
  const declaration = { name: kind, ...againstColumns(against), sets: true, coefficients: { beta } } as const;

  if (kind === "cross-entropy")
    return objective({
      ...declaration,
      member: ["target"],
      loss({ logProbs }, batch, c) {
        const { target } = batch.sets.member;
        const u = batch.sets.of(logRatio(logProbs, batch, against)).mul(c.beta);
        const logP = logSoftmax(where(batch.sets.mask, u, ABSENT));
        const crossEntropy = target.mul(logP).sum(1).neg();
        const entropy = target
          .mul(log(maximum(target, 1e-300)))
          .sum(1)
          .neg(); // 0 log 0 = 0
        return { loss: setMean(crossEntropy, batch), metrics: { kl: setMean(crossEntropy.sub(entropy), batch) } };
      },
    });

  return objective({
    ...declaration,
    member: ["rank"],
    loss({ logProbs }, batch, c) {
      const { mask } = batch.sets;
      const u = batch.sets.of(logRatio(logProbs, batch, against)).mul(c.beta);
      const { rank } = batch.sets.member;
      const open = across(mask).mul(sub(1, across(rank).less(down(rank)))); // [S, k, j]: j is not yet placed when k is
      const total = logSumExp(where(open, across(u), ABSENT));
      return setMean(total.sub(u).mul(mask).sum(1), batch);
    },
  });
}

/**
 * Rank responses to align (RRHF, arXiv 2304.05302): with s the mean log-probability of a token, the sum over all pairs of a set in
 * which i is ranked before j of max(0, s_j - s_i), plus imitation * -s of the best (the mean over those of rank 0).
 *
 * Member column: "rank", 0 for the best. Coefficient: imitation. Metrics: `misranked` (the first sum), `nll`.
 */
export const rrhf = (options: { readonly imitation: number }): Objective =>
  objective({
    name: "rrhf",
    member: ["rank"],
    coefficients: { imitation: options.imitation },
    loss({ logProbs }, batch, c) {
      const { mask } = batch.sets;
      const s = batch.sets.of(rowMeanOf(logProbs, batch));
      const { rank } = batch.sets.member;
      const ordered = down(rank).less(across(rank)).mul(down(mask)).mul(across(mask)); // [S, i, j]: i is ranked before j
      const misranked = setMean(
        maximum(across(s).sub(down(s)), 0)
          .mul(ordered)
          .sum(2)
          .sum(1),
        batch,
      );
      const best = rank.equal(0).mul(mask);
      const nll = setMean(
        s
          .mul(best)
          .sum(1)
          .div(maximum(best.sum(1), 1))
          .neg(),
        batch,
      );
      return { loss: misranked.add(nll.mul(c.imitation)), metrics: { misranked, nll } };
    },
  });

/** [S, G] as [S, G, 1]: constant along the last axis. */
const down = (x: Arr): Arr => x.reshape([x.shape[0]!, x.shape[1]!, 1]);
/** [S, G] as [S, 1, G]: constant along the middle axis. */
const across = (x: Arr): Arr => x.reshape([x.shape[0]!, 1, x.shape[1]!]);
