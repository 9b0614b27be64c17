import type { Tokenizer } from "../../src/policies/tokenizer.ts";
import type { TransformerConfig } from "../../src/policies/transformer-config.ts";
import type { HostTensor } from "../../src/statistics/snapshot.ts";
import { normal, stream } from "../../src/statistics/stream.ts";

/** Tiny models of each family. */
export const families: Readonly<Record<string, TransformerConfig>> = {
  "layer norm, learned positions, GELU": {
    layers: 2,
    width: 4,
    heads: 2,
    hidden: 6,
    vocabulary: 5,
    context: 12,
    norm: "layer",
    positions: "learned",
    activation: "gelu",
    tied: false,
    biases: ["o_proj", "up_proj", "down_proj"],
    valueHead: true,
    scoreHead: true,
  },
  "RMS norm, rotary positions, SwiGLU, shared keys, biases": {
    layers: 1,
    width: 8,
    heads: 4,
    keyValueHeads: 2,
    hidden: 6,
    vocabulary: 5,
    context: 12,
    norm: "rms",
    positions: "rotary",
    theta: 100,
    activation: "swiglu",
    tied: true,
    biases: ["q_proj", "k_proj", "v_proj"],
  },
  "query and key norm, head size apart from width": {
    layers: 1,
    width: 6,
    heads: 2,
    keyValueHeads: 1,
    headSize: 4,
    hidden: 5,
    vocabulary: 5,
    context: 12,
    norm: "rms",
    positions: "rotary",
    activation: "swiglu",
    tied: false,
    queryKeyNorm: true,
    valueHead: true,
  },
};

/** A tokenizer whose text is the ids themselves. */
export const numbers = (vocabulary: number, end: number | null = null): Tokenizer => ({
  vocabulary,
  end,
  encode: (text) => Int32Array.from(text.split(" "), Number),
  decode: (ids) => Array.from(ids).join(" "),
  encodePrompt: (prompt) => Int32Array.from((typeof prompt === "string" ? prompt : "").split(" "), Number),
});

/** Every parameter random, so that no gradient is zero by chance of initialisation. */
export function scrambled(parameters: Readonly<Record<string, HostTensor>>, seed: number, scale = 0.6): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, { shape, data }]) => {
      const rng = stream(seed, name);
      const centre = shape.length === 1 && !name.endsWith(".bias") ? 1 : 0;
      return [name, { shape, data: Float32Array.from(data, () => centre + scale * normal(rng)) }];
    }),
  );
}
