import { objective } from "./objective.ts";
import type { Objective } from "./objective.ts";
import { aggregate } from "./reductions.ts";
import type { Aggregation } from "./reductions.ts";

const negativeLogLikelihood = (name: string, aggregation: Aggregation): Objective =>
  objective({
    name,
    linear: true,
    loss: ({ logProbs }, batch) => aggregate(logProbs, batch, aggregation).neg(),
  });

/** Supervised fine-tuning: minus the aggregate of the log-probabilities of demonstrated actions. Linear. */
export const sft = (aggregation: Aggregation): Objective => negativeLogLikelihood("sft", aggregation);

/**
 * Reward-ranked fine-tuning (RAFT, arXiv 2304.06767; rejection sampling, expert iteration): the same loss on the policy's own accepted
 * answers. Acceptance is data: `select` the accepted rows, or give them row weights (credit/). Linear.
 */
export const raft = (aggregation: Aggregation): Objective => negativeLogLikelihood("raft", aggregation);
