import { GuerdonError } from "../error.ts";
import { offsetsOf } from "./build.ts";
import type { Columns, Examples, Sets } from "./examples.ts";

/**
 * Several examples as one, in which rows that are the same are there once, and so are sets of the same rows: weights add up, columns become
 * weighted means. What a small system says in thousands of rounds is a few rows and sets with weights; and data of many rounds is kept as
 * one table.
 *
 * Exact for losses that are linear in the columns that differ between copies (a soft "label", a row column that marks a share of the
 * copies); columns that are functions of the row, as "reference", stay what they are. Row weights count in losses on rows, set weights
 * in losses on sets.
 *
 * @param keyOf equal for rows that are the same, and different for all others
 * @throws GuerdonError "input" when the parts have different columns, sets of different sizes, or equal rows have different masks
 */
export function merge<X>(parts: readonly Examples<X>[], keyOf: (row: X) => string): Examples<X> {
  const [first] = parts;
  if (first === undefined) throw new GuerdonError("input", "There are no examples to merge.");
  const rows: X[] = [];
  const masks: Float32Array[] = [];
  const tasks: string[] = [];
  const numbers = new Map<string, number>();
  /** For each part, the new number of each of its rows. */
  const places = parts.map((part) =>
    part.rows.map((row, i) => {
      const key = keyOf(row);
      const mask = part.mask.subarray(part.offsets[i]!, part.offsets[i + 1]!);
      const known = numbers.get(key);
      if (known === undefined) {
        numbers.set(key, rows.length);
        masks.push(mask);
        if (part.tasks !== undefined) tasks.push(part.tasks[i]!);
        return rows.push(row) - 1;
      }
      if (masks[known]!.length !== mask.length || masks[known]!.some((m, j) => m !== mask[j]))
        throw new GuerdonError("input", `Rows with the key ${JSON.stringify(key)} have different masks: they are not the same row.`);
      return known;
    }),
  );
  const offsets = offsetsOf(masks.map((mask) => mask.length));
  const cells = parts.map((part, p) =>
    places[p]!.flatMap((to, i) => Array.from({ length: part.offsets[i + 1]! - part.offsets[i]! }, (_, j) => offsets[to]! + j)),
  );
  const cellWeights = parts.map((part) =>
    Float64Array.from(part.rows.flatMap((_, i) => Array.from({ length: part.offsets[i + 1]! - part.offsets[i]! }, () => part.weight[i]!))),
  );
  const rowWeights = parts.map((part) => part.weight);
  const mask = new Float32Array(offsets[rows.length]!);
  for (const [i, own] of masks.entries()) mask.set(own, offsets[i]!);
  const { origin: _, sets: __, ...rest } = first;
  return {
    ...rest,
    rows,
    offsets,
    mask,
    weight: Float32Array.from(sums(rowWeights, places, rows.length)),
    token: means(
      "token",
      parts.map((part) => part.token),
      cellWeights,
      cells,
      mask.length,
    ),
    row: means(
      "row",
      parts.map((part) => part.row),
      rowWeights,
      places,
      rows.length,
    ),
    ...(tasks.length === rows.length && { tasks }),
    ...mergedSets(parts, places),
  };
}

function mergedSets(parts: readonly Examples<unknown>[], places: readonly (readonly number[])[]): { sets?: Sets } {
  const all = parts.flatMap(({ sets }) => (sets === undefined ? [] : [sets]));
  if (all.length === 0) return {};
  const { size } = all[0]!;
  if (all.length !== parts.length || all.some((sets) => sets.size !== size))
    throw new GuerdonError("input", "Only examples whose sets all have one size can be merged, and all of them must have sets.");
  const members: number[][] = [];
  const numbers = new Map<string, number>();
  const into = all.map((sets, p) =>
    Array.from({ length: sets.weight.length }, (_, s) => {
      const own = [...sets.members.subarray(s * size, (s + 1) * size)].map((row) => (row < 0 ? -1 : places[p]![row]!));
      const key = own.join(" ");
      const known = numbers.get(key) ?? members.push(own) - 1;
      numbers.set(key, known);
      return known;
    }),
  );
  const weights = all.map((sets) => sets.weight);
  const each = (s: number): number[] => Array.from({ length: size }, (_, k) => s * size + k);
  return {
    sets: {
      size,
      members: Int32Array.from(members.flat()),
      weight: Float32Array.from(sums(weights, into, members.length)),
      set: means(
        "set",
        all.map((sets) => sets.set),
        weights,
        into,
        members.length,
      ),
      member: means(
        "member",
        all.map((sets) => sets.member),
        weights.map((own) => Float32Array.from([...own].flatMap((w) => Array.from({ length: size }, () => w)))),
        into.map((own) => own.flatMap(each)),
        members.length * size,
      ),
    },
  };
}

function sums(values: readonly ArrayLike<number>[], into: readonly (readonly number[])[], length: number): Float64Array {
  const out = new Float64Array(length);
  for (const [p, own] of values.entries()) for (let i = 0; i < own.length; i++) out[into[p]![i]!]! += own[i]!;
  return out;
}

/** Weighted means of all columns over the copies of each place; where all copies have weight 0, the plain mean. */
function means(
  kind: string,
  columns: readonly Columns[],
  weights: readonly ArrayLike<number>[],
  into: readonly (readonly number[])[],
  length: number,
): Record<string, Float32Array> {
  const names = Object.keys(columns[0]!).toSorted();
  for (const own of columns)
    if (Object.keys(own).toSorted().join() !== names.join())
      throw new GuerdonError(
        "input",
        `Examples with the ${kind} columns ${names.join(", ") || "none"} cannot be merged with others that have ${Object.keys(own).join(", ") || "none"}.`,
      );
  const total = sums(weights, into, length);
  const copies = sums(
    into.map((own) => own.map(() => 1)),
    into,
    length,
  );
  return Object.fromEntries(
    names.map((name) => {
      const out = new Float64Array(length);
      for (const [p, own] of columns.entries())
        for (const [i, to] of into[p]!.entries())
          out[to]! += own[name]![i]! * (total[to] === 0 ? 1 / copies[to]! : weights[p]![i]! / total[to]!);
      return [name, Float32Array.from(out)];
    }),
  );
}
