import { GuerdonError } from "../../../error.ts";

/** How much of each text is found in the other, by the embeddings of their tokens. */
export interface AverageSimilarity {
  /** How much of the candidate is in the reference: the mean over its tokens of the greatest cosine. */
  readonly forward: number;
  /** How much of the reference is in the candidate. */
  readonly backward: number;
  /** The mean of both: symmetric. */
  readonly value: number;
}

/**
 * Bidirectional max-average similarity of token embeddings. One direction alone can be won by repeating one good token, the other by naming
 * everything. 0 for an empty candidate.
 *
 * @param candidate one vector a token
 * @param reference one vector a token, at least one
 * @returns numbers from -1 to 1
 * @throws GuerdonError "input" for no reference tokens, or vectors of different lengths, of length 0 or with entries that are not finite
 * Source: arXiv 2505.24164 (BMAS), arithmetic mean assumed.
 */
export function maxAverageSimilarity(candidate: readonly ArrayLike<number>[], reference: readonly ArrayLike<number>[]): AverageSimilarity {
  if (reference.length === 0)
    throw new GuerdonError("input", "There are no token embeddings of the reference, so nothing can be compared with it.");
  const size = reference[0]!.length;
  const [a, b] = [candidate.map((vector) => unit(vector, size)), reference.map((vector) => unit(vector, size))];
  if (a.length === 0) return { forward: 0, backward: 0, value: 0 };
  const rows = new Float64Array(a.length).fill(-1);
  const columns = new Float64Array(b.length).fill(-1);
  for (const [i, left] of a.entries())
    for (const [j, right] of b.entries()) {
      let cosine = 0;
      for (let k = 0; k < size; k++) cosine += left[k]! * right[k]!;
      cosine = Math.min(1, cosine);
      if (cosine > rows[i]!) rows[i] = cosine;
      if (cosine > columns[j]!) columns[j] = cosine;
    }
  const [forward, backward] = [mean(rows), mean(columns)];
  return { forward, backward, value: (forward + backward) / 2 };
}

const mean = (values: Float64Array): number => values.reduce((total, value) => total + value, 0) / values.length;

function unit(vector: ArrayLike<number>, size: number): Float64Array {
  const norm = Math.hypot(...Array.from(vector));
  if (vector.length === size && norm > 0 && Number.isFinite(norm)) return Float64Array.from(vector, (x) => x / norm);
  throw new GuerdonError(
    "input",
    `A token's embedding must be ${size} finite numbers that are not all 0; this one has ${vector.length}, and norm ${norm}.`,
  );
}
