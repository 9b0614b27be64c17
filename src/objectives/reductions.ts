import { cumsum, sub, where } from "../arrays/index.ts";
import type { Arr } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";

/*
 * The only ways out of the [N, T] table. Each carries the mask and the weight, so a padded or masked cell can never count. A row
 * without an unmasked cell has weight 0 in every batch (evaluate.ts).
 */

/** The part of a batch that a reduction over tokens or rows reads: mask [N, T] and weight [N]. */
export interface Table {
  readonly mask: Arr;
  readonly weight: Arr;
}

/** [N] as [N, 1], to stand beside a table. */
export const perToken = (perRow: Arr): Arr => perRow.reshape([perRow.shape[0]!, 1]);

/** 1 where the total is 0, so that a row without cells gives 0 and not 0/0. */
const orOne = (total: Arr): Arr => where(total.greater(0), total, 1);

/**
 * Mean over all cells of the batch: sum(weight * mask * x) / sum(weight * mask), a scalar. Long rows count more than short ones.
 *
 * @param x [N, T]
 * @param divisor a constant in place of the sum of the weights
 */
export function tokenMean(x: Arr, batch: Table, divisor: number | null = null): Arr {
  const cells = batch.mask.mul(perToken(batch.weight));
  return x
    .mul(cells)
    .sum()
    .div(divisor ?? cells.sum());
}

/** Sum over each row's cells: sum_t(mask * x), [N]. */
export const rowSum = (x: Arr, batch: Table): Arr => x.mul(batch.mask).sum(1);

/** Mean over each row's cells: sum_t(mask * x) / sum_t(mask), [N]; 0 for a row without cells. */
export const rowMeanOf = (x: Arr, batch: Table): Arr => rowSum(x, batch).div(orOne(batch.mask.sum(1)));

/** Mean over rows: sum(weight * perRow) / sum(weight), a scalar. */
export const rowMean = (perRow: Arr, batch: Table): Arr => perRow.mul(batch.weight).sum().div(batch.weight.sum());

/** Mean over sets: sum(sets.weight * perSet) / sum(sets.weight), a scalar. */
export const setMean = (perSet: Arr, batch: { readonly sets: { readonly weight: Arr } }): Arr =>
  perSet.mul(batch.sets.weight).sum().div(batch.sets.weight.sum());

/**
 * How a table of token losses becomes one number. There is no default, because the choice decides how much long answers count:
 * - "token-mean": sum over all cells, divided by their number (DAPO, TRL, verl) or by `divisor`;
 * - "row-mean": mean over the cells of a row, then over rows (the GRPO paper); takes no divisor;
 * - "row-sum": sum over the cells of a row, divided by `divisor` if there is one, then mean over rows (Dr.GRPO: the longest length).
 */
export interface Aggregation {
  readonly aggregation: "token-mean" | "row-mean" | "row-sum";
  readonly divisor: number | null;
}

/**
 * The named aggregation of a table of token losses [N, T], a scalar.
 *
 * @throws GuerdonError "usage" for an unknown name, a divisor that is not positive, or one given to "row-mean"
 */
export function aggregate(x: Arr, batch: Table, { aggregation, divisor }: Aggregation): Arr {
  if (divisor !== null && !(divisor > 0 && Number.isFinite(divisor)))
    throw new GuerdonError("usage", `divisor must be a positive number or null; it is ${divisor}`);
  switch (aggregation) {
    case "token-mean":
      return tokenMean(x, batch, divisor);
    case "row-mean":
      if (divisor !== null)
        throw new GuerdonError("usage", `"row-mean" divides each row by its own length; a constant divisor goes with "row-sum"`);
      return rowMean(rowMeanOf(x, batch), batch);
    case "row-sum":
      return rowMean(rowSum(x, batch).div(divisor ?? 1), batch);
    default:
      throw new GuerdonError("usage", `aggregation must be "token-mean", "row-mean" or "row-sum"; it is ${JSON.stringify(aggregation)}`);
  }
}

/** What stands in the last unmasked cell of each row, [N]; 0 for a row without cells. Where a reward model's score is read. */
export function rowLast(x: Arr, batch: Table): Arr {
  const cells = batch.mask.greater(0);
  const later = sub(cells.sum(1, true), cumsum(cells, 1)); // unmasked cells to the right
  return x.mul(cells).mul(later.equal(0)).sum(1);
}
