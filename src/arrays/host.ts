import { GuerdonError } from "../error.ts";
import { Arr, type Binary, type Unary, type Value } from "./arr.ts";
import { binaryLoops, unaryLoops } from "./loops.ts";
import { broadcast, same, show, sizeOf } from "./shape.ts";

/** Values that depend on the parameters of the running `hostGradient`, in the order in which they were computed. */
let tape: HostValue[] | null = null;

/** Adds to the parents' gradients, given the gradient of the value itself. */
type Pull = (gradient: Float64Array) => void;

/** The host kernel: float64, row-major. Integers and comparisons are float64 too. */
class HostValue implements Value {
  readonly kernel = "host";
  readonly shape: readonly number[];
  readonly data: Float64Array;
  readonly pull: Pull | null;
  /** Gradient of the result with respect to this value; null where nothing is to be differentiated. */
  gradient: Float64Array | null;

  constructor(shape: readonly number[], data: Float64Array, parents: readonly HostValue[] = [], pull: Pull | null = null) {
    const tracked = tape !== null && pull !== null && parents.some((p) => p.gradient !== null);
    this.shape = shape;
    this.data = data;
    this.pull = tracked ? pull : null;
    this.gradient = tracked ? new Float64Array(data.length) : null;
    if (tracked) tape!.push(this);
  }

  lift(): never {
    throw new GuerdonError("internal", "A traced array cannot become a host array.");
  }

  unary(operation: Unary): Value {
    const x = this.data;
    const n = x.length;
    const { value, slope } = unaryLoops[operation];
    const out = new Float64Array(n);
    for (let i = 0; i < n; i++) out[i] = value(x[i]!);
    return new HostValue(this.shape, out, [this], (g) => {
      const gx = this.gradient!;
      for (let i = 0; i < n; i++) gx[i]! += g[i]! * slope(x[i]!, out[i]!);
    });
  }

  binary(operation: Binary, other: Value | number): Value {
    const right = hostValue(other);
    const shape = broadcast(operation, [this.shape, right.shape]);
    const [a, strideA] = this.fitting(shape);
    const [b, strideB] = right.fitting(shape);
    const { value, pullLeft, pullRight } = binaryLoops[operation];
    const out = new Float64Array(sizeOf(shape));
    value(out, a.data, strideA, b.data, strideB);
    if (pullLeft === null) return new HostValue(shape, out);
    return new HostValue(shape, out, [a, b], (g) => {
      if (a.gradient) pullLeft(g, a.data, strideA, b.data, strideB, a.gradient);
      if (b.gradient) pullRight!(g, a.data, strideA, b.data, strideB, b.gradient);
    });
  }

  where(yes: Value | number, no: Value | number): Value {
    const branches = [hostValue(yes), hostValue(no)] as const;
    const shape = broadcast("where", [this.shape, ...branches.map((v) => v.shape)]);
    const [c, strideC] = this.fitting(shape);
    const [a, strideA] = branches[0].fitting(shape);
    const [b, strideB] = branches[1].fitting(shape);
    const n = sizeOf(shape);
    const out = new Float64Array(n);
    for (let i = 0; i < n; i++) out[i] = c.data[i * strideC] !== 0 ? a.data[i * strideA]! : b.data[i * strideB]!;
    return new HostValue(shape, out, [a, b], (g) => {
      for (let i = 0; i < n; i++)
        if (c.data[i * strideC] !== 0) {
          if (a.gradient) a.gradient[i * strideA]! += g[i]!;
        } else if (b.gradient) b.gradient[i * strideB]! += g[i]!;
    });
  }

  /** This value as the loops want it: in the given shape (stride 1), or a single number (stride 0). */
  private fitting(shape: readonly number[]): [value: HostValue, stride: 0 | 1] {
    if (same(this.shape, shape)) return [this, 1];
    if (this.data.length === 1) return [this, 0];
    return [this.gather(broadcastIndex(this.shape, shape), shape), 1];
  }

