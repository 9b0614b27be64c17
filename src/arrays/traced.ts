import type * as Jax from "@jax-js/jax";
import { GuerdonError } from "../error.ts";
import { Arr, type Binary, type Unary, type Value } from "./arr.ts";
import { library } from "./device.ts";
import { values } from "./host.ts";
import { log, log1p } from "./logarithm.ts";
import { broadcast, same, sizeOf } from "./shape.ts";

type Tracer = Jax.numpy.Array;

/** Longest run of float32 additions one after the other; 0.1 added up a million times that way is 1 % off. */
const longestSum = 256;
/** Tables up to this many rows are read by a product with one-hot rows, which is faster than a gather here. */
const smallTable = 256;

/** What the values of the program that is being recorded own: one reference each. null while none is. */
let owned: Tracer[] | null = null;

/**
 * The traced kernel: float32 (indices int32) inside a compiled program. The library's operations consume a reference of what they are given;
 * this class gives them one with `.ref` at each use, and nothing else in the package needs to know. `recording` gives back what is left over.
 */
class TracedValue implements Value {
  readonly kernel = "traced";
  readonly tracer: Tracer;
  private readonly recorded = owned;

  constructor(tracer: Tracer) {
    this.tracer = tracer;
    owned?.push(tracer);
  }

  get shape(): readonly number[] {
    return this.tracer.shape;
  }

  lift(other: Value): Value {
    return new TracedValue(constantOf(new Arr(other)));
  }

  /** One reference, as it is. */
  get ref(): Tracer {
    if (this.recorded === owned) return this.tracer.ref;
    throw new GuerdonError("usage", "An array of one compiled program cannot be used in another: pass its value as an argument.");
  }

  /** One reference, as numbers: comparisons are booleans in the library, whose sum and product are logical. */
  get number(): Tracer {
    return this.tracer.dtype === "bool" ? this.ref.astype(library().DType.Float32) : this.ref;
  }

  private get float(): Tracer {
    return this.tracer.dtype === "float32" ? this.ref : this.ref.astype(library().DType.Float32);
  }

  private get index(): Tracer {
    return this.tracer.dtype === "int32" ? this.ref : this.ref.astype(library().DType.Int32);
  }

  unary(operation: Unary): Value {
    const { numpy, nn, lax } = library();
    switch (operation) {
      case "neg":
        return new TracedValue(this.number.neg());
      case "square":
        return new TracedValue(this.number.mul(this.number));
      case "relu":
        return new TracedValue(numpy.maximum(0, this.number)); // in this order the slope at 0 is 0
      case "abs":
        return new TracedValue(this.number.mul(sign(this.number)));
      case "sigmoid":
        return new TracedValue(nn.sigmoid(numpy.maximum(this.float, -80))); // below -88 the library's slope is NaN
      case "erf":
        return new TracedValue(lax.erf(this.float));
      case "log":
        return new TracedValue(log(this.float));
      case "log1p":
        return new TracedValue(log1p(this.float));
      case "reciprocal":
      case "exp":
      case "sqrt":
      case "tanh":
      case "cos":
      case "sin":
        return new TracedValue(numpy[operation](this.float));
    }
  }

  binary(operation: Binary, other: Value | number): Value {
    const { numpy, DType } = library();
    // Beside an integer array the library makes an integer of any number, by way of float32; and integer division truncates.
    const float = operation === "div" || (typeof other === "number" && other !== (other | 0));
    const a = float ? this.float : this.number;
    const whole = (n: number): Tracer | number => (a.dtype === "int32" ? numpy.full([], n, { dtype: DType.Int32 }) : n);
    const b = typeof other === "number" ? whole(other) : float ? traced(other).float : traced(other).number;
    if (operation === "minimum" || operation === "maximum") return new TracedValue(numpy[operation](a, b));
    return new TracedValue(a[operation](b));
  }

  where(yes: Value | number, no: Value | number): Value {
    const condition = this.tracer.dtype === "bool" ? this.ref : this.ref.notEqual(0);
    const branch = (v: Value | number): Tracer | number => (typeof v === "number" ? v : traced(v).float);
    return new TracedValue(library().numpy.where(condition, branch(yes), branch(no)));
  }

  sum(axis: number): Value {
    const n = this.shape[axis]!;
    if (n <= longestSum) return new TracedValue(this.number.sum(axis));
    const { numpy } = library();
    const part = divisor(n);
    const padding = part ? 0 : longestSum - (n % longestSum);
    const width = part || longestSum;
    const padded = padding
      ? numpy.pad(
          this.number,
          this.shape.map((_, i) => [0, i === axis ? padding : 0]),
        )
      : this.number;
    const parts = padded.reshape(this.shape.toSpliced(axis, 1, (n + padding) / width, width)).sum(axis + 1);
    return new TracedValue(parts).sum(axis);
  }

  max(axis: number): Value {
    return new TracedValue(this.number.max(axis));
  }

  cumsum(axis: number): Value {
    return new TracedValue(library().numpy.cumsum(this.number, axis));
  }

