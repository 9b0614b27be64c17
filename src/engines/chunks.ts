import { paddedLength } from "../policies/shapes.ts";

/** Rows to compute together, padded to `rowCount` rows of `length` positions. */
export interface Chunk {
  /** Indices into the rows given, longest row first; at most `rowCount`. */
  readonly members: readonly number[];
  readonly rowCount: number;
  readonly length: number;
}

/** What one more chunk costs, in cells: dispatch and reads of a small model take as long as computing about this many. */
const chunkCost = 256;
/** Fewer rows than this are padded to it: the work is small either way, and every further shape would have to be compiled. */
const fewestRows = 8;

/** The most rows of a padded length that a budget of cells allows: a power of two, at least 1. */
export const mostRows = (length: number, cells: number): number => 2 ** Math.max(0, Math.floor(Math.log2(cells / length)));

/**
 * Cuts rows into chunks: sorted by length, rows to a power of two, lengths to `paddedLength`, no chunk above the budget of cells unless a
 * single row is. Among such cuts it takes one with the fewest cells, counting `chunkCost` for each chunk. It depends on nothing but the
 * lengths, so the same rows are always computed in the same way.
 *
 * @param lengths positions of each row
 * @param cells budget of rows * length in a chunk
 */
export function chunks(lengths: readonly number[], cells: number): Chunk[] {
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const n = order.length;
  // best[i]: the least cost of the rows from i on; take[i]: the row count of the chunk that starts at i.
  const best = new Float64Array(n + 1);
  const take = new Int32Array(n);
  for (let i = n - 1; i >= 0; i--) {
    const length = paddedLength(lengths[order[i]!]!);
    const most = mostRows(length, cells);
    best[i] = Infinity;
    for (let rows = Math.min(fewestRows, most); rows <= most; rows *= 2) {
      const cost = rows * length + chunkCost + best[Math.min(n, i + rows)]!;
      if (cost < best[i]!) {
        best[i] = cost;
        take[i] = rows;
      }
      if (i + rows >= n) break;
    }
  }
  const out: Chunk[] = [];
  for (let i = 0; i < n; i += take[i]!)
    out.push({ members: order.slice(i, i + take[i]!), rowCount: take[i]!, length: paddedLength(lengths[order[i]!]!) });
  return out;
}
