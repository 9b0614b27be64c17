import { GuerdonError } from "../error.ts";
import { shuffled } from "../statistics/stream.ts";
import type { Rng } from "../statistics/stream.ts";
import { offsetsOf } from "./build.ts";
import type { Examples, Sets } from "./examples.ts";

/**
 * The examples with only the given rows, in the given order; token, row and set columns go along. A set loses the members that are not
 * kept; what is left with fewer than two is dropped.
 *
 * @param keepRows distinct row numbers
 * @throws GuerdonError "usage" when a number is no row or is there twice
 */
export function select<X>(examples: Examples<X>, keepRows: ArrayLike<number>): Examples<X> {
  const keep = Array.from(keepRows);
  const place = new Map<number, number>();
  for (const [to, from] of keep.entries()) {
    if (!Number.isInteger(from) || from < 0 || from >= examples.rows.length)
      throw new GuerdonError("usage", `${from} is not a row: there are ${examples.rows.length}`);
    if (place.has(from)) throw new GuerdonError("usage", `row ${from} is selected twice`);
    place.set(from, to);
  }
  const { offsets } = examples;
  const cells = (column: Float32Array): Float32Array => {
    const out = new Float32Array(kept[keep.length]!);
    for (const [to, from] of keep.entries()) out.set(column.subarray(offsets[from]!, offsets[from + 1]!), kept[to]!);
    return out;
  };
  const each = (column: Float32Array): Float32Array => Float32Array.from(keep, (from) => column[from]!);
  const kept = offsetsOf(keep.map((from) => offsets[from + 1]! - offsets[from]!));
  const { sets, tasks, ...rest } = examples;
  return {
    ...rest,
    rows: keep.map((from) => examples.rows[from]!),
    offsets: kept,
    mask: cells(examples.mask),
    weight: each(examples.weight),
    token: mapColumns(examples.token, cells),
    row: mapColumns(examples.row, each),
    ...(sets && { sets: renumbered(sets, place) }),
    ...(tasks && { tasks: keep.map((from) => tasks[from]!) }),
  };
}

/**
 * The examples with token weights: the mask times `tokenWeights`. Note that "token-mean" divides by the sum of the mask; give the
 * objective a constant divisor where the weights must not change it.
 *
 * @param tokenWeights one number a cell, not negative
 */
export function reweight<X>(examples: Examples<X>, tokenWeights: ArrayLike<number>): Examples<X> {
  if (tokenWeights.length !== examples.mask.length)
    throw new GuerdonError("input", `${tokenWeights.length} token weights for ${examples.mask.length} cells`);
  const mask = examples.mask.map((m, k) => {
    const weight = tokenWeights[k]!;
    if (!(weight >= 0 && Number.isFinite(weight)))
      throw new GuerdonError("non-finite", `the token weight of cell ${k} is ${weight}; it must be finite and not negative`);
    return m * weight;
  });
  return { ...examples, mask };
}

/** The rows in random order; where there are sets, the sets too. */
export const shuffle = <X>(examples: Examples<X>, rng: Rng): Examples<X> => minibatches(examples, 1, rng)[0]!;

/**
 * Random parts of nearly equal size. Rows are dealt out; where there are sets, sets are dealt out and take their rows along, so a row may
 * be in several parts.
 *
 * @param count at most the number of rows (or sets)
 * @throws GuerdonError "usage" when there is less to deal out than parts
 */
export function minibatches<X>(examples: Examples<X>, count: number, rng: Rng): Examples<X>[] {
  const { sets } = examples;
  const total = sets === undefined ? examples.rows.length : sets.weight.length;
  if (!(Number.isInteger(count) && count >= 1 && count <= total))
    throw new GuerdonError("usage", `cannot make ${count} parts of ${total} ${sets === undefined ? "rows" : "sets"}`);
  const order = shuffled(
    Array.from({ length: total }, (_, i) => i),
    rng,
  );
  return Array.from({ length: count }, (_, part) => {
    const own = order.slice(Math.floor((part * total) / count), Math.floor(((part + 1) * total) / count));
    if (sets === undefined) return select(examples, own);
    const chosen = takeSets(sets, own);
    const rows = [...new Set(chosen.members)].filter((row) => row >= 0);
    return select({ ...examples, sets: chosen }, rows);
  });
}

function mapColumns(
  columns: Readonly<Record<string, Float32Array>>,
  f: (column: Float32Array) => Float32Array,
): Record<string, Float32Array> {
  return Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, f(column)]));
}

/** The given sets, in that order. */
function takeSets(sets: Sets, which: readonly number[]): Sets {
  const { size } = sets;
  const each = (column: Float32Array): Float32Array => Float32Array.from(which, (s) => column[s]!);
  const members = (column: Float32Array): Float32Array =>
    Float32Array.from(which.flatMap((s) => [...column.subarray(s * size, (s + 1) * size)]));
  return {
    size,
    members: Int32Array.from(which.flatMap((s) => [...sets.members.subarray(s * size, (s + 1) * size)])),
    weight: each(sets.weight),
    member: mapColumns(sets.member, members),
    set: mapColumns(sets.set, each),
  };
}

/** The sets with new row numbers, without members that are gone and without sets of fewer than two. */
function renumbered(sets: Sets, place: ReadonlyMap<number, number>): Sets {
  const members = sets.members.map((row) => place.get(row) ?? -1);
  const whole = Array.from({ length: sets.weight.length }, (_, s) => s).filter(
    (s) => members.subarray(s * sets.size, (s + 1) * sets.size).reduce((n, row) => n + (row >= 0 ? 1 : 0), 0) >= 2,
  );
  return takeSets({ ...sets, members }, whole);
}
