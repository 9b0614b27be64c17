import { GuerdonError } from "../error.ts";
import type { Score } from "../rewards/grade.ts";
import type { Retry } from "./retry.ts";

export interface HintOptions {
  /** The share of a right answer that each attempt gives away, in (0, 1), rising. */
  readonly shares: readonly number[];
  /** Hints are given from this training step on. Default 0. */
  readonly from?: number;
  /**
   * The part of the score that says whether an answer is right, where the score holds more (a reward for its form would hide that it is wrong).
   * Default the whole score.
   */
  readonly part?: string;
}

/**
 * Asks groups without a right answer again, each time with more of a right answer given away, until somebody finds the rest (GHPO, arXiv
 * 2507.10628). An answer is right when its score is above 0; a group of which nothing could be scored is not asked again.
 *
 * @throws GuerdonError "usage" for shares that do not rise within (0, 1); while asking, for an environment that gives no hints
 */
export function risingHints({ shares, from = 0, part }: HintOptions): Retry {
  if (shares.length === 0 || !shares.every((share, i) => share > (shares[i - 1] ?? 0) && share < 1))
    throw new GuerdonError(
      "usage",
      `The shares of the answer that hints give away must rise between 0 and 1; they are ${shares.join(", ")}.`,
    );
  return {
    settings: { hints: [...shares], from, part: part ?? null },
    attempts: shares.length,
    failed(scores) {
      const known = scores.flatMap((score) => rightness(score, part) ?? []);
      return known.length > 0 && known.every((value) => value <= 0);
    },
    pose(task, { environment, attempt, step, rng }) {
      if (step < from) return null;
      if (environment.hint === undefined)
        throw new GuerdonError(
          "usage",
          `The environment "${environment.name}" gives no hints: it has to offer hint(task, share, rng), which poses a task with the beginning of a right answer.`,
        );
      return environment.hint(task, shares[attempt - 1]!, rng);
    },
  };
}

/** Null: not known. */
function rightness({ value, parts }: Score, part: string | undefined): number | null {
  if (part === undefined) return value;
  const own = parts?.[part];
  if (own === undefined && value !== null)
    throw new GuerdonError(
      "usage",
      `Hints are given by the part "${part}" of the score, and it has ${Object.keys(parts ?? {}).join(", ") || "no parts"}.`,
    );
  return own ?? null;
}
