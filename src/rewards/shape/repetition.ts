import { GuerdonError } from "../../error.ts";
import { reward, type Reward } from "../reward.ts";

/**
 * The share of a text's word n-grams that occurred before in it: 1 - different / all. 0 for texts of fewer than n words.
 *
 * @param n at least 1
 * @returns a number from 0 to below 1
 */
export function repetition(text: string, n: number): number {
  const words = text
    .toLowerCase()
    .split(/\s+/u)
    .filter((word) => word !== "");
  const count = words.length - n + 1;
  if (count < 1) return 0;
  const different = new Set(Array.from({ length: count }, (_, i) => words.slice(i, i + n).join(" ")));
  return 1 - different.size / count;
}

export interface RepetitionOptions {
  /** Words in an n-gram; 3 unless said. */
  readonly size?: number;
  /** What an endlessly repeating text would cost; 1 unless said. */
  readonly most?: number;
  readonly name?: string;
}

/**
 * A penalty for repeating oneself: minus `most` times the share of word n-grams that occurred before.
 *
 * @returns a reward from -most to 0
 * @throws GuerdonError "usage" for a size that is no whole number of at least 1, or a penalty below 0
 * Source: the repetition penalty of arXiv 2502.03373, over the whole text instead of by token.
 */
export function repetitionPenalty({ size = 3, most = 1, name = "repetition" }: RepetitionOptions = {}): Reward {
  if (!Number.isInteger(size) || size < 1)
    throw new GuerdonError("usage", `repetitionPenalty: size must be a whole number of at least 1, not ${size}.`);
  if (!(most >= 0 && most < Infinity))
    throw new GuerdonError("usage", `repetitionPenalty: most must be a finite number of at least 0, not ${most}.`);
  // Not -most * share, which would be -0 for a text without repetition.
  return reward(name, { version: JSON.stringify([1, size, most]) }, ({ text }) => 0 - most * repetition(text, size));
}
