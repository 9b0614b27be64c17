import { concat, div, exp, matmul, oneHot, silu, sqrt, square, stopGradient, storeGradient, take } from "../arrays/index.ts";
import type { Arr, Arrays } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import { gelu } from "./gelu.ts";
import { adapterName, modulePath } from "./transformer-config.ts";
import type { LoraConfig, Projection, Resolved } from "./transformer-config.ts";

/** A decoder as pure functions. Activations are flat, [cells, width], where the cells are rows x positions or, in sampling, rows. */
export interface Model {
  readonly config: Resolved;
  /** Present: the adapters are applied. */
  readonly lora?: LoraConfig;
  readonly parameters: Arrays;
}

/** Cosine and sine of the rotation at each cell, [.., headSize / 2], shaped to broadcast against [.., heads, headSize / 2]. */
export interface Rotation {
  readonly cos: Arr;
  readonly sin: Arr;
}

/** Up to this many rows of a table a one-hot product beats a look-up (whose gradient is a slow scatter). */
const ONE_HOT_LIMIT = 512;
/** Added to the scores of positions that must not be seen. Finite: a row that sees nothing gives no NaN. */
export const HIDDEN = -1e30;

/** A parameter by name. */
export function parameter(parameters: Arrays, name: string): Arr {
  const found = parameters[name];
  if (!found) throw new GuerdonError("input", `The transformer needs the parameter ${name}, which is missing.`);
  return found;
}

/** The table with its number of rows raised to a multiple of 8 (by repeating rows that nobody may ask for): its gradient is ten times faster. */
function padded(table: Arr): Arr {
  const rows = table.shape[0]!;
  const extra = -rows & 7;
  return extra === 0 || extra > rows ? table : concat([table, table.slice(0, 0, extra)], 0);
}

/** Rows of a table: ids [cells], table [n, width] -> [cells, width]. Ids must have been checked against n. */
export function look(table: Arr, ids: Arr): Arr {
  if (table.shape[0]! > ONE_HOT_LIMIT) return take(table, ids);
  const rows = padded(table);
  return matmul(oneHot(ids, rows.shape[0]!), rows);
}

/**
 * x / sqrt(mean(x^2) + epsilon) x gain over the last axis (arXiv 1910.07467). The divisor's inverse is taken before the axis comes back,
 * which computes it once a row and not once a number.
 */
function rmsNorm(x: Arr, gain: Arr, epsilon: number): Arr {
  const scale = div(1, sqrt(square(x).mean(-1).add(epsilon)));
  return x.mul(scale.reshape([...scale.shape, 1])).mul(gain);
}

/** The config's norm over the last axis, with the gain (and bias) called `name`. */
export function norm({ config, parameters }: Model, name: string, x: Arr): Arr {
  const gain = parameter(parameters, `${name}.weight`);
  if (config.norm === "rms") return rmsNorm(x, gain, config.epsilon);
  return rmsNorm(x.sub(x.mean(-1, true)), gain, config.epsilon).add(parameter(parameters, `${name}.bias`));
}

/**
 * W x + b, plus the adapter where there is one: [cells, inputs] -> [cells, outputs]. Under adapters the other matrices are frozen: the
 * gradient of y then has one use, the product with W, where it would be computed `inputs` times over unless it is stored.
 */
function project({ config, lora, parameters }: Model, layer: number, projection: Projection, x: Arr): Arr {
  const path = modulePath(layer, projection);
  let y = matmul(x, parameter(parameters, `${path}.weight`).transpose());
  if (config.biases.includes(projection)) y = y.add(parameter(parameters, `${path}.bias`));
  if (!lora) return y;
  if (!lora.targets.includes(projection)) return storeGradient(y);
  // Scaled while it is narrow: the gradient of a scaled y would be stored beside that of y.
  const down = matmul(x, parameter(parameters, adapterName(path, "A")).transpose()).mul(lora.alpha / lora.rank);
  return y.add(matmul(down, parameter(parameters, adapterName(path, "B")).transpose()));
}

/** Rotates each head's pairs (i, i + headSize / 2): x [.., heads, headSize] (arXiv 2104.09864, paired as in Hugging Face's models). */
function rotate(x: Arr, { cos, sin }: Rotation): Arr {
  const axis = x.shape.length - 1;
  const half = x.shape[axis]! >> 1;
  const a = x.slice(axis, 0, half);
  const b = x.slice(axis, half, 2 * half);
  return concat([a.mul(cos).sub(b.mul(sin)), b.mul(cos).add(a.mul(sin))], axis);
}

/**
 * Queries, keys and values of a layer for normed activations x [cells, width], heads apart: [..lead, heads, headSize], where lead
 * multiplies to cells.
 */
export function heads(model: Model, layer: number, x: Arr, lead: readonly number[], rotation: Rotation | null): { q: Arr; k: Arr; v: Arr } {
  const { config, parameters } = model;
  const make = (projection: "q_proj" | "k_proj" | "v_proj", count: number) =>
    project(model, layer, projection, x).reshape([...lead, count, config.headSize]);
  const finish = (y: Arr, name: "q_norm" | "k_norm") => {
    const gain = config.queryKeyNorm ? parameter(parameters, `model.layers.${layer}.self_attn.${name}.weight`) : null;
    const normed = gain ? rmsNorm(y, gain, config.epsilon) : y;
    return rotation ? rotate(normed, rotation) : normed;
  };
  return {
    q: finish(make("q_proj", config.heads), "q_norm"),
    k: finish(make("k_proj", config.keyValueHeads), "k_norm"),
    v: make("v_proj", config.keyValueHeads),
  };
}

