import { GuerdonError } from "../error.ts";
import { Arr, binary, operand, together, unary, type Value } from "./arr.ts";
import { axisOf, broadcast, show } from "./shape.ts";

export const exp = (x: Arr): Arr => unary("exp", x);
/** Natural logarithm. The slope at 0 is infinite: mask the input, not the result. */
export const log = (x: Arr): Arr => unary("log", x);
/** log(1 + x), accurate for tiny x. */
export const log1p = (x: Arr): Arr => unary("log1p", x);
/** The slope at 0 is infinite: mask the input, not the result. */
export const sqrt = (x: Arr): Arr => unary("sqrt", x);
export const square = (x: Arr): Arr => unary("square", x);
/** Absolute value; its slope at 0 is 0. */
export const abs = (x: Arr): Arr => unary("abs", x);
export const tanh = (x: Arr): Arr => unary("tanh", x);
export const sigmoid = (x: Arr): Arr => unary("sigmoid", x);
/** x where it is positive, else 0; its slope at 0 is 0. */
export const relu = (x: Arr): Arr => unary("relu", x);
export const cos = (x: Arr): Arr => unary("cos", x);
export const sin = (x: Arr): Arr => unary("sin", x);
/** x times its sigmoid (also called swish). */
export const silu = (x: Arr): Arr => x.mul(sigmoid(x));

/** a - b where a may be a number. */
export const sub = (a: Arr | number, b: Arr): Arr => (typeof a === "number" ? operand("sub", b).neg().add(a) : a.sub(b));
/** a / b where a may be a number. */
export const div = (a: Arr | number, b: Arr): Arr => (typeof a === "number" ? unary("reciprocal", b).mul(a) : a.div(b));

const either = (operation: "minimum" | "maximum", a: Arr | number, b: Arr | number): Arr => {
  if (typeof a !== "number") return binary(operation, a, b);
  if (typeof b !== "number") return binary(operation, b, a);
  throw new GuerdonError("usage", `${operation}: at least one operand must be an array`);
};
/** The smaller of each pair. Where both are equal, the gradient goes to the first array. */
export const minimum = (a: Arr | number, b: Arr | number): Arr => either("minimum", a, b);
/** The larger of each pair. Where both are equal, the gradient goes to the first array. */
export const maximum = (a: Arr | number, b: Arr | number): Arr => either("maximum", a, b);
/** x limited to [low, high]; no gradient outside. */
export const clip = (x: Arr, low: Arr | number, high: Arr | number): Arr => minimum(maximum(x, low), high);

/**
 * `yes` where the condition is not 0, else `no`. Both are computed everywhere, and a NaN or infinite slope in the branch not taken still
 * spoils the gradient: mask the input of `log` and `sqrt`, not their result.
 */
export function where(condition: Arr, yes: Arr | number, no: Arr | number): Arr {
  const [c, a, b] = together("where", [condition, yes, no]) as [Value, Value | number, Value | number];
  broadcast(
    "where",
    [c, a, b].map((v) => (typeof v === "number" ? [] : v.shape)),
  );
  return new Arr(c.where(a, b));
}

/** log(1 + e^x) without overflow; softplus(-100) is 4e-44 on the host and 0 in float32. */
// At 0 both parts have a kink; in this order of operands their slopes, 1 and -1/2, add up to the right 1/2 (where DPO starts).
export const softplus = (x: Arr): Arr => maximum(x, 0).add(log1p(exp(minimum(operand("softplus", x).neg(), x))));
/** log(sigmoid(x)) without overflow: -x for very negative x. */
export const logSigmoid = (x: Arr): Arr => softplus(x.neg()).neg();

/**
 * Gaussian error linear unit. `approximate: true` is the tanh form (GPT-2, JAX's default), false the exact one with erf (PyTorch's
 * default); they differ by up to 4.7e-4, so the caller has to say.
 */
