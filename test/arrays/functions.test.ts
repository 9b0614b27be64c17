import { describe, expect, test } from "vitest";
import * as A from "../../src/arrays/index.ts";
import type { Arr, Arrays } from "../../src/arrays/index.ts";
import { stream, normal } from "../../src/statistics/stream.ts";
import { expectSameOnBothKernels, type TestInputs } from "../kit/kernels.ts";

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const random = (name: string, shape: readonly number[]) => {
  const rng = stream(1, "functions", name);
  return { shape, data: Array.from({ length: sizeOf(shape) }, () => normal(rng)) };
};
const positive = (name: string, shape: readonly number[]) => {
  const input = random(name, shape);
  return { shape, data: input.data.map((x) => 0.2 + Math.abs(x)) };
};
const whole = (data: readonly number[], shape = [data.length]) => ({ shape, data, whole: true });

const x = random("x", [2, 3, 4]);
const y = random("y", [2, 3, 4]);
const row = random("row", [4]);
const column = random("column", [2, 3, 1]);
const scalar = random("scalar", []);

const cases: Record<string, [f: (i: Arrays<"x" | "y" | "k">) => Arr, inputs: TestInputs]> = {
  "add, same shape": [({ x, y }) => x.add(y), { x, y }],
  "add, number": [({ x }) => x.add(2.5), { x }],
  "add, broadcast to the left": [({ x, y }) => x.add(y), { x: row, y: x }],
  "sub, broadcast": [({ x, y }) => x.sub(y), { x, y: row }],
  "sub, number first": [({ x }) => A.sub(1, x), { x }],
  "sub, arrays": [({ x, y }) => A.sub(x, y), { x, y: column }],
  "mul, both broadcast": [({ x, y }) => x.mul(y), { x: column, y: row }],
  "mul, scalar array": [({ x, y }) => x.mul(y), { x, y: scalar }],
  "mul, by itself": [({ x }) => x.mul(x).mul(x), { x }],
  "div, broadcast": [({ x, y }) => x.div(y), { x: row, y: positive("d", [2, 3, 4]) }],
  "div, number first": [({ x }) => A.div(2, x), { x: positive("d", [3, 4]) }],
  "div, scalar over array": [({ x, y }) => x.div(y), { x: scalar, y: positive("d", [3]) }],
  neg: [({ x }) => x.neg(), { x }],
  "sum, all": [({ x }) => x.sum(), { x }],
  "sum, all, kept": [({ x }) => x.sum(undefined, true), { x }],
  "sum, first axis": [({ x }) => x.sum(0), { x }],
  "sum, middle axis, kept": [({ x }) => x.sum(1, true), { x }],
  "sum, last axis": [({ x }) => x.sum(-1), { x }],
  "sum, long, divisible": [({ x }) => x.sum(0), { x: random("long", [1024, 2]) }],
  "sum, long, prime": [({ x }) => x.sum(-1), { x: random("prime", [2, 521]) }],
  mean: [({ x }) => x.mean(), { x }],
  "mean, axis, kept": [({ x }) => x.mean(1, true), { x }],
  max: [({ x }) => x.max(1), { x }],
  "max, kept": [({ x }) => x.max(-1, true), { x }],
  greater: [({ x, y }) => x.greater(y).mul(x), { x, y }],
  less: [({ x }) => x.less(0.1).add(x), { x }],
  "comparisons add up as numbers": [({ x, y }) => x.greater(-9).add(y.greater(-9)).sum(0).add(x.mul(0).sum(0)), { x, y }],
  "comparison of comparisons": [({ x, y }) => x.greater(0).equal(y.greater(0)).mul(x), { x, y }],
  equal: [({ x, k }) => k.equal(2).mul(x), { x: row, k: whole([0, 2, 2, 1]) }],
  reshape: [({ x }) => x.reshape([4, -1]), { x }],
  "transpose, reversed": [({ x }) => x.transpose(), { x }],
  "transpose, permuted": [({ x }) => x.transpose([1, 0, 2]), { x }],
  at: [({ x }) => x.at(1, 2), { x }],
  "at, from the end": [({ x }) => x.at(-1, -1), { x }],
  slice: [({ x }) => x.slice(1, 1, 3), { x }],
  columns: [({ x }) => x.columns().reduce((a, b) => a.mul(b)), { x }],
  exp: [({ x }) => A.exp(x), { x }],
  log: [({ x }) => A.log(x), { x: positive("log", [3, 4]) }],
  log1p: [({ x }) => A.log1p(x), { x: positive("log1p", [3, 4]) }],
  sqrt: [({ x }) => A.sqrt(x), { x: positive("sqrt", [3, 4]) }],
  square: [({ x }) => A.square(x), { x }],
  abs: [({ x }) => A.abs(x), { x }],
  tanh: [({ x }) => A.tanh(x), { x }],
  sigmoid: [({ x }) => A.sigmoid(x), { x }],
  silu: [({ x }) => A.silu(x), { x }],
  relu: [({ x }) => A.relu(x), { x }],
  cos: [({ x }) => A.cos(x), { x }],
  sin: [({ x }) => A.sin(x), { x }],
  softplus: [({ x }) => A.softplus(x), { x }],
  "softplus, at zero": [({ x }) => A.softplus(x), { x: { shape: [3], data: [0, 0, 0] } }],
  logSigmoid: [({ x }) => A.logSigmoid(x), { x }],
  "gelu, tanh": [({ x }) => A.gelu(x, { approximate: true }), { x }],
  "gelu, erf": [({ x }) => A.gelu(x, { approximate: false }), { x }],
  minimum: [({ x, y }) => A.minimum(x, y), { x, y: row }],
  "maximum, number first": [({ x }) => A.maximum(0.3, x), { x }],
  clip: [({ x }) => A.clip(x, -0.5, 0.5), { x }],
  "clip, array bounds": [({ x, y }) => A.clip(x, y.sub(1), y), { x, y: scalar }],
  where: [({ x, y }) => A.where(x.greater(y), x.mul(2), y), { x, y: column }],
  "where, numbers": [({ x }) => A.where(x.less(0), x, 7), { x }],
  "where, whole condition": [({ x, k }) => A.where(k, x, 0), { x: row, k: whole([1, 0, 0, 1]) }],
  "matmul, matrices": [({ x, y }) => A.matmul(x, y), { x: random("a", [3, 5]), y: random("b", [5, 2]) }],
  "matmul, batch by matrix": [({ x, y }) => A.matmul(x, y), { x, y: random("b", [4, 5]) }],
  "matmul, batches": [({ x, y }) => A.matmul(x, y), { x, y: random("b", [2, 4, 5]) }],
  "matmul, matrix by batch": [({ x, y }) => A.matmul(x, y), { x: random("a", [5, 3]), y: x }],
  "matmul, batches broadcast": [({ x, y }) => A.matmul(x, y), { x: random("a", [2, 1, 3, 4]), y: random("b", [3, 4, 2]) }],
  "matmul, four axes": [({ x, y }) => A.matmul(x, y), { x: random("a", [2, 2, 3, 4]), y: random("b", [2, 2, 4, 3]) }],
  softmax: [({ x }) => A.softmax(x), { x }],
  logSoftmax: [({ x }) => A.logSoftmax(x), { x }],
  logSumExp: [({ x }) => A.logSumExp(x), { x }],
  "softmax, masked": [({ x, k }) => A.softmax(A.where(k, x, -1e30)), { x, k: whole([1, 0, 1, 0]) }],
  oneHot: [({ x, k }) => A.oneHot(k, 4).mul(x), { x: row, k: whole([3, 0, 0]) }],
  "oneHot, picks": [({ x, k }) => A.logSoftmax(x).mul(A.oneHot(k, 4)).sum(-1), { x, k: whole([3, 0, 1, 2, 2, 0], [2, 3]) }],
  "take, small table": [({ x, k }) => A.take(x, k), { x: random("table", [5, 3]), k: whole([4, 0, 0, 2], [2, 2]) }],
  "take, large table": [({ x, k }) => A.take(x, k), { x: random("table", [300, 2]), k: whole([299, 0, 0, 7], [2, 2]) }],
  "take, from a vector": [({ x, k }) => A.take(x, k), { x: row, k: whole([3, 1]) }],
  "take, rows of matrices": [({ x, k }) => A.take(x, k), { x: random("table", [3, 2, 2]), k: whole([2, 2]) }],
  concat: [({ x, y }) => A.concat([x, y, x], 1), { x, y: random("c", [2, 1, 4]) }],
  "concat, one element each": [
    ({ x, y }) => A.concat([x.reshape([1]), y.reshape([1]), x.add(7).reshape([1])], 0),
    { x: scalar, y: random("t", []) },
  ],
  "concat, with constants": [({ x }) => A.concat([x.reshape([1]), A.host([7], [1]), A.host([5], [1])], 0), { x: scalar }],
  storeGradient: [({ x, y }) => A.storeGradient(x.mul(y)).mul(x), { x, y }],
  "storeGradient, scalar": [({ x }) => A.exp(A.storeGradient(x)), { x: scalar }],
  cumsum: [({ x }) => A.cumsum(x, 1), { x }],
  "cumsum, last axis": [({ x }) => A.cumsum(x, -1), { x }],
  "constants from the host": [({ x }) => x.mul(A.host([1, 2, 3, 4], [4])).add(A.host([1], [])), { x }],
  "a constant on the left": [({ x }) => A.host([1, 2, 3, 4], [4]).sub(x), { x }],
  "indices as numbers": [({ x, k }) => x.mul(k.mul(0.5)).add(k.div(4)).add(k.add(1)), { x: row, k: whole([0, 1, 2, 3]) }],
  "indices beside fractions, large numbers and infinities": [
    ({ x, k }) => x.mul(A.minimum(k, 1.5).add(k.greater(0.5)).add(k.greater(-1e30)).add(A.maximum(k, -Infinity))),
    { x: row, k: whole([0, 1, 2, 3]) },
  ],
  "large indices": [({ x, k }) => x.mul(k.sub(0x3f3504f3)), { x: row, k: whole([0x3f3504f3, 0x3f3504f4, 0x3f3504f0, 0x3f3504f3]) }],
  "indices joined to numbers": [({ x, k }) => A.concat([k, x, x.greater(0)], 0), { x: row, k: whole([0, 1, 2, 3]) }],
  "indices joined, then used": [({ x, k }) => A.take(x, A.concat([k, k.mul(0).add(3)], 0)), { x: row, k: whole([0, 1]) }],
  "an index array made of numbers": [({ x, k }) => A.take(x, A.where(k.greater(1), k, 0)), { x: row, k: whole([0, 1, 2, 3]) }],
  "an unused parameter": [({ x }) => x.mul(2), { x, y }],
};

