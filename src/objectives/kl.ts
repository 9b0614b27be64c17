import { exp, square } from "../arrays/index.ts";
import type { Arr } from "../arrays/index.ts";
import { objective } from "./objective.ts";
import type { Objective } from "./objective.ts";
import { aggregate } from "./reductions.ts";
import type { Aggregation } from "./reductions.ts";

/** Estimators of the divergence KL(policy || reference) from one sampled token (Schulman, "Approximating KL divergence", 2020). */
export type KlEstimator = "k1" | "k2" | "k3";

/**
 * One number a token, with d = logProbs - reference: k1 = d (unbiased, may be negative), k2 = d^2 / 2 (biased, never negative),
 * k3 = exp(-d) - 1 + d (unbiased, never negative).
 */
function klEstimate(estimator: KlEstimator, logProbs: Arr, reference: Arr): Arr {
  const d = logProbs.sub(reference);
  switch (estimator) {
    case "k1":
      return d;
    case "k2":
      return square(d).div(2);
    case "k3":
      return exp(d.neg()).sub(1).add(d);
  }
}

/**
 * Penalty for leaving the reference policy: coefficient * aggregate(estimate). As a loss the estimators differ in their gradient, not
 * only in their value: on samples of the policy itself k2 has the gradient of the divergence, k1 has mean zero (it penalises nothing;
 * put it into the reward instead, `klInReward` in credit/), and k3 has that of the reverse divergence KL(reference || policy).
 *
 * Token column: "reference". Coefficient: `coefficient`. Metric: `kl`, the aggregate before the coefficient.
 */
export const klPenalty = (options: { readonly estimator: KlEstimator; readonly coefficient: number } & Aggregation): Objective =>
  objective({
    name: `${options.estimator} penalty`,
    token: ["reference"],
    coefficients: { coefficient: options.coefficient },
    linear: options.estimator === "k1",
    loss({ logProbs }, batch, c) {
      const kl = aggregate(klEstimate(options.estimator, logProbs, batch.token.reference), batch, options);
      return { loss: kl.mul(c.coefficient), metrics: { kl } };
    },
  });
