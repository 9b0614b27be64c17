import type { Score } from "../rewards/grade.ts";
import type { Rollout } from "./rollout.ts";

/** Rollouts with their scores, one each in the same order. */
export interface Answers<X> {
  readonly rollouts: readonly Rollout<X>[];
  readonly scores: readonly Score[];
}

/** The answers of each group, in the order of each group's first. */
export function answersByGroup<X>({ rollouts, scores }: Answers<X>): Answers<X>[] {
  const groups = new Map<string, { readonly rollouts: Rollout<X>[]; readonly scores: Score[] }>();
  rollouts.forEach((rollout, i) => {
    const group = groups.get(rollout.group) ?? { rollouts: [], scores: [] };
    groups.set(rollout.group, group);
    group.rollouts.push(rollout);
    group.scores.push(scores[i]!);
  });
  return [...groups.values()];
}

/** All answers of several groups. */
export const joined = <X>(groups: readonly Answers<X>[]): Answers<X> => ({
  rollouts: groups.flatMap(({ rollouts }) => rollouts),
  scores: groups.flatMap(({ scores }) => scores),
});