describe("on both kernels and by finite differences", () => {
  for (const [name, [f, inputs]] of Object.entries(cases)) test(name, () => expectSameOnBothKernels(f as (i: Arrays) => Arr, inputs));
});

describe("where a slope jumps, both kernels take the same", () => {
  const zeros = { shape: [2], data: [0, 0] };
  const jumps: Record<string, [f: (i: Arrays<"x" | "y">) => Arr, slope: number[]]> = {
    relu: [({ x }) => A.relu(x), [0, 0]],
    abs: [({ x }) => A.abs(x), [0, 0]],
    minimum: [({ x, y }) => A.minimum(x, y), [1, 1]],
    maximum: [({ x, y }) => A.maximum(x, y), [1, 1]],
    clip: [({ x }) => A.clip(x, 0, 1), [1, 1]],
    max: [({ x }) => x.max(0), [0.5, 0.5]],
  };
  for (const [name, [f, slope]] of Object.entries(jumps))
    test(name, async () => {
      await expectSameOnBothKernels(f as (i: Arrays) => Arr, { x: zeros, y: zeros }, { differences: false });
      const { gradient } = A.valueAndGradient(({ x, y }) => ({ value: f({ x, y }).sum() }), {
        x: A.host([0, 0], [2]),
        y: A.host([0, 0], [2]),
      });
      expect([...A.values(gradient.x)]).toEqual(slope);
    });
});

