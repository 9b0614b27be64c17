import type { Key, Scored } from "../credit/scored.ts";
import { GuerdonError } from "../error.ts";
import type { Rollout } from "../rollouts/rollout.ts";
import { coverage, type Coverage } from "./coverage.ts";
import type { Score } from "./grade.ts";

export interface ScoredOptions {
  /** Groups with fewer scored rollouts are dropped: 2 unless said, because a group of one has nothing to be compared with. 1 for methods without groups. */
  readonly smallestGroup?: number;
}

/** What became of the rollouts on the way into the credit table. */
export interface TableCoverage extends Coverage {
  /** Groups, and scored rollouts in them, that were dropped because too few of the group could be scored. */
  readonly dropped: { readonly groups: number; readonly rollouts: number };
}

/**
 * The credit table of scored rollouts. Rollouts without a grade are removed first, before any mean or deviation can be taken, then groups
 * with fewer than `smallestGroup` graded rollouts; `coverage` counts both. Parts that every remaining score has become columns, and so do
 * the steps, where every score has them. Keys number groups and tasks in the order of their first rollout.
 *
 * @param rollouts the rollouts, and `scores`, one for each, in the same order
 * @throws GuerdonError "usage" for lists of different lengths; "non-finite" for a value, part or step that is NaN or infinite, naming the
 *   rollout; "input" for steps that do not match the rollout's
 */
export function scored<X>(
  rollouts: readonly Rollout<X>[],
  scores: readonly Score[],
  { smallestGroup = 2 }: ScoredOptions = {},
): { readonly table: Scored<X>; readonly coverage: TableCoverage } {
  if (rollouts.length !== scores.length)
    throw new GuerdonError("usage", `scored: there are ${rollouts.length} rollouts and ${scores.length} scores; each rollout needs one.`);
  scores.forEach((score, i) => requireFinite(score, rollouts[i]!, i));
  const graded = rollouts.flatMap((rollout, i) => (scores[i]!.value === null ? [] : [{ rollout, score: scores[i]! as Graded }]));
  const sizes = new Map<string, number>();
  for (const { rollout } of graded) sizes.set(rollout.group, (sizes.get(rollout.group) ?? 0) + 1);
  const kept = graded.filter(({ rollout }) => sizes.get(rollout.group)! >= smallestGroup);
  const steps = kept.map(({ rollout, score }) => stepsOf(rollout, score));
  const table: Scored<X> = {
    rollouts: kept.map(({ rollout }) => rollout),
    reward: Float64Array.from(kept, ({ score }) => score.value),
    parts: partColumns(kept.map(({ score }) => score)),
    ...(kept.length > 0 && steps.every((one) => one !== null) ? { stepReward: steps } : {}),
    keys: { group: numbered(kept.map(({ rollout }) => rollout.group)), task: numbered(kept.map(({ rollout }) => rollout.task.id)) },
    token: {},
  };
  const small = [...sizes.values()].filter((size) => size < smallestGroup);
  return { table, coverage: { ...coverage(scores), dropped: { groups: small.length, rollouts: graded.length - kept.length } } };
}

type Graded = Score & { readonly value: number };

function requireFinite({ value, parts = {}, steps = [] }: Score, { task }: Rollout<unknown>, i: number): void {
  const numbers: [string, number | null][] = [
    ["value", value],
    ...Object.entries(parts),
    ...steps.map((step, k): [string, number] => [`step ${k + 1}`, step]),
  ];
  const bad = numbers.find(([, number]) => number !== null && !Number.isFinite(number));
  if (bad)
    throw new GuerdonError(
      "non-finite",
      `The score of rollout ${i + 1} (task "${task.id}") has the ${bad[0]} ${bad[1]}. A grade that cannot be given must be null.`,
    );
}

function partColumns(scores: readonly Graded[]): Record<string, Float64Array> {
  const names = Object.keys(scores[0]?.parts ?? {}).filter((name) => scores.every(({ parts }) => typeof parts?.[name] === "number"));
  return Object.fromEntries(names.map((name) => [name, Float64Array.from(scores, ({ parts }) => parts![name]!)]));
}

function stepsOf({ task, steps: spans = [] }: Rollout<unknown>, { steps }: Score): Float64Array | null {
  if (steps === undefined) return null;
  if (steps.length !== spans.length)
    throw new GuerdonError(
      "input",
      `A rollout of task "${task.id}" has ${spans.length} steps and its score has ${steps.length} step rewards; each step needs one.`,
    );
  return Float64Array.from(steps);
}

function numbered(names: readonly string[]): Key {
  const numbers = new Map<string, number>();
  return Int32Array.from(names, (name) => {
    if (!numbers.has(name)) numbers.set(name, numbers.size);
    return numbers.get(name)!;
  });
}
