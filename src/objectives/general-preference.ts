import { div, softplus, sqrt, square } from "../arrays/index.ts";
import type { Arr } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import { scoreOutputs } from "../policies/scores.ts";
import { between, readers } from "./bradley-terry.ts";
import type { ReadRow } from "./bradley-terry.ts";
import { objective } from "./objective.ts";
import type { Objective } from "./objective.ts";
import { rowMean, rowSum, setMean } from "./reductions.ts";

export interface GeneralPreferenceOptions {
  /** Numbers of an answer's embedding: even. Two can express one cycle and, with a constant second number, any Bradley-Terry order. */
  readonly size: number;
  /** Scores are divided by it before the sigmoid. */
  readonly temperature: number;
  readonly read: ReadRow;
  /** Divide each embedding by its length. Default false. */
  readonly normalise?: boolean;
  /** Reads the set column "label": the probability that member 0 is the better one. */
  readonly softLabels?: boolean;
}

/**
 * Fits a preference that need not be transitive (general preference model, arXiv 2410.02197). Each answer has an embedding v; answer i
 * beats j with probability sigmoid(s / temperature), where s = sum_l (v_i[2l] v_j[2l+1] - v_i[2l+1] v_j[2l]) changes its sign with the
 * order. The loss of a pair is -log of that.
 *
 * Policy outputs: "score.0" to "score.{size - 1}". Set column: "label" if asked for. Metrics: `accuracy` (share of pairs with s > 0), `margin`
 * (mean of s).
 *
 * @throws GuerdonError "usage" for an odd size or a temperature that is not positive
 */
export function generalPreference(options: GeneralPreferenceOptions): Objective {
  const { size, temperature, read, normalise = false, softLabels = false } = options;
  if (!(Number.isInteger(size) && size >= 2 && size % 2 === 0))
    throw new GuerdonError("usage", `size must be an even whole number of at least 2, because numbers are used in pairs; it is ${size}`);
  if (!(temperature > 0)) throw new GuerdonError("usage", `temperature must be positive; it is ${temperature}`);
  const names = scoreOutputs(size);
  return objective({
    name: "general preference",
    policy: names,
    logProbs: false,
    set: softLabels ? ["label"] : [],
    setSize: 2,
    loss(outputs, batch) {
      const raw = names.map((name) => readers[read](outputs[name]!, batch));
      const embedding = normalise ? unit(raw) : raw;
      const [chosen, rejected] = [0, 1].map((member) => embedding.map((v) => batch.sets.of(v).at(1, member)));
      const s = skew(chosen!, rejected!);
      const win = softplus(s.div(-temperature));
      return {
        loss: setMean(softLabels ? between(batch.sets.set.label, win, softplus(s.div(temperature))) : win, batch),
        metrics: { accuracy: setMean(s.greater(0), batch), margin: setMean(s, batch) },
      };
    },
  });
}

/** sum_l (a[2l] b[2l+1] - a[2l+1] b[2l]), number by number. */
function skew(a: readonly Arr[], b: readonly Arr[]): Arr {
  let total: Arr | null = null;
  for (let l = 0; l + 1 < a.length; l += 2) {
    const block = a[l]!.mul(b[l + 1]!).sub(a[l + 1]!.mul(b[l]!));
    total = total === null ? block : total.add(block);
  }
  return total!;
}

/** Each row's embedding over its length. The tiny number keeps the gradient of an embedding of zeros finite. */
function unit(embedding: readonly Arr[]): Arr[] {
  const [first, ...rest] = embedding.map((v) => square(v));
  const scale = div(1, sqrt(rest.reduce((sum, v) => sum.add(v), first!).add(1e-12)));
  return embedding.map((v) => v.mul(scale));
}

/**
 * General preference optimisation (GPO, arXiv 2410.02197; with P - 1/2 as the score SPPO, arXiv 2405.00675): the log-ratio of an answer to
 * the policy that drew it is pulled to score / beta: mean over rows of (sum_t [log pi - log pi_t] - score / beta)^2. It is the square-loss
 * form of an exact mirror step, pi proportional to pi_t exp(score / beta), without its normaliser.
 *
 * Token column: "behaviour" (or "reference", as `against` says). Row column: "score", by how much the answer is preferred to answers of the
 * policy that drew it. Coefficient: beta. Metric: `logRatio` (mean).
 *
 * @throws GuerdonError "usage" when beta is not positive
 */
export function gpo(options: { readonly beta: number; readonly against: "behaviour" | "reference" }): Objective {
  const { beta, against } = options;
  if (!(beta > 0)) throw new GuerdonError("usage", `beta must be positive; it is ${beta}`);
  return objective({
    name: "gpo",
    token: [against],
    row: ["score"],
    coefficients: { beta },
    loss({ logProbs }, batch, c) {
      const ratio = rowSum(logProbs.sub(batch.token[against]), batch);
      return {
        loss: rowMean(square(ratio.sub(batch.row.score.div(c.beta))), batch),
        metrics: { logRatio: rowMean(ratio, batch) },
      };
    },
  });
}