export function gelu(x: Arr, options: { readonly approximate: boolean }): Arr {
  if (!options.approximate) return x.mul(unary("erf", x.mul(Math.SQRT1_2)).add(1)).mul(0.5);
  const inner = x.add(square(x).mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
  return x.mul(tanh(inner).add(1)).mul(0.5);
}

/** log(sum(e^x)) over the last axis, which is dropped. Mask with -1e30, not -Infinity: a row of only -Infinity is NaN. */
export function logSumExp(x: Arr): Arr {
  const top = stopGradient(operand("logSumExp", x).max(-1, true));
  return log(exp(x.sub(top)).sum(-1)).add(top.reshape(x.shape.slice(0, -1)));
}
/** x minus its logSumExp: log-probabilities along the last axis. */
export function logSoftmax(x: Arr): Arr {
  const shifted = x.sub(stopGradient(operand("logSoftmax", x).max(-1, true)));
  return shifted.sub(log(exp(shifted).sum(-1, true)));
}
/** Probabilities along the last axis. Mask with -1e30, not -Infinity. */
export function softmax(x: Arr): Arr {
  const weights = exp(x.sub(stopGradient(operand("softmax", x).max(-1, true))));
  return weights.div(weights.sum(-1, true));
}

/** Matrix product of the last two axes, [.., M, K] x [.., K, N] -> [.., M, N]; leading axes broadcast. */
export function matmul(a: Arr, b: Arr): Arr {
  const [left, right] = together("matmul", [a, b]) as [Value, Value];
  if (left.shape.length < 2 || right.shape.length < 2 || left.shape.at(-1) !== right.shape.at(-2))
    throw new GuerdonError("usage", `matmul: shapes ${show(left.shape)} and ${show(right.shape)} do not fit`);
  broadcast("matmul", [left.shape.slice(0, -2), right.shape.slice(0, -2)]);
  return new Arr(left.matmul(right));
}

/** [..] whole numbers in [0, n) -> [.., n], 1 at the index and 0 elsewhere. An index outside is an error on the host and NaN when traced. */
export const oneHot = (indices: Arr, n: number): Arr => new Arr(operand("oneHot", indices).value.oneHot(n));

/**
 * Rows of a table: [V, ..] and indices [..] in [0, V) -> [.., ..]. An index outside is an error on the host and NaN when traced. To pick one
 * entry per position (a token's log-probability) multiply by `oneHot` and sum: the gradient of a gather with two indices does not compile.
 */
export function take(table: Arr, indices: Arr): Arr {
  const [rows, which] = together("take", [table, indices]) as [Value, Value];
  axisOf("take", rows.shape, 0);
  return new Arr(rows.take(which));
}

/** Joins arrays along an axis that they have. */
export function concat(arrays: readonly Arr[], axis: number): Arr {
  const values = together("concat", arrays) as Value[];
  const first = values[0];
  if (!first) throw new GuerdonError("usage", "concat: no arrays");
  const k = axisOf("concat", first.shape, axis);
  for (const { shape } of values)
    if (shape.length !== first.shape.length || shape.some((n, i) => i !== k && n !== first.shape[i]))
      throw new GuerdonError("usage", `concat: shapes ${values.map((v) => show(v.shape)).join(", ")} differ beside axis ${axis}`);
  return new Arr(first.concat(values.slice(1), k));
}

/** Running sum along an axis. */
export function cumsum(x: Arr, axis: number): Arr {
  const { value, shape } = operand("cumsum", x);
  return new Arr(value.cumsum(axisOf("cumsum", shape, axis)));
}

/** The same values, treated as constants by gradients. */
export const stopGradient = (x: Arr): Arr => new Arr(operand("stopGradient", x).value.stopGradient());

/**
 * The same values and gradients. In a compiled program the gradient that arrives here is computed once and stored. Where it goes on into
 * one matrix product only (that with a matrix that is not trained), the compiler would otherwise compute it anew for each number of the
 * product that needs it, which makes the backward pass of a model with an adapter several times slower.
 */
export const storeGradient = (x: Arr): Arr => new Arr(operand("storeGradient", x).value.storeGradient());
