import { expect, test } from "vitest";
import { byPosterior } from "../../src/curricula/index.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { armBandit, type Task } from "../../src/environments/index.ts";
import { stream } from "../../src/statistics/index.ts";
import { grpo, practise, practiseUntil, type Practised, type PractiseOptions } from "../../src/training/index.ts";
import type { StateSequence } from "../../src/policies/index.ts";

const game = () => armBandit({ tasks: 6, arms: 3, worth: (best) => () => (best ? 1 : 0), rng: stream(1, "arms") });

type Options = PractiseOptions<StateSequence, Task<number>>;

async function played(options: Partial<Options> = {}): Promise<{ steps: Practised<StateSequence>[]; chance: number }> {
  const environment = game();
  const engine = softmaxEngine(environment.process, { optimizer: "sgd" });
  const method = grpo({ as: "trl", groupSize: 4, learningRate: 1 });
  const steps: Practised<StateSequence>[] = [];
  for await (const one of practise({ engine, environment, method, steps: 5, seed: 1, ...options })) steps.push(one);
  return { steps, chance: environment.chance((task) => engine.probs(task)) };
}

test("all tasks in every step unless fewer are asked for; the same seed plays the same game", async () => {
  const { steps, chance } = await played();
  expect(steps.map(({ index, drawn }) => [index, drawn])).toEqual([1, 2, 3, 4, 5].map((index) => [index, 24]));
  expect(chance).toBeGreaterThan(0.4);
  expect((await played()).chance).toBe(chance);
  expect((await played({ seed: 2 })).chance).not.toBe(chance);
  expect((await played({ tasksPerStep: 2 })).steps[0]!.drawn).toBe(8);
  const { rollouts, reward, examples } = steps[0]!;
  expect([rollouts.length, reward.length, examples!.rows.length]).toEqual([24, 24, 24]);
});

test("what dynamic sampling throws away is drawn and not learnt from", async () => {
  const method = grpo({ as: "trl", groupSize: 4, learningRate: 1, dynamicSampling: { rounds: 10 } });
  const { steps } = await played({ method, tasksPerStep: 3 });
  expect(steps.every(({ examples }) => examples === null || examples.rows.length <= 12)).toBe(true);
  expect(steps.reduce((sum, { drawn }) => sum + drawn, 0)).toBeGreaterThan(60);
});

test("a curriculum is told of what was drawn", async () => {
  const environment = game();
  const curriculum = byPosterior(environment);
  await played({ environment, curriculum, tasksPerStep: 2 });
  const moved = environment.tasks("train").filter((task) => curriculum.expected!(task) !== 0.5);
  expect(moved.length).toBeGreaterThan(1);
});

test("practice until something is so: after which step, from how many answers; a run that never gets there reports its cap", async () => {
  const environment = game();
  const engine = softmaxEngine(environment.process, { optimizer: "sgd" });
  const setting = { engine, environment, method: grpo({ as: "trl", groupSize: 4, learningRate: 1 }), steps: 5, seed: 1 };
  expect(await practiseUntil(setting, ({ index }) => index === 3)).toEqual({ steps: 3, rollouts: 72, arrived: 1 });
  expect(await practiseUntil(setting, ({ index }) => index === 5)).toEqual({ steps: 5, rollouts: 120, arrived: 1 });
  expect(await practiseUntil(setting, () => false)).toEqual({ steps: 5, rollouts: 120, arrived: 0 });
});