describe("far from zero", () => {
  const far = { shape: [7], data: [-1000, -300, -100, 0, 20, 100, 1000] };
  test("softplus and logSigmoid neither overflow nor lose their tails", async () => {
    await expectSameOnBothKernels(({ x }: Arrays) => A.softplus(x!), { x: far });
    await expectSameOnBothKernels(({ x }: Arrays) => A.logSigmoid(x!), { x: far });
    const tail = A.values(A.logSigmoid(A.host([20, -300], [2])));
    expect(tail[0]).toBeCloseTo(-2.0611536e-9, 15);
    expect(tail[1]).toBe(-300);
  });
  test("softmax and its logarithm", async () => {
    await expectSameOnBothKernels(({ x }: Arrays) => A.softmax(x!), { x: far });
    await expectSameOnBothKernels(({ x }: Arrays) => A.logSoftmax(x!), { x: far });
    await expectSameOnBothKernels(({ x }: Arrays) => A.logSumExp(x!), { x: far });
    await expectSameOnBothKernels(({ x }: Arrays) => A.softmax(x!.mul(0).sub(1e30)), { x: far });
  });
  test("sigmoid, tanh and gelu saturate", async () => {
    await expectSameOnBothKernels(({ x }: Arrays) => A.sigmoid(x!), { x: far });
    await expectSameOnBothKernels(({ x }: Arrays) => A.tanh(x!), { x: far });
    for (const approximate of [true, false]) await expectSameOnBothKernels(({ x }: Arrays) => A.gelu(x!, { approximate }), { x: far });
  });
});
