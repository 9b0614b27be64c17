import { compile, host, matmul, oneHot, startArrays, valueAndGradient, values } from "../../src/arrays/index.ts";
import type { Arr, Arrays, HostArray } from "../../src/arrays/index.ts";
import type { Examples } from "../../src/credit/examples.ts";
import { outputsOf } from "../../src/objectives/index.ts";
import type { Batch, Objective } from "../../src/objectives/index.ts";

/** Numbers with a shape, in any precision. */
export interface Numbered {
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array | Int32Array;
}

/** A model as one function of its parameters, beside the engine that serves it. */
export interface Model<X> {
  /** Where to compute: host float64, or a compiled float32 program. */
  readonly kernel: "host" | "compiled";
  readonly trainable: (name: string) => boolean;
  /** Inputs of `apply` for these rows. */
  inputs(rows: readonly X[]): Record<string, HostArray>;
  /** Outputs [N, width], entry (n, j) belonging to action j of row n. */
  apply(parameters: Arrays, inputs: Arrays, rows: readonly X[], names: readonly string[], width: number): Record<string, Arr>;
}

/** Everything of a batch that is a number, as nested host arrays. */
function tables<X>(objective: Objective, examples: Examples<X>, width: number) {
  const { rows, offsets, sets } = examples;
  const N = rows.length;
  const table = (flat: Float32Array): HostArray => {
    const data = new Float32Array(N * width);
    // Masked cells may hold anything, also NaN; a table has 0 there.
    for (let n = 0; n < N; n++)
      for (let i = offsets[n]!; i < offsets[n + 1]!; i++) if (examples.mask[i] !== 0) data[n * width + i - offsets[n]!] = flat[i]!;
    return { shape: [N, width], data };
  };
  const needs = objective.needs;
  const some = (names: readonly string[], make: (name: string) => HostArray) => Object.fromEntries(names.map((name) => [name, make(name)]));
  const S = sets?.weight.length ?? 1;
  const size = sets?.size ?? 1;
  const members = sets?.members ?? new Int32Array([0]);
  return {
    mask: table(examples.mask),
    weight: {
      shape: [N],
      data: examples.weight.map((w, n) => (examples.mask.subarray(offsets[n], offsets[n + 1]).some((m) => m > 0) ? w : 0)),
    },
    token: some(needs.token, (name) => table(examples.token[name]!)),
    row: some(needs.row, (name) => ({ shape: [N], data: examples.row[name]! })),
    index: { shape: [S * size], data: members.map((m) => Math.max(0, m)) },
    sets: {
      mask: { shape: [S, size], data: Float32Array.from(members, (m) => (m >= 0 ? 1 : 0)) },
      weight: { shape: [S], data: sets?.weight ?? new Float32Array([1]) },
      member: some(needs.member, (name) => ({ shape: [S, size], data: sets!.member[name]! })),
      set: some(needs.set, (name) => ({ shape: [S], data: sets!.set[name]! })),
    },
  };
}

type Nested = Numbered | { readonly [name: string]: Nested };
type OnHost<T> = T extends Numbered ? Arr : { [K in keyof T]: OnHost<T[K]> };

function onHost<T extends Nested>(tree: T): OnHost<T> {
  if (isHostArray(tree)) return host(tree.data, tree.shape) as OnHost<T>;
  return Object.fromEntries(Object.entries(tree).map(([name, part]) => [name, onHost(part as Nested)])) as OnHost<T>;
}
const isHostArray = (x: Nested): x is Numbered => "data" in x && ArrayBuffer.isView(x.data);

/**
 * Gradient of the objective with respect to the trainable parameters, through policy and objective in one graph: what forward, host
 * objective and backward must come to.
 */
export async function fusedGradient<X>(
  model: Model<X>,
  parameters: Readonly<Record<string, Numbered>>,
  objective: Objective,
  examples: Examples<X>,
): Promise<Record<string, ArrayLike<number>>> {
  const { rows, offsets } = examples;
  const width = Math.max(...rows.map((_, n) => offsets[n + 1]! - offsets[n]!));
  const numbers = tables(objective, examples, width);
  const pick = (keep: boolean) => Object.fromEntries(Object.entries(parameters).filter(([name]) => model.trainable(name) === keep));
  const coefficients = Object.fromEntries(
    Object.entries(objective.coefficients).map(([name, c]) => [name, { shape: [], data: new Float32Array([c]) }]),
  );

  const gradientOf = (trainable: Arrays, frozen: Arrays, inputs: Arrays, t: OnHost<typeof numbers>, c: Arrays) => {
    const batch: Batch<string, string, string, string> = {
      ...t,
      sets: {
        ...t.sets,
        of: (perRow) =>
          matmul(oneHot(t.index, rows.length), perRow.reshape([rows.length, 1]))
            .reshape([...t.sets.mask.shape])
            .mul(t.sets.mask),
      },
    };
    return valueAndGradient((p: Arrays) => {
      const outputs = model.apply({ ...frozen, ...p }, inputs, rows, outputsOf(objective), width);
      return { value: objective.loss(outputs, batch, c).loss };
    }, trainable).gradient;
  };

  if (model.kernel === "host") {
    const gradient = gradientOf(onHost(pick(true)), onHost(pick(false)), onHost(model.inputs(rows)), onHost(numbers), onHost(coefficients));
    return Object.fromEntries(Object.entries(gradient).map(([name, g]) => [name, values(g)]));
  }
  await startArrays();
  const program = compile(gradientOf);
  // On this side all parameters are what the device takes; the cast drops the float64 of the other side.
  const gradient = program.run(pick(true) as never, pick(false) as never, model.inputs(rows), numbers as never, coefficients);
  const read = await Promise.all(Object.entries(gradient).map(async ([name, g]) => [name, await g.read()] as const));
  for (const tensor of Object.values(gradient)) tensor.dispose();
  program.dispose();
  return Object.fromEntries(read);
}

/** Outputs of a policy that pads, moved so that entry (n, j) belongs to action j of row n. */
export function aligned(output: Arr, starts: readonly number[], width: number, concat: (arrays: readonly Arr[], axis: number) => Arr): Arr {
  return concat(
    starts.map((start, n) => output.slice(0, n, n + 1).slice(1, start, start + width)),
    0,
  );
}
