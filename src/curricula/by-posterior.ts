import type { Split, Task, TextTask } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import { betaMean, betaSample, betaUpdate } from "../statistics/index.ts";
import type { Beta } from "../statistics/index.ts";
import { stream } from "../statistics/stream.ts";
import type { Rng } from "../statistics/stream.ts";
import type { Curriculum, Tasks } from "./curriculum.ts";

export interface PosteriorOptions {
  /** The success rate to look for. Default 0.5, where answers differ most. */
  readonly target?: number;
  /** How much of the earlier observations each visit keeps, in [0, 1]. Default 1: all. */
  readonly keep?: number;
  /** What is believed of a task that was never seen. Default uniform. */
  readonly prior?: Beta;
  /** Of environments that draw tasks without end: how many times as many are drawn as picked. Lists are looked through whole. Default 16. */
  readonly pool?: number;
  /** The smallest reward that counts as a success. Default 1. */
  readonly accept?: number;
  /** "sample" draws a guess from each belief (Thompson sampling); "mean" takes its mean, and never finds out where it is wrong. Default "sample". */
  readonly guess?: "sample" | "mean";
}

/**
 * Picks the tasks whose success rate is guessed closest to a target, from a Beta belief for each task that its answers update (MoPPS, arXiv
 * 2507.04632): nothing is rolled out to find out how hard a task is. Guesses are drawn from the beliefs, so that what is little known is
 * tried now and then. Beliefs are state.
 *
 * @throws GuerdonError "usage" for an option out of range, or when more tasks are picked than there are in a list
 */
export function byPosterior<T extends Task = TextTask>(
  environment: Tasks<T>,
  options: PosteriorOptions = {},
  split: Split = "train",
): Curriculum<T> {
  const { target = 0.5, keep = 1, prior = { alpha: 1, beta: 1 }, pool = 16, accept = 1, guess = "sample" } = options;
  if (!(target >= 0 && target <= 1)) throw new GuerdonError("usage", `byPosterior: the target must be a share, not ${target}.`);
  if (!(pool >= 1)) throw new GuerdonError("usage", `byPosterior: the pool must be at least 1, not ${pool}.`);
  const listed = environment.tasks?.(split);
  const beliefs = new Map<string, Beta>();
  const beliefOf = (id: string): Beta => beliefs.get(id) ?? prior;
  const guessed = (id: string, rng: Rng): number => (guess === "mean" ? betaMean(beliefOf(id)) : betaSample(beliefOf(id), rng));

  return {
    name: `byPosterior(${environment.name})`,
    expected: ({ id }) => betaMean(beliefOf(id)),
    pick(count, { seed, step, round }) {
      const draw = (i: number): T => environment.draw(split, stream(seed, "curriculum", split, step, round, i));
      const candidates = listed ?? distinct(Array.from({ length: Math.ceil(pool * count) }, (_, i) => draw(i)));
      if (candidates.length < count)
        throw new GuerdonError("usage", `byPosterior: ${count} tasks are to be picked from ${candidates.length} of "${environment.name}".`);
      const rng = stream(seed, "posterior", step, round);
      // Ties (means, at first) are broken by chance.
      const ranked = candidates.map((task) => ({ task, distance: Math.abs(guessed(task.id, rng) - target), tie: rng() }));
      ranked.sort((a, b) => a.distance - b.distance || a.tie - b.tie);
      return ranked.slice(0, count).map(({ task }) => task);
    },
    observe({ rollouts, reward }) {
      const seen = new Map<string, { successes: number; failures: number }>();
      for (const [i, { task }] of rollouts.entries()) {
        const counts = seen.get(task.id) ?? { successes: 0, failures: 0 };
        seen.set(task.id, counts);
        if (reward[i]! >= accept) counts.successes++;
        else counts.failures++;
      }
      for (const [id, counts] of seen) beliefs.set(id, betaUpdate(beliefOf(id), counts, { keep, prior }));
    },
    state: {
      snapshot: () =>
        Promise.resolve({
          version: 1,
          json: { beliefs: Object.fromEntries([...beliefs].map(([id, { alpha, beta }]) => [id, [alpha, beta]])) },
          tensors: {},
        }),
      restore({ version, json }) {
        const saved = (json as { readonly beliefs?: Readonly<Record<string, readonly unknown[]>> } | null)?.beliefs;
        if (version !== 1 || typeof saved !== "object")
          return Promise.reject(new GuerdonError("input", "The saved beliefs about tasks cannot be read."));
        beliefs.clear();
        for (const [id, [alpha, beta]] of Object.entries(saved)) {
          if (typeof alpha !== "number" || typeof beta !== "number")
            return Promise.reject(new GuerdonError("input", `The saved belief about the task "${id}" cannot be read.`));
          beliefs.set(id, { alpha, beta });
        }
        return Promise.resolve();
      },
    },
  };
}

const distinct = <T extends Task>(tasks: readonly T[]): T[] => [...new Map(tasks.map((task) => [task.id, task])).values()];
