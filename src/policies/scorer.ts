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

  /** Activations of all layers, [rows, width] flat each; tanh after every layer but the last. */
  function run(parameters: HostParameters, rows: readonly FeatureSequence[]): Float64Array[] {
    const first = new Float64Array(rows.length * sizes[0]!);
    rows.forEach(({ features }, i) => {
      if (features.length !== sizes[0])
        throw new GuerdonError("input", `Row ${i} has ${features.length} features; the scorer takes ${sizes[0]}.`);
      first.set(features, i * sizes[0]);
    });
    const all = [first];
    for (let l = 0; l < layers; l++) {
      const from = sizes[l]!;
      const to = sizes[l + 1]!;
      const weight = parameters[`${l}.weight`]!;
      const bias = parameters[`${l}.bias`]!;
      const x = all[l]!;
      const y = new Float64Array(rows.length * to);
      for (let r = 0; r < rows.length; r++) {
        const at = r * to;
        for (let j = 0; j < to; j++) y[at + j] = bias[j]!;
        for (let i = 0; i < from; i++) {
          const xi = x[r * from + i]!;
          if (xi === 0) continue;
          for (let j = 0, w = i * to; j < to; j++, w++) y[at + j]! += xi * weight[w]!;
        }
      }
      if (l + 1 < layers) for (let k = 0; k < y.length; k++) y[k] = Math.tanh(y[k]!);
      all.push(y);
    }
    return all;
  }

  const named = (scores: Float64Array, names: readonly string[]) =>
    Object.fromEntries(
      names.map((name) => {
        const column = outputs.indexOf(name);
        return [
          name,
          Array.from({ length: scores.length / outputs.length }, (_, r) => Float32Array.of(scores[r * outputs.length + column]!)),
        ];
      }),
    );

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

    forward: (parameters, rows, names) => named(run(parameters, rows)[layers]!, names),

    backward(parameters, rows, gradients, into) {
      const all = run(parameters, rows);
      let d = new Float64Array(rows.length * outputs.length);
      outputs.forEach((name, k) => gradients[name]?.forEach((g, r) => (d[r * outputs.length + k] = g[0]!)));
      for (let l = layers - 1; l >= 0; l--) {
        const from = sizes[l]!;
        const to = sizes[l + 1]!;
        const weight = parameters[`${l}.weight`]!;
        const dWeight = into[`${l}.weight`]!;
        const dBias = into[`${l}.bias`]!;
        const x = all[l]!;
        const below = new Float64Array(rows.length * from);
        for (let r = 0; r < rows.length; r++) {
          const at = r * to;
          for (let j = 0; j < to; j++) dBias[j]! += d[at + j]!;
          for (let i = 0; i < from; i++) {
            const xi = x[r * from + i]!;
            let sum = 0;
            for (let j = 0, w = i * to; j < to; j++, w++) {
              dWeight[w]! += xi * d[at + j]!;
              sum += weight[w]! * d[at + j]!;
            }
            // The derivative of tanh, which made x; what comes in has none, and nobody asks for it.
            below[r * from + i] = sum * (1 - xi * xi);
          }
        }
        d = below;
      }
      return named(all[layers]!, Object.keys(gradients));
    },

    sample() {
      throw new GuerdonError("unsupported", "A scorer only scores feature vectors; it does not answer tasks.");
    },
  };
}
