import type { Engine } from "../engines/engine.ts";
import { GuerdonError } from "../error.ts";
import type { TextSequence, StateSequence } from "../policies/policy.ts";
import type { Rollout } from "../rollouts/rollout.ts";
import { mean, stream } from "../statistics/index.ts";

export interface MonteCarloOptions<X> {
  /** Where steps end: numbers of actions, rising. A rollout's whole length stands for its own success. */
  readonly ends: (rollout: Rollout<X>, index: number) => readonly number[];
  /** The first actions of a row: `textPrefix`, `statePrefix`. */
  readonly prefix: (row: X, actions: number) => X;
  /** Whether each rollout succeeded: 1 or 0, or a share. */
  readonly success: (rollouts: readonly Rollout<X>[]) => ArrayLike<number> | Promise<ArrayLike<number>>;
  /** Continuations drawn from each prefix. */
  readonly continuations: number;
  /** The most actions of one continuation. */
  readonly maxActions: number;
  readonly seed: number;
}

/**
 * Values of prefixes by continuing them: the share of `continuations` answers of the same policy that succeed (Math-Shepherd, arXiv 2312.08935).
 * They are the labels of a process reward model (`stepExamples`).
 *
 * @returns for each rollout one value an end, and how many actions were drawn for them
 * @throws GuerdonError "input" when a prefix is longer than its row or success is not one number a rollout
 */
export async function monteCarloValues<X>(
  engine: Engine<X>,
  rollouts: readonly Rollout<X>[],
  options: MonteCarloOptions<X>,
): Promise<{ readonly values: readonly Float64Array[]; readonly drawnActions: number }> {
  const { ends, prefix, success, continuations: K, maxActions, seed } = options;
  if (!Number.isInteger(K) || K < 1)
    throw new GuerdonError("usage", `monteCarloValues: continuations is ${K}; it must be a whole number of at least 1.`);
  const cuts = rollouts.flatMap((rollout, i) =>
    ends(rollout, i).map((end) => {
      if (!(Number.isInteger(end) && end >= 1 && end <= rollout.mask.length))
        throw new GuerdonError(
          "input",
          `monteCarloValues: rollout ${i} has ${rollout.mask.length} actions; it cannot be cut after ${end}.`,
        );
      return { i, end, whole: end === rollout.mask.length };
    }),
  );
  const requests = cuts
    .filter(({ whole }) => !whole)
    .flatMap(({ i, end }) =>
      Array.from({ length: K }, (_, k) => ({
        task: rollouts[i]!.task,
        group: rollouts[i]!.group,
        from: prefix(rollouts[i]!.row, end),
        rng: stream(seed, "continuation", i, end, k),
      })),
    );
  const drawn = requests.length === 0 ? [] : await engine.sample(requests, { maxActions });
  const [own, continued] = [await success(rollouts), requests.length === 0 ? [] : await success(drawn)];
  for (const [grades, of] of [
    [own, rollouts],
    [continued, drawn],
  ] as const)
    if (grades.length !== of.length || !Array.from(grades).every(Number.isFinite))
      throw new GuerdonError(
        "input",
        `monteCarloValues: success gave ${grades.length} grades for ${of.length} rollouts; it must give one finite number for each.`,
      );
  const values = rollouts.map((): number[] => []);
  let next = 0;
  for (const { i, whole } of cuts) values[i]!.push(whole ? own[i]! : mean(Array.from({ length: K }, () => continued[next++]!)));
  return {
    values: values.map((v) => Float64Array.from(v)),
    drawnActions: drawn.reduce((sum, { mask }) => sum + mask.reduce((n, m) => n + (m > 0 ? 1 : 0), 0), 0),
  };
}

export const textPrefix = (row: TextSequence, actions: number): TextSequence => ({
  prompt: row.prompt,
  actions: row.actions.slice(0, actions),
});
export const statePrefix = (row: StateSequence, actions: number): StateSequence => ({
  states: row.states.slice(0, actions),
  actions: row.actions.slice(0, actions),
});
