import type { Rng } from "../statistics/stream.ts";
import { checkFinite, rowsByKey } from "./columns.ts";
import type { Column, Key } from "./scored.ts";

/**
 * Cuts each group in two at the middle of a metric: the lower floor(n / 2) rows get the key 2 g, the others 2 g + 1, where g numbers the
 * groups. `key ^ 1` is then the other half's key, to compare with: `center(x, halves, halves.map((k) => k ^ 1))`. A group of one row has
 * no lower half.
 *
 * @param rng orders rows with equal metrics: the order of the batch must not decide
 * @throws GuerdonError "non-finite" naming the row
 */
export function halves(metric: Column, key: Key, rng: Rng): Key {
  checkFinite(metric, "metric");
  const ties = metric.map(() => rng());
  const out = new Int32Array(metric.length);
  let group = 0;
  for (const rows of rowsByKey(key).values()) {
    rows.sort((a, b) => metric[a]! - metric[b]! || ties[a]! - ties[b]!);
    const lower = Math.floor(rows.length / 2);
    for (const [rank, row] of rows.entries()) out[row] = 2 * group + (rank < lower ? 0 : 1);
    group++;
  }
  return out;
}