  reshape(shape: readonly number[]): Value {
    return new TracedValue(this.ref.reshape([...shape]));
  }

  transpose(permutation: readonly number[]): Value {
    return new TracedValue(this.ref.transpose([...permutation]));
  }

  slice(axis: number, from: number, to: number): Value {
    return new TracedValue(this.ref.slice(...this.shape.map((_, i) => (i === axis ? ([from, to] as [number, number]) : ([] as [])))));
  }

  concat(others: readonly Value[], axis: number): Value {
    const parts = [this, ...others.map(traced)];
    const whole = parts.every(({ tracer }) => tracer.dtype === "int32");
    return new TracedValue(
      library().numpy.concatenate(
        parts.map((part) => (whole ? part.index : part.float)),
        axis,
      ),
    );
  }

  matmul(other: Value): Value {
    const { numpy } = library();
    const b = traced(other);
    const [leadA, leadB] = [this.shape.slice(0, -2), b.shape.slice(0, -2)];
    // The library pairs up leading axes only where both have all of them.
    if (leadB.length === 0 || same(leadA, leadB)) return new TracedValue(numpy.matmul(this.float, b.float));
    const lead = broadcast("matmul", [leadA, leadB]);
    const spread = (x: TracedValue): Tracer => numpy.broadcastTo(x.float, [...lead, ...x.shape.slice(-2)]);
    return new TracedValue(numpy.matmul(spread(this), spread(b)));
  }

  take(indices: Value): Value {
    const [rows, ...rest] = this.shape as [number, ...number[]];
    const which = traced(indices);
    const shape = [...which.shape, ...rest];
    if (rows <= smallTable) {
      const hot = which.oneHot(rows).reshape([sizeOf(which.shape), rows]);
      return hot.matmul(this.reshape([rows, sizeOf(rest)])).reshape(shape);
    }
    const poison = which.poison(rows).reshape([...which.shape, ...rest.map(() => 1)]);
    return new TracedValue(library().numpy.take(this.number, which.index, 0).add(poison));
  }

  oneHot(n: number): Value {
    const { numpy, DType } = library();
    const places = numpy.arange(0, n, 1, { dtype: DType.Int32 });
    const hot = this.index
      .reshape([...this.shape, 1])
      .equal(places)
      .astype(DType.Float32);
    return new TracedValue(hot.add(this.poison(n).reshape([...this.shape, 1])));
  }

  /** 0 for an index in [0, n), else NaN: the library would silently take element 0. */
  private poison(n: number): Tracer {
    const valid = this.index.greaterEqual(0).mul(this.index.less(n));
    return library().numpy.where(valid, 0, NaN);
  }

  stopGradient(): Value {
    return new TracedValue(library().lax.stopGradient(this.ref) as Tracer);
  }

  /** The transpose of a new axis of length 1 is a sum over one term, and the compiler stores whatever it sums. */
  storeGradient(): Value {
    return new TracedValue(
      library()
        .numpy.broadcastTo(this.float, [1, ...this.shape])
        .reshape([...this.shape]),
    );
  }
}

/** -1, 0 or 1. Uses one reference of x. */
function sign(x: Tracer): Tracer {
  const { Float32 } = library().DType;
  return x.ref.greater(0).astype(Float32).sub(x.less(0).astype(Float32));
}

/** The largest divisor of n that leaves sums of at most `longestSum` and at least 16 terms, or 0. */
function divisor(n: number): number {
  for (let d = longestSum; d >= 16; d--) if (n % d === 0) return d;
  return 0;
}

function traced(value: Value): TracedValue {
  if (value instanceof TracedValue) return value;
  throw new GuerdonError("internal", "A host array reached the traced kernel without being lifted.");
}

/** A new constant with the numbers of a host array. For files of arrays/ only. */
export function constantOf(array: Arr): Tracer {
  return library().numpy.array(Float32Array.from(values(array)), { shape: [...array.shape] });
}

/**
 * Calls f, which records a program, and gives back the references that the traced values made in it own. Most tracers are bookkeeping, but
 * constants are buffers, and so may be what a tracer inside a gradient holds on to; the program keeps its own reference to each until it
 * is disposed. When f throws there is no program, and the constants are freed altogether. For files of arrays/ only.
 */
export function recording<R>(f: () => R): R {
  const outer = owned;
  const mine: Tracer[] = (owned = []);
  try {
    const result = f();
    for (const tracer of mine) tracer.dispose();
    return result;
  } catch (cause) {
    for (const tracer of mine) while (tracer instanceof library().Array && tracer.refCount > 0) tracer.dispose();
    throw cause;
  } finally {
    owned = outer;
  }
}

/** The array around a tracer, which it now owns. For files of arrays/ only. */
export const wrap = (tracer: Tracer): Arr => new Arr(new TracedValue(tracer));

/** One reference to a traced array's tracer, numbers never booleans; null for a host array. For files of arrays/ only. */
export function unwrap(array: Arr): Tracer | null {
  return array.value instanceof TracedValue ? array.value.number : null;
}