  /** out[i] = this[index[i]]; the gradient adds up where an index occurs several times. */
  private gather(index: Int32Array, shape: readonly number[]): HostValue {
    const n = index.length;
    const out = new Float64Array(n);
    for (let i = 0; i < n; i++) out[i] = this.data[index[i]!]!;
    return new HostValue(shape, out, [this], (g) => {
      const gx = this.gradient!;
      for (let i = 0; i < n; i++) gx[index[i]!]! += g[i]!;
    });
  }

  sum(axis: number): Value {
    const { outer, n, inner } = around(this.shape, axis);
    const out = new Float64Array(outer * inner);
    for (let o = 0, i = 0; o < outer; o++)
      for (let k = 0; k < n; k++) for (let j = 0; j < inner; j++) out[o * inner + j]! += this.data[i++]!;
    return new HostValue(without(this.shape, axis), out, [this], (g) => {
      const gx = this.gradient!;
      for (let o = 0, i = 0; o < outer; o++) for (let k = 0; k < n; k++) for (let j = 0; j < inner; j++) gx[i++]! += g[o * inner + j]!;
    });
  }

  max(axis: number): Value {
    const { outer, n, inner } = around(this.shape, axis);
    const x = this.data;
    const out = new Float64Array(outer * inner).fill(-Infinity);
    for (let o = 0, i = 0; o < outer; o++)
      for (let k = 0; k < n; k++) for (let j = o * inner; j < (o + 1) * inner; j++, i++) out[j] = Math.max(out[j]!, x[i]!);
    return new HostValue(without(this.shape, axis), out, [this], (g) => {
      const gx = this.gradient!;
      const ties = new Float64Array(out.length);
      for (let o = 0, i = 0; o < outer; o++)
        for (let k = 0; k < n; k++) for (let j = o * inner; j < (o + 1) * inner; j++, i++) if (x[i] === out[j]) ties[j]!++;
      for (let o = 0, i = 0; o < outer; o++)
        for (let k = 0; k < n; k++) for (let j = o * inner; j < (o + 1) * inner; j++, i++) if (x[i] === out[j]) gx[i]! += g[j]! / ties[j]!;
    });
  }

  cumsum(axis: number): Value {
    const { outer, n, inner } = around(this.shape, axis);
    const out = this.data.slice();
    for (let o = 0; o < outer; o++) for (let i = (o * n + 1) * inner; i < (o + 1) * n * inner; i++) out[i]! += out[i - inner]!;
    return new HostValue(this.shape, out, [this], (g) => {
      const gx = this.gradient!;
      const tail = new Float64Array(inner);
      for (let o = 0; o < outer; o++) {
        tail.fill(0);
        for (let k = n - 1; k >= 0; k--) for (let j = 0, i = (o * n + k) * inner; j < inner; j++, i++) gx[i]! += tail[j]! += g[i]!;
      }
    });
  }

  reshape(shape: readonly number[]): Value {
    return new HostValue(shape, this.data, [this], (g) => {
      const gx = this.gradient!;
      for (let i = 0; i < gx.length; i++) gx[i]! += g[i]!;
    });
  }

  transpose(permutation: readonly number[]): Value {
    const strides = stridesOf(this.shape);
    const shape = permutation.map((axis) => this.shape[axis]!);
    return this.gather(
      indexOf(
        shape,
        permutation.map((axis) => strides[axis]!),
      ),
      shape,
    );
  }

  slice(axis: number, from: number, to: number): Value {
    const { outer, n, inner } = around(this.shape, axis);
    const width = (to - from) * inner;
    const out = new Float64Array(outer * width);
    for (let o = 0; o < outer; o++) out.set(this.data.subarray((o * n + from) * inner, (o * n + to) * inner), o * width);
    return new HostValue(
      this.shape.map((m, i) => (i === axis ? to - from : m)),
      out,
      [this],
      (g) => {
        const gx = this.gradient!;
        for (let o = 0; o < outer; o++) for (let j = 0; j < width; j++) gx[(o * n + from) * inner + j]! += g[o * width + j]!;
      },
    );
  }

