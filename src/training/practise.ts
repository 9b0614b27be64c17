import type { Examples } from "../credit/index.ts";
import type { Curriculum, Tasks } from "../curricula/index.ts";
import { dynamicSampling, gather, uniform } from "../curricula/index.ts";
import type { Engine, Reader, UpdateOptions } from "../engines/engine.ts";
import type { Split, Task } from "../environments/environment.ts";
import type { Worth } from "../environments/toy/index.ts";
import { scored } from "../rewards/index.ts";
import { withRetry } from "../rollouts/index.ts";
import type { Answers, Hinting, Rollout } from "../rollouts/index.ts";
import { stream } from "../statistics/stream.ts";
import type { Rng } from "../statistics/stream.ts";
import { anchorOf, ask as askFor } from "./ask.ts";
import { needsReference, type RolloutMethod } from "./method.ts";
import { answersOf, completed, learn, transformed } from "./phases.ts";
import { schedule, start, valueAt } from "./schedule.ts";
import { step, type StepResult } from "./step.ts";

/** What a policy of any family can practise on: tasks, and a number for what it did. */
export interface PracticeEnvironment<X, T extends Task> extends Tasks<T>, Hinting<T> {
  readonly maxActions: number;
  tasks(split: Split): readonly T[];
  /** What an answer is worth, or what each of its actions is: one step each. `rng` is for rewards that are drawn. */
  score(row: X, task: T, rng: Rng): Worth;
}

export interface PractiseOptions<X, T extends Task> {
  readonly engine: Engine<X>;
  readonly environment: PracticeEnvironment<X, T>;
  readonly method: RolloutMethod;
  readonly steps: number;
  readonly seed: number;
  /** Default: all of the environment's training tasks. */
  readonly tasksPerStep?: number;
  /** Default: the method's own, or uniform over training tasks. */
  readonly curriculum?: Curriculum<T>;
  /** Default: the method's optimizer. */
  readonly optimizer?: Partial<Omit<UpdateOptions, "learningRate">>;
}

/** What one step of practice did. */
export interface Practised<X> {
  /** Steps taken, from 1. */
  readonly index: number;
  /** Answers that were drawn, learnt from or not: what the step cost. */
  readonly drawn: number;
  /** What credit made of them; null where there was nothing to learn from. */
  readonly examples: Examples<X> | null;
  /** The answers that it learnt from. */
  readonly rollouts: readonly Rollout<X>[];
  readonly reward: readonly number[];
  /** Share of the tasks that were asked again. */
  readonly again: number;
  /** One result an update. */
  readonly updates: readonly StepResult[];
}

/**
 * Trains a policy of any family with a rollout method: the same curriculum, rollouts, retries, credit, objective and step as `train`,
 * without what belongs to text and to long runs (reward models, evaluation, folders, reports). It is what the papers' small claims run.
 * Where the method reads a reference policy, that is the policy as it was before the first step.
 *
 * @throws GuerdonError "unsupported" for a method that reads an output which the policy does not have; otherwise as `step`
 */
export async function* practise<X, T extends Task>(options: PractiseOptions<X, T>): AsyncGenerator<Practised<X>, void> {
  const { engine, environment, method, steps, seed } = options;
  const { tasksPerStep = environment.tasks("train").length } = options;
  const inner = options.curriculum ?? method.curriculum?.of(environment) ?? uniform(environment);
  const curriculum = method.dynamicSampling === null || inner.rounds !== undefined ? inner : dynamicSampling(inner, method.dynamicSampling);
  const budget = { steps };
  const rate = schedule(method.learningRate, budget);
  const record = engine.outputs.includes("entropy") ? ["entropy"] : [];
  const smallestGroup = Math.min(2, method.groupSize);
  const reference = needsReference(method) ? await engine.freeze() : null;
  let previous: Reader<X> | null = null;
  const transform = method.rewardTransform?.() ?? null;

  for (let index = 0; index < steps; index++) {
    const at = { ...start, step: index, inPhase: index };
    if (method.anchor !== null && index % method.anchor.every === 0) {
      previous?.dispose?.();
      previous = await engine.freeze();
    }
    const luck = stream(seed, "score", index);
    let asked = 0;
    const ask = async (tasks: readonly T[]): Promise<Answers<X>> => {
      const rollouts = await askFor(method, engine, { reference }, environment, tasks, { seed, step: index, firstTask: asked, record });
      asked += tasks.length;
      return graded(rollouts, (row, task) => environment.score(row, task as T, luck));
    };
    const gathered = await gather<X, T>(curriculum, tasksPerStep, { seed, step: index }, (tasks, firstTask) =>
      method.retry === null ? ask(tasks) : withRetry(tasks, method.retry, { environment, seed, step: index, firstTask }, ask),
    );
    const first = answersOf(engine, gathered.first);
    curriculum.observe?.(scored(first.rollouts, first.scores, { smallestGroup }).table);
    const { table } = scored(gathered.rollouts, gathered.scores, { smallestGroup });
    const whole = await completed(method, engine, table, reference);
    const anchor = anchorOf(method, { previous, reference });
    const learnt = await learn(method, engine, transformed(whole, transform), at, { seed, budget }, anchor);
    const updates: StepResult[] = [];
    for (const terms of learnt.updates)
      updates.push(await step(engine, terms, { ...method.optimizer, ...options.optimizer, learningRate: valueAt(rate, at) }));
    yield {
      index: index + 1,
      drawn: gathered.rollouts.length + gathered.discarded.rollouts.length,
      examples: learnt.examples,
      rollouts: table.rollouts,
      reward: [...table.reward],
      again: gathered.groups.again / gathered.groups.attempted,
      updates,
    };
  }
}

/**
 * Practises until something is so, and says what that took. A run that never gets there reports all of its steps (the cap) and `arrived` 0.
 *
 * @param there asked after each step
 */
export async function practiseUntil<X, T extends Task>(
  options: PractiseOptions<X, T>,
  there: (done: Practised<X>) => boolean,
): Promise<{ readonly steps: number; readonly rollouts: number; readonly arrived: 0 | 1 }> {
  let rollouts = 0;
  for await (const done of practise(options)) {
    rollouts += done.drawn;
    if (there(done)) return { steps: done.index, rollouts, arrived: 1 };
  }
  return { steps: options.steps, rollouts, arrived: 0 };
}

/** Rollouts with their scores; where an action's score is a step's, each action is a step. */
function graded<X>(rollouts: readonly Rollout<X>[], score: (row: X, task: Task) => Worth): Answers<X> {
  const given = rollouts.map(({ row, task }) => score(row, task));
  return {
    rollouts: rollouts.map((rollout, i) =>
      stepped(given[i]!) ? { ...rollout, steps: Array.from(rollout.mask, (_, j) => ({ from: j, to: j + 1 })) } : rollout,
    ),
    scores: given.map((one) => (typeof one === "number" ? { value: one } : one)),
  };
}

const stepped = (worth: Worth): boolean => typeof worth !== "number" && worth.steps !== undefined;
