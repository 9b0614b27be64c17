import { GuerdonError } from "../error.ts";
import { shuffled } from "../statistics/stream.ts";
import type { Rng } from "../statistics/stream.ts";
import { checkFinite, rowsByKey } from "./columns.ts";
import type { Examples } from "./examples.ts";
import type { Column, Key } from "./scored.ts";

/**
 * The rows of each group whose values vary most: of all subsets of `count` rows, the one with the largest variance (PODS, arXiv
 * 2504.13818; D3S, arXiv 2509.22115). It always consists of the k largest and the count - k smallest values, so one sort and a pass over k
 * find it. Of subsets that vary equally, the one with fewer large values.
 *
 * @param key what is selected within: groups, or one key for a whole batch
 * @param count rows to keep of each group; a group with no more rows is kept whole
 * @returns row numbers, ascending
 * @throws GuerdonError "usage" when count is not a positive whole number; "non-finite" naming the row
 */
export function mostVaried(x: Column, key: Key, count: number): Int32Array {
  if (!(Number.isInteger(count) && count >= 1))
    throw new GuerdonError("usage", `the number of rows to keep must be a whole number of at least 1, not ${count}`);
  checkFinite(x, "value");
  const kept: number[] = [];
  for (const rows of rowsByKey(key).values()) {
    if (rows.length <= count) kept.push(...rows);
    else kept.push(...ends(x, rows, count));
  }
  return Int32Array.from(kept).sort();
}

function ends(x: Column, rows: readonly number[], count: number): number[] {
  const order = rows.toSorted((a, b) => x[a]! - x[b]!);
  let best = 0;
  let most = -1;
  // Sums are taken as offsets from the smallest value, so that equal values have variance 0 exactly.
  const at = (i: number): number => x[order[i]!]! - x[order[0]!]!;
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < count; i++) {
    sum += at(i);
    squares += at(i) ** 2;
  }
  for (let k = 0; k <= count; k++) {
    if (k > 0) {
      const [leaves, enters] = [at(count - k), at(order.length - k)];
      sum += enters - leaves;
      squares += enters ** 2 - leaves ** 2;
    }
    const variance = squares / count - (sum / count) ** 2;
    if (variance > most + 1e-12) [best, most] = [k, variance];
  }
  return [...order.slice(0, count - best), ...order.slice(order.length - best)];
}

/**
 * As many rows of either kind from each group that has both: at most `each` of those whose label is above 0 and of the others, drawn at
 * random. Groups of one kind, from which nothing can be told apart, give none.
 *
 * @param each Infinity keeps all rows of the groups that have both kinds
 * @returns row numbers, ascending
 * @throws GuerdonError "usage" for a number that is not positive; "non-finite" naming the row
 */
export function bothKinds(label: Column, key: Key, each: number, rng: Rng): Int32Array {
  if (!(each === Infinity || (Number.isInteger(each) && each >= 1)))
    throw new GuerdonError("usage", `the number of rows of each kind must be a whole number of at least 1, or Infinity, not ${each}`);
  checkFinite(label, "label");
  const kept = [...rowsByKey(key).values()].flatMap((rows) => {
    const kinds = [rows.filter((i) => label[i]! > 0), rows.filter((i) => !(label[i]! > 0))];
    if (kinds.some((kind) => kind.length === 0)) return [];
    return kinds.flatMap((kind) => (kind.length <= each ? kind : shuffled(kind, rng).slice(0, each)));
  });
  return Int32Array.from(kept).sort();
}

/** `count` rows of each group at random, for comparison with rules that choose. Ascending. */
export const randomRows = (key: Key, count: number, rng: Rng): Int32Array =>
  Int32Array.from([...rowsByKey(key).values()].flatMap((rows) => shuffled(rows, rng).slice(0, count))).sort();

/** The `count` rows of each group with the highest values; of equal ones the earlier. Ascending. */
export const highestRows = (x: Column, key: Key, count: number): Int32Array =>
  Int32Array.from([...rowsByKey(key).values()].flatMap((rows) => rows.toSorted((a, b) => x[b]! - x[a]!).slice(0, count))).sort();

/**
 * Token weights that keep the cells with the largest scores: 1 for the top `share` of the unmasked cells (rounded up, so at least one),
 * 0 for the others. For `reweight`. Of equal scores the earlier cell is kept.
 *
 * @param scores one number a cell, for instance |advantage| * entropy
 * @param share in (0, 1]
 */
export function topCells({ mask }: Pick<Examples<never>, "mask">, scores: ArrayLike<number>, share: number): Float32Array {
  if (scores.length !== mask.length) throw new GuerdonError("input", `${scores.length} scores for ${mask.length} cells`);
  if (!(share > 0 && share <= 1)) throw new GuerdonError("usage", `the share of cells to keep must be above 0 and at most 1, not ${share}`);
  checkFinite(scores, "score");
  const own = Array.from(mask.keys()).filter((cell) => mask[cell] !== 0);
  own.sort((a, b) => scores[b]! - scores[a]! || a - b);
  const out = new Float32Array(mask.length);
  // A share such as 0.3 times 10 must not become 4 because of its last binary digit.
  for (const cell of own.slice(0, Math.ceil(share * own.length - 1e-9))) out[cell] = 1;
  return out;
}

/** Each row's mean of a token column over its unmasked cells; 0 for a row without. */
export function rowMeans({ offsets, mask }: Pick<Examples<never>, "offsets" | "mask">, column: ArrayLike<number>): Column {
  return Float64Array.from({ length: offsets.length - 1 }, (_, row) => {
    let total = 0;
    let count = 0;
    for (let cell = offsets[row]!; cell < offsets[row + 1]!; cell++)
      if (mask[cell] !== 0) {
        total += column[cell]!;
        count++;
      }
    return count === 0 ? 0 : total / count;
  });
}