  concat(others: readonly Value[], axis: number): Value {
    const parts = [this, ...others.map(hostValue)];
    const shape = this.shape.map((n, i) => (i === axis ? parts.reduce((total, p) => total + p.shape[axis]!, 0) : n));
    const { outer, n, inner } = around(shape, axis);
    const out = new Float64Array(sizeOf(shape));
    let from = 0;
    const places = parts.map((part) => {
      const place = { part, from: from * inner, width: part.shape[axis]! * inner };
      from += part.shape[axis]!;
      for (let o = 0; o < outer; o++) out.set(part.data.subarray(o * place.width, (o + 1) * place.width), o * n * inner + place.from);
      return place;
    });
    return new HostValue(shape, out, parts, (g) => {
      for (const { part, from: start, width } of places)
        if (part.gradient)
          for (let o = 0; o < outer; o++) for (let j = 0; j < width; j++) part.gradient[o * width + j]! += g[o * n * inner + start + j]!;
    });
  }

  matmul(other: Value): Value {
    const b = hostValue(other);
    const [M, K] = this.shape.slice(-2) as [number, number];
    const N = b.shape.at(-1)!;
    const batch = broadcast("matmul", [this.shape.slice(0, -2), b.shape.slice(0, -2)]);
    const fromA = broadcastIndex(this.shape.slice(0, -2), batch);
    const fromB = broadcastIndex(b.shape.slice(0, -2), batch);
    const out = new Float64Array(fromA.length * M * N);
    for (let s = 0; s < fromA.length; s++)
      product(out.subarray(s * M * N), this.data.subarray(fromA[s]! * M * K), b.data.subarray(fromB[s]! * K * N), M, K, N);
    return new HostValue([...batch, M, N], out, [this, b], (g) => {
      for (let s = 0; s < fromA.length; s++) {
        const gs = g.subarray(s * M * N, (s + 1) * M * N);
        const [atA, atB] = [fromA[s]! * M * K, fromB[s]! * K * N];
        if (this.gradient) product(this.gradient.subarray(atA), gs, flipped(b.data, atB, K, N), M, N, K);
        if (b.gradient) product(b.gradient.subarray(atB), flipped(this.data, atA, M, K), gs, K, M, N);
      }
    });
  }

  take(indices: Value): Value {
    const which = hostValue(indices);
    const rows = this.shape[0]!;
    const width = sizeOf(this.shape.slice(1));
    checkIndices("take", which.data, rows);
    const index = new Int32Array(which.data.length * width);
    which.data.forEach((row, r) => {
      for (let j = 0; j < width; j++) index[r * width + j] = row * width + j;
    });
    return this.gather(index, [...which.shape, ...this.shape.slice(1)]);
  }

  oneHot(n: number): Value {
    checkIndices("oneHot", this.data, n);
    const out = new Float64Array(this.data.length * n);
    this.data.forEach((k, i) => (out[i * n + k] = 1));
    return new HostValue([...this.shape, n], out);
  }

  stopGradient(): Value {
    return new HostValue(this.shape, this.data);
  }

  /** Gradients are always stored here. */
  storeGradient(): Value {
    return this;
  }
}

/** Throws unless every index is a whole number in [0, n). Policies call this on token ids before they go to the device. */
export function checkIndices(what: string, indices: ArrayLike<number>, n: number): void {
  for (let i = 0; i < indices.length; i++) {
    const k = indices[i]!;
    if (!(Number.isInteger(k) && k >= 0 && k < n))
      throw new GuerdonError("input", `${what}: index ${k} at place ${i} is not a whole number in [0, ${n})`);
  }
}

function hostValue(value: Value | number): HostValue {
  if (typeof value === "number") return new HostValue([], Float64Array.of(value));
  if (value instanceof HostValue) return value;
  throw new GuerdonError("usage", "A traced array can only be used inside its compiled program.");
}

