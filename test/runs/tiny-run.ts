import { examples, groupAdvantage } from "../../src/credit/index.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { lock, finiteTasks } from "../../src/environments/toy/index.ts";
import { clippedSurrogate } from "../../src/objectives/index.ts";
import type { StateSequence } from "../../src/policies/policy.ts";
import type { Rollout } from "../../src/rollouts/rollout.ts";
import type { Json } from "../../src/statistics/snapshot.ts";
import { stream } from "../../src/statistics/stream.ts";
import { createRun } from "../../src/training/run-folder.ts";
import type { Files } from "../../src/training/runs/files.ts";
import { loop } from "../../src/training/loop.ts";

const seed = 5;
const tasks = 3;
const perTask = 4;

/**
 * A whole training run in a fraction of a second: group advantages and the clipped surrogate on a lock of three symbols, with every
 * fourth step a checkpoint and the run's folder written as the real thing writes it. Goes on where the folder stands.
 *
 * @returns the final weights
 */
export async function tinyRun(directory: string, options: { readonly steps: number; readonly files?: Files }): Promise<number[]> {
  const { steps, files } = options;
  const process = lock({ tasks, length: 3, symbols: 4 });
  const engine = softmaxEngine(process);
  const list = finiteTasks(process);
  const run = createRun(
    directory,
    {
      configuration: { process: process.name, steps, seed } satisfies Json,
      source: { test: "tiny run" },
      seed,
      device: "host",
      threads: 1,
    },
    files === undefined ? {} : { files },
  );
  const report = loop<StateSequence, { reward: number; rollouts: readonly Rollout<StateSequence>[]; rewards: Float64Array }>({
    engine,
    ...(run.latest === null ? {} : { resume: run.latest.snapshots }),
    phases: [
      {
        name: "rl",
        learningRate: 0.1,
        optimizer: { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 },
        until: (at) => at.step >= steps,
        async prepare(at) {
          const requests = list.flatMap((task) =>
            Array.from({ length: perTask }, (_, i) => ({ task, group: task.id, rng: stream(seed, "rollout", at.step, task.id, i) })),
          );
          const rollouts = await engine.sample(requests, { maxActions: process.horizon });
          // How many symbols are those of the hidden word 0, 1, 2.
          const rewards = Float64Array.from(rollouts, ({ row }) => row.actions.filter((action, i) => action === i).length / 3);
          const key = Int32Array.from(rollouts, ({ task }) => Number(task.id));
          const table = { rollouts, reward: rewards, parts: {}, keys: { group: key, task: key }, token: {} };
          const advantage = groupAdvantage(rewards, key, { scale: { ddof: 1, epsilon: 1e-4 } });
          return {
            updates: [
              [
                {
                  examples: examples(table, { advantage }),
                  objective: clippedSurrogate({ low: 0.2, high: 0.2, aggregation: "token-mean", divisor: null }),
                },
              ],
            ],
            notes: { reward: rewards.reduce((sum, r) => sum + r, 0) / rewards.length, rollouts, rewards },
          };
        },
      },
    ],
  });
  for await (const now of report) {
    const { at, phase, notes, updates, seconds } = now;
    const step = at.step + 1;
    const { loss, gradientNorm } = updates[0]!;
    run.metrics({ step, phase, kind: "step", values: { loss, gradientNorm, reward: notes.reward }, clock: { seconds: seconds.update } });
    const { row, group, stop } = notes.rollouts[0]!;
    run.rollouts([
      { step, phase, prompt: group, completion: row.actions.join(" "), reward: notes.rewards[0]!, parts: {}, advantage: null, stop, group },
    ]);
    if (step % 5 === 0) run.metrics({ step, phase, kind: "evaluation", values: { best: Math.max(...engine.probs(0)) } });
    if (step % 4 === 0) run.checkpoint(step, await now.save(), notes.reward);
  }
  run.close("finished");
  return [...engine.weights];
}
