import type { Task, TextTask } from "../environments/environment.ts";
import type { Score } from "../rewards/grade.ts";
import type { Json } from "../statistics/snapshot.ts";
import { stream } from "../statistics/stream.ts";
import type { Rng } from "../statistics/stream.ts";
import { answersByGroup, joined } from "./groups.ts";
import type { Answers } from "./groups.ts";

/** Something that can give a part of the answer away; see `TextEnvironment.hint`. */
export interface Hinting<T extends Task = TextTask> {
  readonly name: string;
  readonly hint?: ((task: T, share: number, rng: Rng) => T) | undefined;
}

/** What a task may be posed anew with. */
export interface Pose<T extends Task> {
  readonly environment: Hinting<T>;
  /** How often the task was asked before, from 1. */
  readonly attempt: number;
  /** The training step. */
  readonly step: number;
  /** The same in all attempts at one task in one step, so that they can build on each other. */
  readonly rng: Rng;
}

/** Which groups are asked again, and how. The rollouts of a later attempt take the place of the earlier ones, as a group of their own. */
export interface Retry {
  /** For run.json. */
  readonly settings: Readonly<Record<string, Json>>;
  /** The most attempts after the first. */
  readonly attempts: number;
  /** Whether the answers of a group call for another attempt. */
  readonly failed: (scores: readonly Score[]) => boolean;
  /** The task in another context, for instance with a hint in its prompt; null: it is not asked again. */
  readonly pose: <T extends Task>(task: T, pose: Pose<T>) => T | null;
}

export interface Retried<X> extends Answers<X> {
  /** Answers to the tasks as they were picked: what a curriculum learns from. */
  readonly first: Answers<X>;
  /** Answers of attempts that another one followed: paid for, not learnt from. */
  readonly replaced: Answers<X>;
  /** Groups that were asked again, of all. */
  readonly again: number;
}

/**
 * Asks each task, and those whose group failed again as the plan poses them, until they no longer fail or the attempts are used up: the
 * retries of GHPO (arXiv 2507.10628), and of every method that shows more of the answer to those who need it. What is in the new context
 * stands in the prompt, so nothing but the policy's own continuation is learnt.
 *
 * @param at.firstTask tasks of this step that were picked before
 * @param ask rolls out and scores: the answers group by group in the order of the tasks
 */
export async function withRetry<X, T extends Task>(
  tasks: readonly T[],
  retry: Retry,
  at: { readonly environment: Hinting<T>; readonly seed: number; readonly step: number; readonly firstTask: number },
  ask: (tasks: readonly T[]) => Promise<Answers<X>>,
): Promise<Retried<X>> {
  const first = await ask(tasks);
  const last = answersByGroup(first);
  const replaced: Answers<X>[] = [];
  const again = new Set<number>();
  for (let attempt = 1; attempt <= retry.attempts; attempt++) {
    const posed: { readonly place: number; readonly task: T }[] = [];
    for (const [place, { scores }] of last.entries()) {
      if (!retry.failed(scores)) continue;
      const task = tasks[place]!;
      const rng = stream(at.seed, "retry", at.step, at.firstTask + place);
      const next = retry.pose(task, { environment: at.environment, step: at.step, attempt, rng });
      if (next !== null) posed.push({ place, task: next });
    }
    if (posed.length === 0) break;
    const groups = answersByGroup(await ask(posed.map(({ task }) => task)));
    for (const [i, { place }] of posed.entries()) {
      replaced.push(last[place]!);
      last[place] = groups[i]!;
      again.add(place);
    }
  }
  return { ...joined(last), first, replaced: joined(replaced), again: again.size };
}