const without = (shape: readonly number[], axis: number): number[] => shape.filter((_, i) => i !== axis);

/** Lengths before, at and after an axis. */
const around = (shape: readonly number[], axis: number): { outer: number; n: number; inner: number } => ({
  outer: sizeOf(shape.slice(0, axis)),
  n: shape[axis]!,
  inner: sizeOf(shape.slice(axis + 1)),
});

const stridesOf = (shape: readonly number[]): number[] => shape.map((_, i) => sizeOf(shape.slice(i + 1)));

/** Where each element of `shape` is found in data with these strides. */
function indexOf(shape: readonly number[], strides: readonly number[]): Int32Array {
  let index = Int32Array.of(0);
  shape.forEach((n, axis) => {
    const next = new Int32Array(index.length * n);
    const stride = strides[axis]!;
    for (let i = 0, at = 0; i < index.length; i++) for (let k = 0; k < n; k++) next[at++] = index[i]! + k * stride;
    index = next;
  });
  return index;
}

/** Where each element of `to` is found in an array of shape `from` that is stretched to it. */
function broadcastIndex(from: readonly number[], to: readonly number[]): Int32Array {
  const strides = stridesOf(from);
  const missing = to.length - from.length;
  return indexOf(
    to,
    to.map((_, i) => (i < missing || from[i - missing] === 1 ? 0 : strides[i - missing]!)),
  );
}

/** out[M, N] += a[M, K] b[K, N] */
function product(out: Float64Array, a: Float64Array, b: Float64Array, M: number, K: number, N: number): void {
  for (let i = 0; i < M; i++)
    for (let k = 0; k < K; k++) {
      const x = a[i * K + k]!;
      for (let j = 0, o = i * N, r = k * N; j < N; j++) out[o++]! += x * b[r++]!;
    }
}

/** The transpose of the [rows, columns] matrix at an offset. */
function flipped(data: Float64Array, offset: number, rows: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[offset + i * columns + j]!;
  return out;
}

/** A host array with a copy of the data, row-major. */
export function host(data: Float32Array | Float64Array | Int32Array | readonly number[], shape: readonly number[]): Arr {
  if (data.length !== sizeOf(shape)) throw new GuerdonError("usage", `host: ${data.length} numbers do not fill shape ${show(shape)}`);
  return new Arr(new HostValue([...shape], Float64Array.from(data)));
}

/** A copy of a host array's numbers, row-major. */
export function values(array: Arr): Float64Array {
  return hostValue(array.value).data.slice();
}

/** Reverse mode, for `valueAndGradient`: what `f` returned, and the gradient of its value. */
export function hostGradient<T extends { readonly value: Arr }>(
  f: (parameters: Record<string, Arr>) => T,
  parameters: Readonly<Record<string, Arr>>,
) {
  if (tape) throw new GuerdonError("unsupported", "valueAndGradient inside valueAndGradient: the host kernel has first derivatives only");
  const leaves = Object.entries(parameters).map(([name, { value }]) => [name, leafOf(hostValue(value))] as const);
  const computed: HostValue[] = (tape = []);
  let result: T;
  try {
    result = f(Object.fromEntries(leaves.map(([name, leaf]) => [name, new Arr(leaf)])));
  } finally {
    tape = null;
  }
  const total = hostValue(result.value.value);
  if (total.shape.length !== 0) throw new GuerdonError("usage", `valueAndGradient: the value has shape ${show(total.shape)}, not []`);
  total.gradient?.fill(1);
  for (const { pull, gradient } of computed.toReversed()) pull!(gradient!);
  const gradient = Object.fromEntries(leaves.map(([name, leaf]) => [name, new Arr(new HostValue(leaf.shape, leaf.gradient!))]));
  return { result, gradient };
}

/** A copy of a value that gradients are wanted for. */
function leafOf({ shape, data }: HostValue): HostValue {
  const leaf = new HostValue(shape, data);
  leaf.gradient = new Float64Array(data.length);
  return leaf;
}
