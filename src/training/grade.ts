import type { Rollout } from "../rollouts/rollout.ts";
import { toRow } from "../rollouts/index.ts";
import { coverage, score, type Coverage, type Reward, type Score } from "../rewards/index.ts";
import { throwIfAborted } from "./loop.ts";

/** " The first error: ..." of the answers that could not be scored; nothing where none has a message. */
export function firstError(scores: readonly Score[]): string {
  const message = scores.find(({ value, error }) => value === null && error !== undefined)?.error?.message;
  return message === undefined ? "" : ` The first error: ${message}`;
}

/**
 * Scores rollouts. The reward's needs (`reference` and other columns) come from tasks, so a column that a task lacks shows as an
 * unscorable answer, not as a type error.
 *
 * @throws GuerdonError "interrupted" when aborted; "coverage" when less than `minimumCoverage` could be scored
 */
export async function grade(
  reward: Reward<never>,
  rollouts: readonly Rollout[],
  options: { readonly minimumCoverage?: number; readonly signal?: AbortSignal } = {},
): Promise<{ readonly scores: readonly Score[]; readonly coverage: Coverage }> {
  const scores: readonly Score[] = await score(reward as unknown as Reward, rollouts.map(toRow), {
    ...options,
    // Said by the run's own health sentences, where a person looks.
    onWarning: () => undefined,
  });
  throwIfAborted(options.signal);
  return { scores, coverage: coverage(scores) };
}
