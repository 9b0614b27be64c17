import { GuerdonError } from "../error.ts";
import { axisOf, broadcast, same, show, sizeOf } from "./shape.ts";

/** Functions of one number, applied to each element. */
export type Unary =
  | "neg"
  | "reciprocal"
  | "exp"
  | "log"
  | "log1p"
  | "sqrt"
  | "square"
  | "abs"
  | "tanh"
  | "sigmoid"
  | "relu"
  | "cos"
  | "sin"
  | "erf";
/** Functions of two numbers, applied to each pair of elements after broadcasting. Comparisons give 0 or 1. */
export type Binary = "add" | "sub" | "mul" | "div" | "minimum" | "maximum" | "greater" | "less" | "equal";

/**
 * What an `Arr` is made of: the host kernel (host.ts: float64 with a reverse-mode tape) or the traced kernel (traced.ts: float32 inside a
 * compiled program). Axes are checked and non-negative and shapes fit when these methods are called.
 */
export interface Value {
  readonly kernel: "host" | "traced";
  readonly shape: readonly number[];
  /** A host constant in this kernel. */
  lift(other: Value): Value;
  unary(operation: Unary): Value;
  binary(operation: Binary, other: Value | number): Value;
  /** This is the condition. */
  where(yes: Value | number, no: Value | number): Value;
  sum(axis: number): Value;
  max(axis: number): Value;
  cumsum(axis: number): Value;
  reshape(shape: readonly number[]): Value;
  transpose(permutation: readonly number[]): Value;
  slice(axis: number, from: number, to: number): Value;
  concat(others: readonly Value[], axis: number): Value;
  matmul(other: Value): Value;
  /** Rows of this table. */
  take(indices: Value): Value;
  /** This holds the indices. */
  oneHot(n: number): Value;
  stopGradient(): Value;
  storeGradient(): Value;
}

/**
 * An array of numbers that may be used any number of times. It lives on the host (`host`), in float64, or inside a program made by
 * `compile`, in float32; the same code runs on both. A host array that meets a traced one becomes a constant of the program.
 *
 * Methods are arithmetic and shape; named ideas (`exp`, `softmax`, `matmul`) are functions. Shapes broadcast as in NumPy. A negative axis
 * counts from the end. Comparisons give 0 or 1, without a gradient. There is no way to read or branch on a value: use `where`.
 */
export class Arr {
  /** For files of arrays/ only. */
  readonly value: Value;

  constructor(value: Value) {
    this.value = value;
  }

  get shape(): readonly number[] {
    return this.value.shape;
  }

  add(other: Arr | number): Arr {
    return binary("add", this, other);
  }
  sub(other: Arr | number): Arr {
    return binary("sub", this, other);
  }
  mul(other: Arr | number): Arr {
    return binary("mul", this, other);
  }
  div(other: Arr | number): Arr {
    return binary("div", this, other);
  }
  neg(): Arr {
    return unary("neg", this);
  }
  greater(other: Arr | number): Arr {
    return binary("greater", this, other);
  }
  less(other: Arr | number): Arr {
    return binary("less", this, other);
  }
  equal(other: Arr | number): Arr {
    return binary("equal", this, other);
  }

  /** Sum over one axis, or over all (axis by axis, so that long float32 sums stay accurate). `keep` leaves the axis with length 1. */
  sum(axis?: number, keep = false): Arr {
    if (axis === undefined) {
      let total = this.value;
      while (total.shape.length > 0) total = total.sum(total.shape.length - 1);
      return new Arr(keep ? total.reshape(this.shape.map(() => 1)) : total);
    }
    const k = axisOf("sum", this.shape, axis);
    return kept(this.value.sum(k), this.shape, k, keep);
  }

  /** Mean over one axis, or over all. */
  mean(axis?: number, keep = false): Arr {
    const n = axis === undefined ? sizeOf(this.shape) : this.shape[axisOf("mean", this.shape, axis)]!;
    if (n === 0) throw new GuerdonError("usage", `mean: there is nothing to average in shape ${show(this.shape)}`);
    return this.sum(axis, keep).mul(1 / n);
  }

  /** Largest entry along an axis. Entries that tie share the gradient equally. */
  max(axis: number, keep = false): Arr {
    const k = axisOf("max", this.shape, axis);
    if (this.shape[k] === 0) throw new GuerdonError("usage", `max: axis ${axis} of shape ${show(this.shape)} is empty`);
    return kept(this.value.max(k), this.shape, k, keep);
  }

