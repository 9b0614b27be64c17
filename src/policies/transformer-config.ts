import { GuerdonError } from "../error.ts";

/** The matrices of a layer, by their name in tensor files. */
export type Projection = "q_proj" | "k_proj" | "v_proj" | "o_proj" | "gate_proj" | "up_proj" | "down_proj";

/** Shape of a decoder. Everything that run.json and checkpoints need to build it again; plain JSON. */
export interface TransformerConfig {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  /** Fewer than `heads`: grouped-query attention. Default: `heads`. */
  readonly keyValueHeads?: number;
  /** Default: width / heads. Qwen3's differs from that. */
  readonly headSize?: number;
  /** Width inside the MLP. Default: 4 x width. */
  readonly hidden?: number;
  readonly vocabulary: number;
  /** Most positions a row may have, prompt and answer together. */
  readonly context: number;
  /** "rms": a gain; "layer": mean removed, a gain and a bias. */
  readonly norm: "rms" | "layer";
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
  readonly positions: "rotary" | "learned";
  /** Base of the rotary wavelengths. Default 10000. */
  readonly theta?: number;
  /** Rotary frequencies in radians a position, headSize / 2 of them, where a file rescales them; replaces `theta`. */
  readonly frequencies?: readonly number[];
  /** "swiglu": down(silu(gate) x up). "gelu": down(gelu(up)). */
  readonly activation: "swiglu" | "gelu";
  /** Whether the output matrix is the embedding. */
  readonly tied: boolean;
  /** Projections that have a bias. Default: none. */
  readonly biases?: readonly Projection[];
  /** RMSNorm of each head's query and key before rotation (Qwen3). */
  readonly queryKeyNorm?: boolean;
  /** A linear map to one number: output "value". */
  readonly valueHead?: boolean;
  /** A linear map to one number: output "score". A number n above 1: to n numbers, outputs "score.0", "score.1", ... */
  readonly scoreHead?: boolean | number;
}

/** Low-rank adapters (arXiv 2106.09685): W x becomes W x + alpha / rank x B A x, and only A and B are trained. */
export interface LoraConfig {
  readonly rank: number;
  readonly alpha: number;
  readonly targets: readonly Projection[];
}

/** A config with every default filled in. */
export interface Resolved extends TransformerConfig {
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly hidden: number;
  readonly epsilon: number;
  readonly frequencies: readonly number[];
  readonly biases: readonly Projection[];
}

/** Fills in defaults and refuses shapes that cannot be built. */
export function resolve(config: TransformerConfig): Resolved {
  const { layers, width, heads, vocabulary, context } = config;
  const headSize = config.headSize ?? width / heads;
  const keyValueHeads = config.keyValueHeads ?? heads;
  const hidden = config.hidden ?? 4 * width;
  for (const [name, value] of Object.entries({ layers, width, heads, vocabulary, context, headSize, keyValueHeads, hidden }))
    if (!Number.isInteger(value) || value < 1)
      throw new GuerdonError("usage", `transformer: ${name} must be a whole number of at least 1, not ${value}.`);
  if (heads % keyValueHeads !== 0)
    throw new GuerdonError("usage", `transformer: heads (${heads}) must be a multiple of keyValueHeads (${keyValueHeads}).`);
  if (config.positions === "rotary" && headSize % 2 !== 0)
    throw new GuerdonError("usage", `transformer: rotary positions need an even headSize, not ${headSize}.`);
  const theta = config.theta ?? 10000;
  const frequencies = config.frequencies ?? Array.from({ length: headSize >> 1 }, (_, i) => theta ** ((-2 * i) / headSize));
  if (frequencies.length !== headSize >> 1)
    throw new GuerdonError("usage", `transformer: ${headSize >> 1} rotary frequencies are needed, not ${frequencies.length}.`);
  return { ...config, headSize, keyValueHeads, hidden, frequencies, epsilon: config.epsilon ?? 1e-5, biases: config.biases ?? [] };
}