/** The layer's MLP for normed activations. */
function mlp(model: Model, layer: number, x: Arr): Arr {
  const up = project(model, layer, "up_proj", x);
  const inner = model.config.activation === "swiglu" ? silu(project(model, layer, "gate_proj", x)).mul(up) : gelu(up);
  return project(model, layer, "down_proj", inner);
}

/** One pre-norm layer. `attend` maps normed activations to the heads' outputs, [cells, heads x headSize]. */
export function block(model: Model, layer: number, x: Arr, attend: (normed: Arr) => Arr): Arr {
  const path = `model.layers.${layer}`;
  const mixed = x.add(project(model, layer, "o_proj", attend(norm(model, `${path}.input_layernorm`, x))));
  return mixed.add(mlp(model, layer, norm(model, `${path}.post_attention_layernorm`, mixed)));
}

/**
 * Causal attention over whole rows: q [N, T, heads, headSize], k and v [N, T, keyValueHeads, headSize], mask [T, T] added to the scores
 * -> [N * T, heads * headSize]. Queries that share a key head are stacked along the positions, so keys are never copied. The weights
 * are normalised after the product with the values: fewer numbers to divide, and the arithmetic after the last transpose makes the
 * compiler store the result in order (a bare transpose would be fused into the next product, which then runs fifty times slower). The
 * scaling of the queries stands after their transpose for the same reason.
 */
export function attention(q: Arr, k: Arr, v: Arr, mask: Arr): Arr {
  const [N, T, H, size] = q.shape as [number, number, number, number];
  const G = k.shape[2]!;
  const share = H / G;
  const stacked = q.reshape([N, T, G, share, size]).transpose([0, 2, 3, 1, 4]);
  const queries = stacked.reshape([N, G, share * T, size]).mul(1 / Math.sqrt(size));
  const scores = matmul(queries, k.transpose([0, 2, 3, 1]))
    .reshape([N, G, share, T, T])
    .add(mask);
  const weights = exp(scores.sub(stopGradient(scores.max(-1, true))));
  const mixed = matmul(weights.reshape([N, G, share * T, T]), v.transpose([0, 2, 1, 3])).reshape([N, G, share, T, size]);
  const scale = div(1, weights.sum(-1)).reshape([N, G, share, T, 1]);
  const ordered = (x: Arr, last: number) => x.transpose([0, 3, 1, 2, 4]).reshape([N, T, H, last]);
  return ordered(mixed, size)
    .mul(ordered(scale, 1))
    .reshape([N * T, H * size]);
}

/** Mask [T, T] that hides later positions; `order` is [0, 1, .., T - 1]. */
export function causalMask(order: Arr): Arr {
  const T = order.shape[0]!;
  return order
    .reshape([1, T])
    .greater(order.reshape([T, 1]))
    .mul(HIDDEN);
}

/** Logits [cells, vocabulary] of final hidden states [cells, width]. Under adapters the table is frozen, and `project` says what that means. */
export function unembed({ config, lora, parameters }: Model, x: Arr): Arr {
  const table = parameter(parameters, config.tied ? "model.embed_tokens.weight" : "lm_head.weight");
  const logits = matmul(x, padded(table).transpose());
  return (lora ? storeGradient(logits) : logits).slice(1, 0, config.vocabulary);
}

/** A linear map to one or several numbers: [cells, width] -> [cells, numbers]. */
export function head({ parameters }: Model, name: string, x: Arr): Arr {
  return matmul(x, parameter(parameters, name).transpose());
}

/**
 * Final normed hidden states [N * T, width] of padded rows. `keep` sees each layer's keys and values, [N, T, keyValueHeads, headSize].
 * Rows are padded at the end, and no position sees a later one, so padding changes nothing before it.
 */
export function hidden(model: Model, inputs: Arrays, keep?: (layer: number, k: Arr, v: Arr) => void): Arr {
  const { config, parameters } = model;
  const tokens = parameter(inputs, "tokens");
  const [N, T] = tokens.shape as [number, number];
  let x = look(parameter(parameters, "model.embed_tokens.weight"), tokens.reshape([N * T]));
  if (config.positions === "learned") {
    let table = parameter(parameters, "model.embed_positions.weight");
    // Padding may reach beyond the context, where any vector does.
    while (table.shape[0]! < T) table = concat([table, table], 0);
    x = x
      .reshape([N, T, config.width])
      .add(table.slice(0, 0, T))
      .reshape([N * T, config.width]);
  }
  const around = (name: string) => parameter(inputs, name).reshape([1, T, 1, config.headSize >> 1]);
  const turn = config.positions === "rotary" ? { cos: around("cos"), sin: around("sin") } : null;
  const mask = causalMask(parameter(inputs, "order"));
  for (let layer = 0; layer < config.layers; layer++)
    x = block(model, layer, x, (normed) => {
      const { q, k, v } = heads(model, layer, normed, [N, T], turn);
      keep?.(layer, k, v);
      return attention(q, k, v, mask);
    });
  return norm(model, "model.norm", x);
}