  /** The same elements in another shape; one length may be -1. */
  reshape(shape: readonly number[]): Arr {
    const known = shape.reduce((product, n) => (n === -1 ? product : product * n), 1);
    const wanted = shape.map((n) => (n === -1 ? sizeOf(this.shape) / known : n));
    if (sizeOf(wanted) !== sizeOf(this.shape) || shape.filter((n) => n === -1).length > 1 || !wanted.every(Number.isInteger))
      throw new GuerdonError("usage", `reshape: ${show(this.shape)} does not fit into ${show(shape)}`);
    return same(wanted, this.shape) ? this : new Arr(this.value.reshape(wanted));
  }

  /** Axes in another order; reversed by default. */
  transpose(permutation?: readonly number[]): Arr {
    const axes = permutation?.map((axis) => axisOf("transpose", this.shape, axis)) ?? this.shape.map((_, i) => this.shape.length - 1 - i);
    if (axes.length !== this.shape.length || new Set(axes).size !== axes.length)
      throw new GuerdonError("usage", `transpose: ${show(axes)} does not name every axis of shape ${show(this.shape)} once`);
    return new Arr(this.value.transpose(axes));
  }

  /** One entry of an axis, which is dropped. A negative index counts from the end. */
  at(axis: number, index: number): Arr {
    const k = axisOf("at", this.shape, axis);
    const n = this.shape[k]!;
    const i = index < 0 ? index + n : index;
    if (!(Number.isInteger(i) && i >= 0 && i < n))
      throw new GuerdonError("usage", `at: index ${index} is outside axis ${axis} of shape ${show(this.shape)}`);
    return new Arr(this.value.slice(k, i, i + 1).reshape(this.shape.filter((_, j) => j !== k)));
  }

  /** Entries [from, to) of an axis. */
  slice(axis: number, from: number, to: number): Arr {
    const k = axisOf("slice", this.shape, axis);
    if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= this.shape[k]!))
      throw new GuerdonError("usage", `slice: [${from}, ${to}) is outside axis ${axis} of shape ${show(this.shape)}`);
    return from === 0 && to === this.shape[k] ? this : new Arr(this.value.slice(k, from, to));
  }

  /** [.., M] -> M arrays of shape [..], for instance the chosen and the rejected member of a pair. */
  columns(): Arr[] {
    return Array.from({ length: this.shape[axisOf("columns", this.shape, -1)]! }, (_, i) => this.at(-1, i));
  }

  /** Without this, `array > 0` would silently be false and `array * 2` NaN. */
  [Symbol.toPrimitive](): never {
    throw new GuerdonError("usage", "An array cannot be used as a number or a string: use its methods (add, mul, greater) and `where`.");
  }
}

/** Arrays by name: a model's parameters, a batch's columns. */
export type Arrays<K extends string = string> = { readonly [P in K]: Arr };

function kept(value: Value, shape: readonly number[], axis: number, keep: boolean): Arr {
  return new Arr(keep ? value.reshape(shape.map((n, i) => (i === axis ? 1 : n))) : value);
}

/** Checks an operand, so that a missing column or parameter is named as such and not as an odd TypeError. */
export function operand(what: string, x: unknown): Arr {
  if (x instanceof Arr) return x;
  throw new GuerdonError("usage", `${what}: expected an array and got ${x === null ? "null" : typeof x} (a missing column or parameter?)`);
}

/** Brings operands to one kernel: traced if any of them is. */
export function together(what: string, operands: readonly (Arr | number)[]): (Value | number)[] {
  const values = operands.map((x) => (typeof x === "number" ? x : operand(what, x).value));
  const traced = values.find((v) => typeof v !== "number" && v.kernel === "traced") as Value | undefined;
  return traced ? values.map((v) => (typeof v === "number" || v.kernel === "traced" ? v : traced.lift(v))) : values;
}

export function unary(operation: Unary, x: Arr): Arr {
  return new Arr(operand(operation, x).value.unary(operation));
}

export function binary(operation: Binary, a: Arr, b: Arr | number): Arr {
  const [left, right] = together(operation, [a, b]) as [Value, Value | number];
  if (typeof right !== "number") broadcast(operation, [left.shape, right.shape]);
  return new Arr(left.binary(operation, right));
}
