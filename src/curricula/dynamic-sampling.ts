import type { Task, TextTask } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import { answersByGroup, joined } from "../rollouts/index.ts";
import type { Answers } from "../rollouts/index.ts";
import type { Curriculum, Moment } from "./curriculum.ts";

/**
 * Dynamic sampling (DAPO, arXiv 2503.14476): goes on rolling out new tasks until there are as many groups with a signal as were asked for,
 * in at most `rounds` rounds. A group has a signal when its scored answers do not all have the same value. The rollouts of the other
 * groups are thrown away and paid for; `gather` counts them.
 *
 * @param inner picks the tasks
 * @param options.rounds the most rounds in a step, at least 1
 */
export function dynamicSampling<T extends Task = TextTask>(inner: Curriculum<T>, { rounds }: { readonly rounds: number }): Curriculum<T> {
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new GuerdonError("usage", `dynamicSampling: rounds must be a whole number of at least 1, not ${rounds}.`);
  return {
    name: `dynamicSampling(${inner.name})`,
    rounds,
    pick: (count, moment) => inner.pick(count, moment),
    observe: (table) => inner.observe?.(table),
    ...(inner.expected ? { expected: (task: T) => inner.expected!(task) } : {}),
    ...(inner.state ? { state: inner.state } : {}),
  };
}

/**
 * Rolls out tasks and scores the answers: the rollouts group by group in the order of the tasks, one score each. Where it asked some of
 * them again (`withRetry`), it tells the first answers and those that were replaced.
 */
export type Attempt<X, T extends Task> = (tasks: readonly T[], firstTask: number) => Promise<Answers<X> & Partial<Asked<X>>>;

interface Asked<X> {
  readonly first: Answers<X>;
  readonly replaced: Answers<X>;
  readonly again: number;
}

/** What a step learns from, group by group. */
export interface Gathered<X> extends Answers<X> {
  /** Answers to the tasks as they were picked: what a curriculum learns from. */
  readonly first: Answers<X>;
  /** Rounds of picking that it took. */
  readonly rounds: number;
  /** Tasks rolled out, how many of their groups had a signal in the end, and how many were asked again. */
  readonly groups: { readonly attempted: number; readonly effective: number; readonly again: number };
  /** Everything that was rolled out and scored but is not learnt from. */
  readonly discarded: Answers<X>;
}

/**
 * Gathers the rollouts of one step: one round for most curricula; with dynamic sampling, rounds of `count` tasks until `count` groups have
 * a signal or the rounds are used up, keeping the first `count` of those groups. When the rounds are used up there may be fewer, or none.
 *
 * @param attempt rolls out and scores; `firstTask` counts the tasks attempted before in this step (pass it on to `rollOut`)
 */
export async function gather<X, T extends Task>(
  curriculum: Curriculum<T>,
  count: number,
  moment: Omit<Moment, "round">,
  attempt: Attempt<X, T>,
): Promise<Gathered<X>> {
  const { rounds } = curriculum;
  const groups: Answers<X>[] = [];
  const firsts: Answers<X>[] = [];
  const replaced: Answers<X>[] = [];
  const effective = (): Answers<X>[] => groups.filter(hasSignal);
  let round = 0;
  let attempted = 0;
  let asked = 0;
  do {
    const tasks = await curriculum.pick(count, { ...moment, round });
    const { first, replaced: earlier, again = 0, ...answers } = await attempt(tasks, attempted);
    attempted += tasks.length;
    asked += again;
    groups.push(...answersByGroup(answers));
    firsts.push(first ?? answers);
    if (earlier !== undefined) replaced.push(earlier);
    round++;
  } while (rounds !== undefined && round < rounds && effective().length < count);
  const kept = new Set(rounds === undefined ? groups : effective().slice(0, count));
  return {
    ...joined(groups.filter((group) => kept.has(group))),
    first: joined(firsts),
    rounds: round,
    groups: { attempted: groups.length, effective: effective().length, again: asked },
    discarded: joined([...groups.filter((group) => !kept.has(group)), ...replaced]),
  };
}

const hasSignal = ({ scores }: Answers<unknown>): boolean =>
  new Set(scores.flatMap(({ value }) => (value === null ? [] : [value]))).size > 1;
