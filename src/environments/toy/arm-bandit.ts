import { below } from "../../statistics/stream.ts";
import type { Rng } from "../../statistics/stream.ts";
import { exercise } from "./exercises.ts";
import type { Exercise } from "./exercises.ts";
import { bandit } from "./processes.ts";

/**
 * A bandit with one best answer to each task.
 *
 * @param o.worth makes, for the best answer and for each other one, what it is worth at a try. Called once for each task and answer with the
 *   stream that draws the exercise, so that answers may differ; what it returns is called at each try
 * @param o.rng draws the best answers, and what `worth` draws
 */
export function armBandit(o: {
  readonly tasks: number;
  readonly arms: number;
  readonly worth: (best: boolean, rng: Rng) => (rng: Rng) => number;
  readonly rng: Rng;
}): Exercise & {
  /** The chance of the best answer, mean over tasks, where `probs(task)` are the probabilities of the answers. */
  chance(probs: (task: number) => ArrayLike<number>): number;
} {
  const { tasks, arms, worth, rng } = o;
  const best = Array.from({ length: tasks }, () => below(rng, arms));
  const worths = best.map((right) => Array.from({ length: arms }, (_, arm) => worth(arm === right, rng)));
  return {
    ...exercise(bandit({ tasks, actions: arms }), ({ states, actions }, _, luck) => worths[states[0]!]![actions[0]!]!(luck)),
    chance: (probs) => best.reduce((sum, arm, task) => sum + probs(task)[arm]!, 0) / tasks,
  };
}
