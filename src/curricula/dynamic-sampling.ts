import type { Task, TextTask } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import type { Score } from "../rewards/grade.ts";
import type { Rollout } from "../rollouts/rollout.ts";
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
    ...(inner.state ? { state: inner.state } : {}),
  };
}

/** Rolls out tasks and scores the answers: the rollouts group by group in the order of the tasks, one score each. */
export type Attempt<X, T extends Task> = (
  tasks: readonly T[],
  firstTask: number,
) => Promise<{ readonly rollouts: readonly Rollout<X>[]; readonly scores: readonly Score[] }>;

export interface Gathered<X> {
  /** What the step learns from, group by group. */
  readonly rollouts: readonly Rollout<X>[];
  readonly scores: readonly Score[];
  /** Rounds of picking that it took. */
  readonly rounds: number;
  /** Groups rolled out, and how many of them had a signal. */
  readonly groups: { readonly attempted: number; readonly effective: number };
  /** Everything that was rolled out and scored but is not learnt from. */
  readonly discarded: { readonly rollouts: readonly Rollout<X>[]; readonly scores: readonly Score[] };
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
  const groups: Group<X>[] = [];
  const effective = (): Group<X>[] => groups.filter(hasSignal);
  let round = 0;
  let attempted = 0;
  do {
    const tasks = await curriculum.pick(count, { ...moment, round });
    const { rollouts, scores } = await attempt(tasks, attempted);
    attempted += tasks.length;
    groups.push(...grouped(rollouts, scores));
    round++;
  } while (rounds !== undefined && round < rounds && effective().length < count);
  const kept = new Set(rounds === undefined ? groups : effective().slice(0, count));
  const flat = (from: readonly Group<X>[]) => ({
    rollouts: from.flatMap((group) => group.rollouts),
    scores: from.flatMap((group) => group.scores),
  });
  return {
    ...flat(groups.filter((group) => kept.has(group))),
    rounds: round,
    groups: { attempted: groups.length, effective: effective().length },
    discarded: flat(groups.filter((group) => !kept.has(group))),
  };
}

interface Group<X> {
  readonly rollouts: Rollout<X>[];
  readonly scores: Score[];
}

function grouped<X>(rollouts: readonly Rollout<X>[], scores: readonly Score[]): Group<X>[] {
  const groups = new Map<string, Group<X>>();
  rollouts.forEach((rollout, i) => {
    const group = groups.get(rollout.group) ?? { rollouts: [], scores: [] };
    groups.set(rollout.group, group);
    group.rollouts.push(rollout);
    group.scores.push(scores[i]!);
  });
  return [...groups.values()];
}

const hasSignal = ({ scores }: Group<unknown>): boolean => new Set(scores.flatMap(({ value }) => (value === null ? [] : [value]))).size > 1;
