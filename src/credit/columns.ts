import { GuerdonError } from "../error.ts";
import type { Column, Key } from "./scored.ts";

/*
 * Credit rules as arithmetic on columns: columns in, column out. A key says which rows belong together; a rule never mixes keys.
 * Deviations and epsilons have no default, because libraries differ in both (presets.ts names who does what).
 */

/**
 * Each row minus a mean: x_i - mean of the rows whose key is against_i. With one key it is the group baseline of GRPO (arXiv
 * 2402.03300) and Dr.GRPO (arXiv 2503.20783); with `against` another half's key, the comparison of CANON. Equal rewards give exactly 0.
 *
 * @param against the key to compare each row with; default its own
 * @throws GuerdonError "non-finite" naming the row; "input" when lengths differ or a row is compared with a key that no row has
 */
export function center(x: Column, key: Key, against: Key = key): Column {
  const groups = grouped(x, key);
  if (against.length !== x.length) throw lengths(x, against);
  const means = new Map<number, number>();
  for (const [name, rows] of groups) means.set(name, meanOf(x, rows));
  return x.map((value, i) => {
    const mean = means.get(against[i]!);
    if (mean === undefined)
      throw new GuerdonError("input", `row ${i} is to be compared with the rows of key ${against[i]}, and there are none`);
    return value - mean;
  });
}

/**
 * Each row divided by its group's deviation plus epsilon. A group whose values are all equal says nothing: with epsilon 0 it becomes 0.
 *
 * @param options.ddof 0 divides the sum of squares by n (population), 1 by n - 1 (sample)
 * @param options.epsilon added to the deviation
 * @throws GuerdonError "non-finite" naming the row; "input" when a group has no more rows than ddof
 */
export function scale(x: Column, key: Key, options: { readonly ddof: 0 | 1; readonly epsilon: number }): Column {
  const { ddof, epsilon } = options;
  if (ddof !== 0 && ddof !== 1) throw new GuerdonError("usage", `ddof must be 0 or 1; it is ${String(ddof)}`);
  if (!(epsilon >= 0 && Number.isFinite(epsilon))) throw new GuerdonError("usage", `epsilon must not be negative; it is ${epsilon}`);
  const out = new Float64Array(x.length);
  for (const [name, rows] of grouped(x, key)) {
    if (rows.length <= ddof) throw new GuerdonError("input", `group ${name} has ${rows.length} row: no sample deviation can be had of it`);
    const deviation = deviationOf(x, rows, ddof);
    for (const i of rows) out[i] = deviation + epsilon === 0 ? 0 : x[i]! / (deviation + epsilon);
  }
  return out;
}

/**
 * Each row minus the mean of the others of its group (RLOO, arXiv 2402.14740): n / (n - 1) times `center`.
 *
 * @throws GuerdonError "input" when a group has a single row
 */
export function leaveOneOut(x: Column, key: Key): Column {
  const out = new Float64Array(x.length);
  for (const [name, rows] of grouped(x, key)) {
    if (rows.length < 2) throw new GuerdonError("input", `group ${name} has one row: there are no others to compare it with`);
    const mean = meanOf(x, rows);
    for (const i of rows) out[i] = ((x[i]! - mean) * rows.length) / (rows.length - 1);
  }
  return out;
}

/**
 * Each row minus one baseline for all (REINFORCE with a baseline).
 *
 * @param baseline a running average that the caller keeps, or "mean" for the mean of this batch
 */
export function batchBaseline(x: Column, baseline: number | "mean"): Column {
  if (baseline === "mean") return center(x, new Int32Array(x.length));
  if (!Number.isFinite(baseline)) throw new GuerdonError("non-finite", `the baseline is ${baseline}`);
  checkFinite(x, "value");
  return x.map((value) => value - baseline);
}

/** Sum of discounted rewards from each step on: R_t = r_t + discount * R_{t+1}. */
export function returnsToGo(rewards: ArrayLike<number>, discount: number): Float64Array {
  const out = new Float64Array(rewards.length);
  let next = 0;
  for (let t = rewards.length - 1; t >= 0; t--) out[t] = next = rewards[t]! + discount * next;
  checkFinite(out, "return");
  return out;
}

/** Sum of all discounted rewards from the first step: sum_t discount^t r_t; 0 without steps. */
export const discountedSum = (rewards: ArrayLike<number>, discount: number): number => returnsToGo(rewards, discount)[0] ?? 0;

/** Row numbers by key, in order of first appearance. Checks lengths and that every value is finite. */
function grouped(x: Column, key: Key): Map<number, number[]> {
  if (key.length !== x.length) throw lengths(x, key);
  checkFinite(x, "value");
  return rowsByKey(key);
}

/** Row numbers by key, in order of first appearance. */
export function rowsByKey(key: Key): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  for (const [i, k] of key.entries()) {
    const rows = groups.get(k);
    if (rows === undefined) groups.set(k, [i]);
    else rows.push(i);
  }
  return groups;
}

/** Throws where a number is not finite, naming its row. */
export function checkFinite(x: ArrayLike<number>, what: string): void {
  for (let i = 0; i < x.length; i++)
    if (!Number.isFinite(x[i]!)) throw new GuerdonError("non-finite", `the ${what} of row ${i} is ${x[i]}`);
}

/** Mean as an offset from the first value, so that the mean of equal values is exactly that value. */
function meanOf(x: Column, rows: readonly number[]): number {
  const first = x[rows[0]!]!;
  let total = 0;
  for (const i of rows) total += x[i]! - first;
  return first + total / rows.length;
}

function deviationOf(x: Column, rows: readonly number[], ddof: number): number {
  const mean = meanOf(x, rows);
  let total = 0;
  for (const i of rows) total += (x[i]! - mean) ** 2;
  return Math.sqrt(total / (rows.length - ddof));
}

const lengths = (x: Column, key: Key): GuerdonError =>
  new GuerdonError("input", `${x.length} values and ${key.length} keys: one key a row is needed`);
