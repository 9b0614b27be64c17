import type { TextSequence } from "../policies/policy.ts";

export type Columns<K extends string = string> = { readonly [P in K]: Float32Array };

/**
 * Training data of any kind: rows plus columns plus sets. Ragged: row i owns the token cells [offsets[i], offsets[i + 1]). Never padded
 * by its maker; only `Policy.collate` pads.
 */
export interface Examples<X = TextSequence> {
  readonly rows: readonly X[];
  /** [N + 1], offsets[0] = 0. */
  readonly offsets: Int32Array;
  /** [M]: 0 for cells that are not the policy's actions, else 1 or a token weight. */
  readonly mask: Float32Array;
  /** [N]: row weights, normally 1. */
  readonly weight: Float32Array;
  /** [M] each: advantage, behaviour, old, reference, ... */
  readonly token: Columns;
  /** [N] each. */
  readonly row: Columns;
  /** Pairs, lists and groups; absent for plain rows. */
  readonly sets?: Sets;
  /**
   * Set when every row was drawn by one engine from its own distribution (temperature 1, no top-k, no top-p), at one weights version: then
   * `token.behaviour` is the forward pass at those weights, and `step` may save a call.
   */
  readonly origin?: { readonly engine: string; readonly weightsVersion: number };
  /** [N] task ids, where rows answer tasks: errors name them. */
  readonly tasks?: readonly string[];
}

/** A row as errors name it: its number, and its task where that is known. */
export const rowName = ({ tasks }: Pick<Examples<never>, "tasks">, row: number): string =>
  tasks?.[row] === undefined ? `row ${row}` : `row ${row} (task ${JSON.stringify(tasks[row])})`;

/** Rows grouped into sets of one size: size 2 for pairs (member 0 is the chosen one), G for lists. */
export interface Sets {
  readonly size: number;
  /** [S * size] row numbers; -1: empty. A row may be in many sets. */
  readonly members: Int32Array;
  /** [S] */
  readonly weight: Float32Array;
  /** [S * size] each: target, rank, ... */
  readonly member: Columns;
  /** [S] each: label, margin, ... */
  readonly set: Columns;
}
