import type { Split, Task, TextTask } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import { shuffled, stream } from "../statistics/stream.ts";
import type { Curriculum, Tasks } from "./curriculum.ts";

/**
 * All tasks alike: fresh draws where the environment generates tasks; where it lists them, one after another in an order shuffled anew in
 * each epoch, so that every task comes once before any comes twice. Of a list, the number of tasks handed out is kept as state.
 *
 * @throws GuerdonError "usage" when picking from an empty list
 */
export function uniform<T extends Task = TextTask>(environment: Tasks<T>, split: Split = "train"): Curriculum<T> {
  const name = `uniform(${environment.name})`;
  const listed = environment.tasks?.(split);
  if (listed === undefined)
    return {
      name,
      pick: (count, { seed, step, round }) =>
        Array.from({ length: count }, (_, i) => environment.draw(split, stream(seed, "curriculum", split, step, round, i))),
    };
  if (listed.length === 0) throw new GuerdonError("usage", `The environment "${environment.name}" has no ${split} tasks to pick from.`);
  return { name, ...inEpochs(listed) };
}

/** One pass after another through a list, each in an order derived from seed and epoch. */
function inEpochs<T extends Task>(tasks: readonly T[]): Pick<Required<Curriculum<T>>, "pick" | "state"> {
  let given = 0;
  let order: { readonly seed: number; readonly epoch: number; readonly tasks: readonly T[] } | null = null;
  return {
    pick: (count, { seed }) =>
      Array.from({ length: count }, () => {
        const epoch = Math.floor(given / tasks.length);
        if (order?.seed !== seed || order.epoch !== epoch)
          order = { seed, epoch, tasks: shuffled(tasks, stream(seed, "curriculum", "epoch", epoch)) };
        return order.tasks[given++ % tasks.length]!;
      }),
    state: {
      snapshot: () => Promise.resolve({ version: 1, json: { given, tasks: tasks.length }, tensors: {} }),
      restore({ version, json }) {
        const saved = json as { readonly given?: unknown; readonly tasks?: unknown } | null;
        if (version !== 1 || typeof saved?.given !== "number")
          return Promise.reject(new GuerdonError("input", "The saved place in the list of tasks cannot be read."));
        if (saved.tasks !== tasks.length)
          return Promise.reject(
            new GuerdonError(
              "input",
              `The run was saved with ${String(saved.tasks)} tasks, and now there are ${tasks.length}. Continue with the same data.`,
            ),
          );
        given = saved.given;
        return Promise.resolve();
      },
    },
  };
}
