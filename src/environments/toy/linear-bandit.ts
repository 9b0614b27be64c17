import { normal } from "../../statistics/stream.ts";
import type { Rng } from "../../statistics/stream.ts";
import { exercise } from "./exercises.ts";
import type { Exercise } from "./exercises.ts";
import { bandit } from "./processes.ts";

/**
 * A bandit whose answers are vectors: entries are standard normal, and an answer is worth its product with one hidden direction of length 1,
 * plus noise. Worths are standard normal too, so that the best of 20 answers is worth 1.87 in the mean. What is learnt of one task holds for
 * all, if the policy sees the vectors (`features`, an option of the softmax policy).
 *
 * @param o.noise drawn at each try, in place of 0; `rng` is the try's
 * @param o.rng draws vectors and direction
 */
export function linearBandit(o: {
  readonly tasks: number;
  readonly arms: number;
  readonly dimension: number;
  readonly noise?: (rng: Rng) => number;
  readonly rng: Rng;
}): Exercise & {
  readonly features: (task: number, arm: number) => ArrayLike<number>;
  /** What an answer is worth without noise. */
  readonly worth: (task: number, arm: number) => number;
  /** Share of the tasks whose best answer is the likeliest one, where `probs(task)` are the probabilities of the answers. */
  readonly accuracy: (probs: (task: number) => ArrayLike<number>) => number;
} {
  const { tasks, arms, dimension, noise = () => 0, rng } = o;
  const process = { ...bandit({ tasks, actions: arms }), name: "linear bandit" };
  const vector = (): Float64Array => Float64Array.from({ length: dimension }, () => normal(rng));
  const along = vector();
  const direction = along.map((x) => x / Math.hypot(...along));
  const vectors = Array.from({ length: tasks * arms }, vector);
  const features = (task: number, arm: number): Float64Array => vectors[task * arms + arm]!;
  const worth = (task: number, arm: number): number => features(task, arm).reduce((sum, x, k) => sum + x * direction[k]!, 0);
  const top = (of: ArrayLike<number>): number => Array.from(of).reduce((best, x, arm) => (x > of[best]! ? arm : best), 0);
  const best = Array.from({ length: tasks }, (_, task) => top(Array.from({ length: arms }, (__, arm) => worth(task, arm))));
  return {
    ...exercise(process, ({ states, actions }, _, luck) => worth(states[0]!, actions[0]!) + noise(luck)),
    features,
    worth,
    accuracy: (probs) => best.filter((arm, task) => top(probs(task)) === arm).length / tasks,
  };
}
