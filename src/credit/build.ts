import { GuerdonError } from "../error.ts";
import type { Rollout } from "../rollouts/rollout.ts";
import { checkFinite } from "./columns.ts";
import type { Examples } from "./examples.ts";
import type { Column, Scored } from "./scored.ts";

/** One number an action, one array a rollout. */
export type Ragged = readonly ArrayLike<number>[];

/** Columns that a method adds to scored rollouts. */
export interface ExtraColumns {
  /** One number a rollout, given to each of its actions, or one number an action. */
  readonly advantage?: Column | Ragged;
  /** Row weights. Default 1. */
  readonly weight?: Column;
  readonly token?: Readonly<Record<string, Ragged>>;
  readonly row?: Readonly<Record<string, Column>>;
}

/**
 * Training data from scored rollouts: token columns "behaviour", all of `table.token` (reference, old, value) and those added. Cells that
 * are masked in a rollout hold 0 in every column.
 *
 * @throws GuerdonError "input" when a length is wrong; "non-finite" naming column and row
 */
export function examples<X>(table: Scored<X>, columns: ExtraColumns = {}): Examples<X> {
  const { rollouts } = table;
  checkFinite(table.reward, "reward");
  const mask = flatten(
    "mask",
    rollouts.map((r) => r.mask),
    rollouts,
  );
  const token: Record<string, Float32Array> = {
    behaviour: flatten(
      "behaviour",
      rollouts.map((r) => r.behaviourLogProbs),
      rollouts,
    ),
  };
  const ragged: Record<string, Ragged> = { ...table.token, ...columns.token };
  if (columns.advantage !== undefined) ragged["advantage"] = onActions(columns.advantage, rollouts);
  for (const [name, values] of Object.entries(ragged)) token[name] = flatten(name, values, rollouts);

  const row: Record<string, Float32Array> = {};
  for (const [name, values] of Object.entries(columns.row ?? {})) row[name] = rowColumn(name, values, rollouts.length);
  const weight =
    columns.weight === undefined ? new Float32Array(rollouts.length).fill(1) : rowColumn("weight", columns.weight, rollouts.length);
  const origin = originOf(rollouts);
  return {
    rows: rollouts.map((r) => r.row),
    offsets: offsetsOf(rollouts.map((r) => r.mask.length)),
    mask,
    weight,
    token,
    row,
    ...(origin && { origin }),
    tasks: rollouts.map((r) => r.task.id),
  };
}

/**
 * Training data from demonstrated rows: no columns, all actions count.
 *
 * @param options.actions the number of actions of a row, where it is not `row.actions.length`
 * @param options.mask one array a row, 0 for actions that are not to be imitated
 */
export function demonstrations<X extends { readonly actions: ArrayLike<unknown> }>(
  rows: readonly X[],
  options: { readonly actions?: (row: X) => number; readonly mask?: Ragged } = {},
): Examples<X> {
  const { actions = (row: X) => row.actions.length } = options;
  const counts = rows.map(actions);
  const offsets = offsetsOf(counts);
  const mask = new Float32Array(offsets[rows.length]!).fill(1);
  if (options.mask !== undefined) {
    if (options.mask.length !== rows.length)
      throw new GuerdonError("input", `${options.mask.length} masks for ${rows.length} demonstrations`);
    for (const [i, own] of options.mask.entries()) {
      if (own.length !== counts[i])
        throw new GuerdonError("input", `the mask of row ${i} has ${own.length} numbers; the row has ${counts[i]} actions`);
      mask.set(own, offsets[i]!);
    }
  }
  return { rows, offsets, mask, weight: new Float32Array(rows.length).fill(1), token: {}, row: {} };
}

/** One number a rollout as one number an action. */
function onActions(advantage: Column | Ragged, rollouts: readonly Rollout<unknown>[]): Ragged {
  if (!(advantage instanceof Float64Array)) return advantage;
  if (advantage.length !== rollouts.length)
    throw new GuerdonError("input", `${advantage.length} advantages for ${rollouts.length} rollouts`);
  checkFinite(advantage, "advantage");
  return rollouts.map((r, i) => new Float64Array(r.mask.length).fill(advantage[i]!));
}

function flatten(name: string, values: Ragged, rollouts: readonly Rollout<unknown>[]): Float32Array {
  if (values.length !== rollouts.length)
    throw new GuerdonError("input", `the token column ${name} has ${values.length} rows; there are ${rollouts.length} rollouts`);
  const offsets = offsetsOf(rollouts.map((r) => r.mask.length));
  const out = new Float32Array(offsets[rollouts.length]!);
  for (const [i, { mask }] of rollouts.entries()) {
    const own = values[i]!;
    if (own.length !== mask.length)
      throw new GuerdonError(
        "input",
        `the token column ${name} has ${own.length} numbers in row ${i}; the rollout has ${mask.length} actions`,
      );
    for (let j = 0; j < mask.length; j++) {
      if (mask[j] === 0) continue;
      if (!Number.isFinite(own[j]!)) throw new GuerdonError("non-finite", `the token column ${name} is ${own[j]} in row ${i}, action ${j}`);
      out[offsets[i]! + j] = own[j]!;
    }
  }
  return out;
}

function rowColumn(name: string, values: Column, length: number): Float32Array {
  if (values.length !== length)
    throw new GuerdonError("input", `the row column ${name} has ${values.length} numbers; there are ${length} rollouts`);
  checkFinite(values, name);
  return Float32Array.from(values);
}

/** [0, n_0, n_0 + n_1, ...] */
export function offsetsOf(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1);
  for (const [i, n] of lengths.entries()) offsets[i + 1] = offsets[i]! + n;
  return offsets;
}

/** Where all rollouts were drawn, if that is one engine's own distribution at one version of its weights. */
function originOf(rollouts: readonly Rollout<unknown>[]): Examples["origin"] {
  const first = rollouts[0];
  if (first === undefined) return undefined;
  const { engine } = first.sampling;
  const { weightsVersion } = first;
  const same = rollouts.every(
    ({ sampling: s, weightsVersion: version }) =>
      s.engine === engine && version === weightsVersion && s.temperature === 1 && s.topK === 0 && s.topP === 1,
  );
  return same ? { engine, weightsVersion } : undefined;
}
