import { GuerdonError } from "../error.ts";
import type { HostTensor } from "../statistics/snapshot.ts";
import { normal, stream } from "../statistics/stream.ts";
import type { HostParameters, HostPolicy } from "./host-policy.ts";
import { scoreOutputs } from "./scores.ts";

/** A vector that stands for an answer: the embedding of its text, attributes that were measured. It counts as one action. */
export interface FeatureSequence {
  readonly features: Float32Array;
}

export interface ScorerConfig {
  /** Numbers in a feature vector. */
  readonly features: number;
  /** Widths of the hidden layers (tanh); none for a linear map. */
  readonly hidden: readonly number[];
  /** Numbers in the score: 1 is output "score", more are "score.0", "score.1", ... Default 1. */
  readonly scores?: number;
}

/**
 * A reward model on feature vectors: a fully connected network in plain float64 loops for `hostEngine`, which at these sizes beats a
 * compiled program and starts at once, in a browser too. It only scores; sampling from it throws "unsupported".
 *
 * @throws GuerdonError "usage" for widths that are no whole numbers of at least 1; "input" naming the row for features that do not fit
 */
export function scorer(config: ScorerConfig): HostPolicy<FeatureSequence> {
  const sizes = [config.features, ...config.hidden, config.scores ?? 1];
  for (const n of sizes)
    if (!Number.isInteger(n) || n < 1)
      throw new GuerdonError("usage", `scorer: every width must be a whole number of at least 1, not ${n}.`);
  const layers = sizes.length - 1;
  const outputs = scoreOutputs(sizes.at(-1)!);

  /** Activations of all layers for one vector; tanh after every layer but the last. */
  function run(parameters: HostParameters, { features }: FeatureSequence, number: number): Float64Array[] {
    if (features.length !== sizes[0])
      throw new GuerdonError("input", `Row ${number} has ${features.length} features; the scorer takes ${sizes[0]}.`);
    const all = [Float64Array.from(features)];
    for (let l = 0; l < layers; l++) {
      const [from, to] = [sizes[l]!, sizes[l + 1]!];
      const [weight, bias] = [parameters[`${l}.weight`]!, parameters[`${l}.bias`]!];
      const x = all[l]!;
      const y = bias.slice();
      for (let i = 0; i < from; i++) {
        const xi = x[i]!;
        for (let j = 0; j < to; j++) y[j]! += xi * weight[i * to + j]!;
      }
      if (l + 1 < layers) for (let j = 0; j < to; j++) y[j] = Math.tanh(y[j]!);
      all.push(y);
    }
    return all;
  }

  const named = (scores: readonly Float64Array[], names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, scores.map((row) => Float32Array.of(row[outputs.indexOf(name)]!))]));

  return {
    family: "scorer",
    outputs,
    config: { family: "scorer", features: config.features, hidden: [...config.hidden], scores: sizes.at(-1)! },
    actions: () => 1,

    /** Weights N(0, 1 / inputs), biases 0. */
    init(seed) {
      const made: Record<string, HostTensor> = {};
      for (let l = 0; l < layers; l++) {
        const [from, to] = [sizes[l]!, sizes[l + 1]!];
        const rng = stream(seed, "scorer", l);
        made[`${l}.weight`] = { shape: [from, to], data: Float32Array.from({ length: from * to }, () => normal(rng) / Math.sqrt(from)) };
        made[`${l}.bias`] = { shape: [to], data: new Float32Array(to) };
      }
      return made;
    },

    forward: (parameters, rows, names) =>
      named(
        rows.map((row, i) => run(parameters, row, i)[layers]!),
        names,
      ),

    backward(parameters, rows, gradients, into) {
      const found = rows.map((row, i) => run(parameters, row, i));
      found.forEach((all, i) => {
        let d = Float64Array.from(outputs, (name) => gradients[name]?.[i]![0] ?? 0);
        for (let l = layers - 1; l >= 0; l--) {
          const [from, to] = [sizes[l]!, sizes[l + 1]!];
          const [weight, dWeight, dBias] = [parameters[`${l}.weight`]!, into[`${l}.weight`]!, into[`${l}.bias`]!];
          const x = all[l]!;
          const below = new Float64Array(from);
          for (let j = 0; j < to; j++) dBias[j]! += d[j]!;
          for (let k = 0; k < from; k++) {
            let sum = 0;
            for (let j = 0; j < to; j++) {
              dWeight[k * to + j]! += x[k]! * d[j]!;
              sum += weight[k * to + j]! * d[j]!;
            }
            below[k] = l > 0 ? sum * (1 - x[k]! ** 2) : sum;
          }
          d = below;
        }
      });
      return named(
        found.map((all) => all[layers]!),
        Object.keys(gradients),
      );
    },

    sample() {
      throw new GuerdonError("unsupported", "A scorer only scores feature vectors; it does not answer tasks.");
    },
  };
}
