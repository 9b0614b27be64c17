import type { Examples } from "./examples.ts";
import { GuerdonError } from "../error.ts";

/** How the gap between the sampler's log-probabilities and the trainer's is corrected. */
export interface GapOptions {
  /** One ratio a token, or one a row: exp of the sum of its tokens' log-ratios. */
  readonly level: "token" | "sequence";
  /**
   * "truncated": a ratio above `high` becomes `high` (truncated importance sampling, Ionides 2008). "masked": a token (or a whole row)
   * whose ratio lies outside of [low, high] gets weight 0, the others keep their ratio (TRL's default, at sequence level with high 3).
   */
  readonly kind: "truncated" | "masked";
  readonly high: number;
  /** Only with "masked". Default 0. */
  readonly low?: number;
}

/** What a gap reads of the examples: "old" is the trainer before the update, "behaviour" the sampler. */
type Both = Pick<Examples<unknown>, "rows" | "offsets" | "mask" | "token">;

/**
 * Importance weights exp(old - behaviour) for tokens that were drawn by a sampler whose probabilities differ from the trainer's (other
 * kernels, other precision, stale weights). Constants, one a token; 0 in masked tokens. They multiply the loss ("correction" of
 * `clippedSurrogate`) and leave its divisor alone.
 *
 * @throws GuerdonError "input" when a column is missing; "non-finite" naming the row
 */
export function gapWeights(examples: Both, options: GapOptions): Float32Array {
  const { level, kind, high, low = 0 } = options;
  if (!(high > 0 && low >= 0 && low < high))
    throw new GuerdonError("usage", `the range of trusted ratios must be 0 <= low < high; it is ${low} to ${high}`);
  if (kind === "truncated" && low > 0) throw new GuerdonError("usage", `"truncated" has no lower end; use "masked"`);
  const weigh = (ratio: number): number => (kind === "truncated" ? Math.min(ratio, high) : ratio < low || ratio > high ? 0 : ratio);
  const out = new Float32Array(examples.mask.length);
  eachGap(examples, (_, cells, gaps) => {
    const total = gaps.reduce((sum, gap) => sum + gap, 0);
    for (const [n, cell] of cells.entries()) out[cell] = weigh(Math.exp(level === "token" ? gaps[n]! : total));
  });
  return out;
}

/** The examples with the token column "correction", the weights of `gapWeights`. */
export const withCorrection = <X>(examples: Examples<X>, options: GapOptions): Examples<X> => ({
  ...examples,
  token: { ...examples.token, correction: gapWeights(examples, options) },
});

/** Size of the gap between trainer and sampler over the unmasked tokens: mean and largest |old - behaviour|, and the mean ratio. */
export function gapSummary(examples: Both): { readonly mean: number; readonly maximum: number; readonly ratio: number } {
  let count = 0;
  let total = 0;
  let maximum = 0;
  let ratio = 0;
  eachGap(examples, (_, __, gaps) => {
    for (const gap of gaps) {
      count++;
      total += Math.abs(gap);
      maximum = Math.max(maximum, Math.abs(gap));
      ratio += Math.exp(gap);
    }
  });
  if (count === 0) throw new GuerdonError("input", "there is no unmasked token to compare sampler and trainer on");
  return { mean: total / count, maximum, ratio: ratio / count };
}

/** Calls back with each row's unmasked cells and their old - behaviour. */
function eachGap(examples: Both, visit: (row: number, cells: readonly number[], gaps: readonly number[]) => void): void {
  const { old, behaviour } = examples.token;
  if (old === undefined || behaviour === undefined)
    throw new GuerdonError(
      "input",
      `the gap needs the token columns old and behaviour; the examples have ${Object.keys(examples.token).join(", ") || "none"}`,
    );
  for (let row = 0; row < examples.rows.length; row++) {
    const cells: number[] = [];
    const gaps: number[] = [];
    for (let cell = examples.offsets[row]!; cell < examples.offsets[row + 1]!; cell++) {
      if (examples.mask[cell] === 0) continue;
      const gap = old[cell]! - behaviour[cell]!;
      if (!Number.isFinite(gap))
        throw new GuerdonError(
          "non-finite",
          `row ${row}, action ${cell - examples.offsets[row]!}: old is ${old[cell]} and behaviour ${behaviour[cell]}`,
        );
      cells.push(cell);
      gaps.push(gap);
    }
    visit(row, cells, gaps);
  }
}