/** [outputs, inputs] of each projection that a layer has. */
export function projections(config: TransformerConfig): Partial<Record<Projection, readonly [number, number]>> {
  const { width, heads, headSize, keyValueHeads, hidden, activation } = resolve(config);
  return {
    q_proj: [heads * headSize, width],
    k_proj: [keyValueHeads * headSize, width],
    v_proj: [keyValueHeads * headSize, width],
    o_proj: [width, heads * headSize],
    ...(activation === "swiglu" ? { gate_proj: [hidden, width] as const } : {}),
    up_proj: [hidden, width],
    down_proj: [width, hidden],
  };
}

/** The module's path in tensor files, without ".weight": `model.layers.0.self_attn.q_proj`. */
export function modulePath(layer: number, projection: Projection): string {
  const block = projection === "gate_proj" || projection === "up_proj" || projection === "down_proj" ? "mlp" : "self_attn";
  return `model.layers.${layer}.${block}.${projection}`;
}

/** Name of an adapter matrix as peft writes it. A is [rank, inputs], B is [outputs, rank]. */
export const adapterName = (module: string, matrix: "A" | "B"): string => `base_model.model.${module}.lora_${matrix}.weight`;

/**
 * Name and shape of every parameter, in a fixed order. Names and shapes are those of Hugging Face files: a projection's weight is
 * [outputs, inputs], also on the device, so reading and writing files needs neither renaming nor transposing. (Measured: the layout
 * costs the same as [inputs, outputs] forwards and backwards, and an output matrix of 110 tokens is ten times faster this way.) With
 * `tied` there is no `lm_head.weight`. Learned positions are `model.embed_positions.weight`. Adapters come last, under peft's names.
 */
export function parameterShapes(config: TransformerConfig, lora?: LoraConfig): Readonly<Record<string, readonly number[]>> {
  const { layers, width, headSize, vocabulary, context, norm, positions, tied, biases, queryKeyNorm, valueHead, scoreHead } =
    resolve(config);
  const matrices = Object.entries(projections(config)) as [Projection, readonly [number, number]][];
  const shapes: Record<string, readonly number[]> = {};
  const addNorm = (name: string) => {
    shapes[`${name}.weight`] = [width];
    if (norm === "layer") shapes[`${name}.bias`] = [width];
  };
  shapes["model.embed_tokens.weight"] = [vocabulary, width];
  if (positions === "learned") shapes["model.embed_positions.weight"] = [context, width];
  for (let layer = 0; layer < layers; layer++) {
    addNorm(`model.layers.${layer}.input_layernorm`);
    for (const [projection, shape] of matrices) {
      const path = modulePath(layer, projection);
      shapes[`${path}.weight`] = shape;
      if (biases.includes(projection)) shapes[`${path}.bias`] = [shape[0]];
    }
    if (queryKeyNorm) for (const name of ["q_norm", "k_norm"]) shapes[`model.layers.${layer}.self_attn.${name}.weight`] = [headSize];
    addNorm(`model.layers.${layer}.post_attention_layernorm`);
  }
  addNorm("model.norm");
  if (!tied) shapes["lm_head.weight"] = [vocabulary, width];
  if (valueHead) shapes["value_head.weight"] = [1, width];
  if (scoreHead) shapes["score.weight"] = [Number(scoreHead), width];
  if (lora) {
    if (!Number.isInteger(lora.rank) || lora.rank < 1)
      throw new GuerdonError("usage", `lora: rank must be a whole number of at least 1, not ${lora.rank}.`);
    for (const target of lora.targets)
      if (!matrices.some(([projection]) => projection === target))
        throw new GuerdonError("usage", `lora: this model has no projection ${target}; it has ${matrices.map(([p]) => p).join(", ")}.`);
    for (let layer = 0; layer < layers; layer++)
      for (const [projection, [outputs, inputs]] of matrices) {
        if (!lora.targets.includes(projection)) continue;
        shapes[adapterName(modulePath(layer, projection), "A")] = [lora.rank, inputs];
        shapes[adapterName(modulePath(layer, projection), "B")] = [outputs, lora.rank];
      }
  }
  return shapes;
}
