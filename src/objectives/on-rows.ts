import { where } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import type { Objective } from "./objective.ts";

/**
 * An objective on a part of the rows: each row's weight is multiplied by a row column (1: counts, 0: does not), so that its means are taken
 * over those rows alone. Parts of `combine` on different rows of the same examples each keep their own count this way. Where no row counts,
 * the loss and all metrics are 0.
 *
 * @throws GuerdonError "usage" for an objective on sets, which have weights of their own
 */
export function onRows(column: string, inner: Objective): Objective {
  if (inner.needs.sets)
    throw new GuerdonError("usage", `onRows weighs rows, and the objective "${inner.name}" is on sets: select the sets instead`);
  return {
    ...inner,
    name: `${inner.name} of ${column} rows`,
    needs: { ...inner.needs, row: [...new Set([...inner.needs.row, column])] },
    loss(policy, batch, coefficients) {
      const weight = batch.weight.mul(batch.row[column]!);
      const any = weight.sum().greater(0);
      // All rows stand in for none, times 0: a mean over no rows would be 0/0, and so would its gradient.
      const { loss, metrics } = inner.loss(policy, { ...batch, weight: where(any, weight, batch.weight) }, coefficients);
      return { loss: loss.mul(any), metrics: Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, value.mul(any)])) };
    },
  };
}
