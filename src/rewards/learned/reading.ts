import type { ReadRow } from "../../objectives/bradley-terry.ts";
import { scoreOutputs } from "../../policies/scores.ts";
import { stepAggregate, type StepAggregate } from "../step-aggregate.ts";

/**
 * How a model's outputs become a reward. Plain JSON, for it is part of a saved reward.
 *
 * - "score": one number of the output "score".
 * - "steps": sigmoid of the output "score" at the last action of each step, a probability a step; `value` makes them one number.
 * - "log-ratio": beta * sum [log pi - log reference] over the actions of a step, and over all for the answer (arXiv 2412.01981).
 * - "preference": an embedding of `size` numbers that says by how much an answer beats another (arXiv 2410.02197).
 */
export type RewardReading =
  | { readonly kind: "score"; readonly read: ReadRow }
  | { readonly kind: "steps"; readonly value: StepAggregate }
  | { readonly kind: "log-ratio"; readonly beta: number }
  | {
      readonly kind: "preference";
      readonly size: number;
      readonly temperature: number;
      readonly read: ReadRow;
      readonly normalise: boolean;
    };

/** The outputs that a reading needs of the model. */
export function outputsOfReading(reading: RewardReading): readonly string[] {
  if (reading.kind === "log-ratio") return ["logProbs"];
  return scoreOutputs(reading.kind === "preference" ? reading.size : 1);
}

/** What a model says of one answer, one number an action, and which actions count. */
export interface RowOutputs {
  readonly outputs: Readonly<Record<string, ArrayLike<number>>>;
  readonly mask: ArrayLike<number>;
  /** Log-probabilities of the reference policy, for log-ratios. */
  readonly reference?: ArrayLike<number>;
  /** For each step the number of actions up to its end. Without them the whole answer is one step. */
  readonly ends?: readonly number[];
}

/** What is read of one answer: its reward, its embedding where it has none by itself, its steps where the reading gives them. */
export interface RowReading {
  /** One number; for "preference" the embedding. */
  readonly numbers: readonly number[];
  /** One number a step, where the reading has steps. */
  readonly steps?: readonly number[];
}

/** The reading of one answer. */
export function readRow(reading: RewardReading, row: RowOutputs): RowReading {
  const { outputs, mask, reference, ends = [mask.length] } = row;
  switch (reading.kind) {
    case "score":
      return { numbers: [fold(outputs["score"]!, mask, reading.read)] };
    case "preference": {
      const raw = scoreOutputs(reading.size).map((name) => fold(outputs[name]!, mask, reading.read));
      const length = reading.normalise ? Math.sqrt(raw.reduce((sum, v) => sum + v * v, 1e-12)) : 1;
      return { numbers: raw.map((v) => v / length) };
    }
    case "log-ratio": {
      const logProbs = outputs["logProbs"]!;
      const steps = ends.map((end, k) => {
        let sum = 0;
        for (let j = ends[k - 1] ?? 0; j < end; j++) sum += mask[j]! * (logProbs[j]! - reference![j]!);
        return reading.beta * sum;
      });
      return { numbers: [steps.reduce((sum, step) => sum + step, 0)], steps };
    }
    case "steps": {
      const steps = ends.map((end) => 1 / (1 + Math.exp(-outputs["score"]![end - 1]!)));
      return { numbers: [stepAggregate(steps, reading.value)], steps };
    }
  }
}

/** By how much one answer beats another, as a logit: the difference of their rewards, or the score of their embeddings over the temperature. */
export function lead(reading: RewardReading, one: readonly number[], other: readonly number[]): number {
  if (reading.kind !== "preference") return one[0]! - other[0]!;
  return skewScore(one, other) / reading.temperature;
}

/** sum_l (a[2l] b[2l+1] - a[2l+1] b[2l]): changes its sign with the order, and is 0 for equal embeddings. */
export function skewScore(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let l = 0; l + 1 < a.length; l += 2) sum += a[l]! * b[l + 1]! - a[l + 1]! * b[l]!;
  return sum;
}

/** As the objectives' reductions of the same names. */
function fold(values: ArrayLike<number>, mask: ArrayLike<number>, read: ReadRow): number {
  let [sum, weight, last] = [0, 0, 0];
  for (let j = 0; j < mask.length; j++) {
    if (mask[j]! === 0) continue;
    sum += mask[j]! * values[j]!;
    weight += mask[j]!;
    last = values[j]!;
  }
  return read === "last" ? last : read === "sum" ? sum : sum / (weight || 1);
}
