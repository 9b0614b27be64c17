import { localEngine } from "../../src/engines/index.ts";
import { sorting } from "../../src/environments/index.ts";
import { symbolTokenizer, transformer } from "../../src/policies/index.ts";
import { reward } from "../../src/rewards/index.ts";
import { grpo, train, type TrainReport } from "../../src/training/index.ts";
import type { HostTensor } from "../../src/statistics/snapshot.ts";

/** Something that a fresh policy already gets some of, so that every step has a gradient. */
const numbers = reward("numbers", ({ text }) => text.split(" ").filter((word) => /^\d+$/.test(word)).length / 3);

/**
 * `train` itself with a transformer of 1 layer x 16 on one thread: a short warm-up, then group advantages, with an evaluation now and then
 * and a checkpoint after every step. Goes on where the folder stands.
 *
 * @returns the final weights
 */
export async function tinyTrain(
  directory: string,
  observe: (report: TrainReport) => void = () => undefined,
): Promise<Record<string, HostTensor>> {
  const environment = sorting({ count: 2, highest: 9 });
  const tokenizer = symbolTokenizer(environment.symbols!);
  const policy = transformer(
    {
      layers: 1,
      width: 16,
      heads: 2,
      vocabulary: tokenizer.vocabulary,
      context: 16,
      norm: "layer",
      positions: "learned",
      activation: "gelu",
      tied: false,
    },
    { tokenizer },
  );
  const engine = await localEngine({ policy, seed: 3, threads: 1 });
  const steps = train({
    engine,
    environment,
    seed: 3,
    reward: numbers,
    method: grpo({ as: "trl", groupSize: 4, learningRate: 1e-2 }),
    warmUp: { steps: 8, tasksPerStep: 8 },
    steps: 10,
    tasksPerStep: 4,
    evaluation: { every: 6, tasks: 8, samples: 2, seed: 9 },
    directory,
    checkpointSeconds: 0,
    observers: [observe],
  });
  for await (const _ of steps);
  const weights = await engine.weights();
  engine.dispose();
  return weights;
}
