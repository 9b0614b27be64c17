import { objective } from "./objective.ts";
import type { Objective } from "./objective.ts";
import { aggregate } from "./reductions.ts";
import type { Aggregation } from "./reductions.ts";

/**
 * Rewards a policy for staying undecided: minus coefficient * aggregate(entropy), where entropy is the policy's own output, in nats a
 * token, of the full distribution. Linear in the output.
 *
 * Policy output: "entropy". Coefficient: `coefficient`. Metric: `entropy`.
 */
export const entropyBonus = (options: { readonly coefficient: number } & Aggregation): Objective =>
  objective({
    name: "entropy bonus",
    policy: ["entropy"],
    logProbs: false,
    coefficients: { coefficient: options.coefficient },
    linear: true,
    loss(outputs, batch, c) {
      const entropy = aggregate(outputs.entropy, batch, options);
      return { loss: entropy.mul(c.coefficient).neg(), metrics: { entropy } };
    },
  });
