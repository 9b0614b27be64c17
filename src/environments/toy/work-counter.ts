import { GuerdonError } from "../../error.ts";
import type { StateSequence } from "../../policies/policy.ts";
import { normal } from "../../statistics/stream.ts";
import type { Rng } from "../../statistics/stream.ts";
import { drawOutcome } from "./finite.ts";
import type { Finite, Outcome } from "./finite.ts";

/** The three actions of `workCounter`. */
export const workActions = { work: 0, repeat: 1, stop: 2 } as const;

export interface WorkCounterOptions {
  /** Probability of success when the walk stops after so much work: one a state. */
  readonly success: readonly number[];
  /** Probability that working adds to the work done. */
  readonly progress: number;
  readonly horizon: number;
  /** Mean and deviation of the score that an imperfect judge gives a step of work, and one that only repeats. */
  readonly quality: {
    readonly work: readonly [mean: number, deviation: number];
    readonly repeat: readonly [mean: number, deviation: number];
  };
}

export interface WorkCounter extends Finite {
  /** How likely a walk is to have succeeded; 0 where it was cut before it stopped. */
  success(walk: StateSequence): number;
  /** The judge's scores of a walk's reasoning steps: all but the stop. It likes a step that repeats better than one that does the work. */
  judged(walk: StateSequence, rng: Rng): number[];
}

/**
 * Reasoning under an imperfect process reward, in miniature: a counter of work done, where `work` raises it with some probability (up to
 * the last state), `repeat` does nothing, and `stop` answers. State = work done. One task.
 */
export function workCounter({ success, progress, horizon, quality }: WorkCounterOptions): WorkCounter {
  const states = success.length;
  if (states < 1 || !(Number.isInteger(horizon) && horizon >= 1))
    throw new GuerdonError("usage", `workCounter needs at least one probability of success and a horizon, not ${states} and ${horizon}.`);
  for (const p of [...success, progress])
    if (!(p >= 0 && p <= 1)) throw new GuerdonError("usage", `workCounter: ${p} is not a probability.`);
  const outcomes = (state: number, action: number): readonly Outcome[] => {
    if (action === workActions.stop) return [[-1, 1]];
    if (action === workActions.repeat || state + 1 === states) return [[state, 1]];
    return [
      [state + 1, progress],
      [state, 1 - progress],
    ];
  };
  return {
    name: "workCounter",
    tasks: 1,
    states,
    actions: 3,
    horizon,
    start: () => 0,
    outcomes,
    next: (state, action, rng) => drawOutcome(outcomes(state, action), rng),
    success: ({ states: visited, actions }) => (actions.at(-1) === workActions.stop ? success[visited.at(-1)!]! : 0),
    judged: ({ actions }, rng) =>
      [...actions]
        .filter((action) => action !== workActions.stop)
        .map((action) => {
          const [mean, deviation] = action === workActions.work ? quality.work : quality.repeat;
          return mean + deviation * normal(rng);
        }),
  };
}
