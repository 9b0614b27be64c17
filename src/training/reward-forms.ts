import { bradleyTerry, generalPreference, logRatioOutcome, outcomeLoss, pairLoss, stepOutcomeLoss } from "../objectives/index.ts";
import type { BradleyTerryOptions, Objective, ReadRow } from "../objectives/index.ts";
import type { RewardReading } from "../rewards/index.ts";
import type { StepAggregate } from "../rewards/index.ts";

/** A kind of reward model: how it learns, and how the reward is read off what has been learnt. Replace a part, not a flag. */
export interface RewardForm {
  readonly objective: Objective;
  readonly reading: RewardReading;
}

/** From pairs: a score that is higher for the preferred answer (`bradleyTerry`). Default: the last action's score. */
export const pairReward = (options: Partial<BradleyTerryOptions> = {}): RewardForm => {
  const { read = "last" } = options;
  return { objective: bradleyTerry({ ...options, read }), reading: { kind: "score", read } };
};

/** From outcomes: a score whose sigmoid is the probability of being right (`outcomeLoss`). */
export const outcomeReward = ({ read = "last" }: { readonly read?: ReadRow } = {}): RewardForm => ({
  objective: outcomeLoss({ read }),
  reading: { kind: "score", read },
});

/**
 * From labels of steps, for instance by `monteCarloValues`: at each step's end the probability that all is well (`stepOutcomeLoss`).
 *
 * @param options.value how the steps' probabilities become the answer's; default "min"
 */
export const processReward = ({ value = "min" }: { readonly value?: StepAggregate } = {}): RewardForm => ({
  objective: stepOutcomeLoss({ aggregation: "token-mean", divisor: null }),
  reading: { kind: "steps", value },
});

/**
 * From outcomes ("cross-entropy") or pairs ("dpo"): a language model whose log-ratio to a frozen reference is the reward, so that each token
 * and step has one (arXiv 2412.01981). The examples need the token column "reference" (`withLogProbs`).
 */
export const logRatioReward = (options: { readonly beta: number; readonly loss?: "cross-entropy" | "dpo" }): RewardForm => {
  const { beta, loss = "cross-entropy" } = options;
  return {
    objective: loss === "dpo" ? pairLoss("dpo", { beta }) : logRatioOutcome({ beta }),
    reading: { kind: "log-ratio", beta },
  };
};

/**
 * From pairs that need not be transitive: an embedding of `size` numbers an answer (`generalPreference`). The policy needs a score head of that
 * many numbers. The reward of an answer is its mean score against all answers to the same prompt.
 */
export const preferenceReward = (options: {
  readonly size: number;
  readonly temperature?: number;
  readonly read?: ReadRow;
  readonly normalise?: boolean;
  readonly softLabels?: boolean;
}): RewardForm => {
  const { size, temperature = 1, read = "last", normalise = false, softLabels = false } = options;
  return {
    objective: generalPreference({ size, temperature, read, normalise, softLabels }),
    reading: { kind: "preference", size, temperature, read, normalise },
  };
};
