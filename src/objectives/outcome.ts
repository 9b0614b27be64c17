import { softplus } from "../arrays/index.ts";
import type { Arr } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import { between, readers } from "./bradley-terry.ts";
import type { ReadRow } from "./bradley-terry.ts";
import { objective } from "./objective.ts";
import type { Batch, Objective } from "./objective.ts";
import { againstColumns, logRatio } from "./pair-loss.ts";
import type { Against } from "./pair-loss.ts";
import { aggregate, rowMean, tokenMean } from "./reductions.ts";
import type { Aggregation } from "./reductions.ts";

/** -label log sigmoid(f) - (1 - label) log sigmoid(-f). */
const crossEntropy = (f: Arr, label: Arr): Arr => between(label, softplus(f.neg()), softplus(f));
/** 1 where f and label are on the same side. */
const agreement = (f: Arr, label: Arr): Arr => f.greater(0).equal(label.greater(0.5));

const ofRows = (f: Arr, batch: Batch<never, "label">): { loss: Arr; metrics: Readonly<Record<string, Arr>> } => {
  const { label } = batch.row;
  return { loss: rowMean(crossEntropy(f, label), batch), metrics: { accuracy: rowMean(agreement(f, label), batch) } };
};

/**
 * Fits a verifier to outcomes (an outcome reward model, arXiv 2110.14168): binary cross-entropy of sigmoid(reward) with a label, where the
 * reward of a row is read from the "score" output.
 *
 * Policy output: "score". Row column: "label", from 0 (wrong) to 1 (right). Metric: `accuracy`.
 */
export const outcomeLoss = (options: { readonly read: ReadRow }): Objective =>
  objective({
    name: "outcome",
    policy: ["score"],
    logProbs: false,
    row: ["label"],
    loss: ({ score }, batch) => ofRows(readers[options.read](score, batch), batch),
  });

/**
 * The same cross-entropy, with the log-ratio of a policy to its reference as the reward: beta * sum_t [log pi - log reference]
 * (arXiv 2412.01981). What is fitted to outcomes is a language model, and its reward comes apart into one number an action.
 *
 * Token column: "reference" (unless `against` says otherwise). Row column: "label", from 0 to 1. Coefficient: beta. Metrics: `accuracy`,
 * `reward` (mean).
 *
 * @throws GuerdonError "usage" when beta is not positive
 */
export function logRatioOutcome(options: { readonly beta: number; readonly against?: Against }): Objective {
  const { beta, against = "reference" } = options;
  if (!(beta > 0)) throw new GuerdonError("usage", `beta must be positive; it is ${beta}`);
  const { token, row } = againstColumns(against);
  return objective({
    name: "log-ratio outcome",
    token,
    row: [...row, "label"],
    coefficients: { beta },
    loss({ logProbs }, batch, c) {
      const reward = logRatio(logProbs, batch, against).mul(c.beta);
      const { loss, metrics } = ofRows(reward, batch);
      return { loss, metrics: { ...metrics, reward: rowMean(reward, batch) } };
    },
  });
}

/**
 * Fits a process reward model: binary cross-entropy of sigmoid(score) with a label at each step's last action. Which actions end a step is
 * in the mask of the examples (1 there, 0 elsewhere); labels may be shares of successful continuations (arXiv 2312.08935).
 *
 * Policy output: "score". Token column: "label", from 0 to 1. Metric: `accuracy`.
 */
export const stepOutcomeLoss = (aggregation: Aggregation): Objective =>
  objective({
    name: "step outcome",
    policy: ["score"],
    logProbs: false,
    token: ["label"],
    loss({ score }, batch) {
      const { label } = batch.token;
      return {
        loss: aggregate(crossEntropy(score, label), batch, aggregation),
        metrics: { accuracy: tokenMean(agreement(score, label), batch) },
      };
    },
  });
