import {
  demonstrations,
  gapWeights,
  minibatches,
  withCorrection,
  withLogProbs,
  withOutput,
  withRowLogProbs,
  withSource,
} from "../credit/index.ts";
import type { Examples, RewardTransform, Scored } from "../credit/index.ts";
import { dynamicSampling, gather, type Curriculum, type Gathered } from "../curricula/index.ts";
import type { Engine, Reader } from "../engines/engine.ts";
import type { TextEnvironment, TextTask } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import type { TextSequence } from "../policies/policy.ts";
import type { Tokenizer } from "../policies/tokenizer.ts";
import { coverage, scored, type Reward, type Score } from "../rewards/index.ts";
import { joined, withRetry, type Answers } from "../rollouts/index.ts";
import type { Rollout } from "../rollouts/rollout.ts";
import { stream } from "../statistics/stream.ts";
import { anchorOf, ask as askFor } from "./ask.ts";
import { grade } from "./grade.ts";
import type { Phase, Work } from "./loop.ts";
import { needsReference, type DemonstrationMethod, type Learning, type RolloutMethod } from "./method.ts";
import type { FrozenReference } from "./references.ts";
import { summarise, type DrawnRollout, type RolloutSummary } from "./report.ts";
import { finished, progress, schedule, valueAt, type At, type Budget } from "./schedule.ts";
import type { Term } from "./step.ts";

/** What a phase of `train` says about a step, beside the updates' own results. */
export interface Notes {
  /** Null in phases that train on demonstrations. */
  readonly rollouts: (RolloutSummary & { readonly drawn: readonly DrawnRollout[] }) | null;
  /** Whether the rewards gave the method anything to learn from. */
  readonly signal: boolean;
  readonly corrected: number | null;
  /** Share of the groups that were asked again; null where the method never does. */
  readonly again: number | null;
  readonly seconds: { readonly sampling: number; readonly scoring: number };
}

/** What all phases of a run share. */
export interface PhaseSetting {
  readonly engine: Engine;
  readonly environment: TextEnvironment;
  readonly seed: number;
  readonly budget: Budget;
  readonly tasksPerStep: number;
}

type TrainPhase = Phase<TextSequence, Notes>;

const learningOf = (method: Learning, budget: Budget): Pick<TrainPhase, "learningRate" | "optimizer" | "until"> => ({
  learningRate: schedule(method.learningRate, budget),
  optimizer: method.optimizer,
  until: (at) => finished(budget, at),
});

/** A method's objective on these examples, with its coefficients as they are now. */
export function term<X>(method: Learning, examples: Examples<X>, at: At): Term<X> {
  const coefficients = Object.fromEntries(Object.entries(method.coefficients).map(([name, value]) => [name, valueAt(value, at)]));
  return { examples, objective: method.objective, coefficients };
}

/**
 * A phase that imitates the environment's demonstrations: each step draws fresh training tasks and a right answer to each.
 *
 * @throws GuerdonError "usage" when the environment cannot demonstrate
 */
export function demonstrationPhase(
  name: string,
  method: DemonstrationMethod,
  setting: PhaseSetting & {
    readonly tokenizer: Tokenizer;
    readonly freshOptimizer: boolean;
    /** Steps of demonstrations that earlier runs of the same seed have drawn. */
    readonly earlier: number;
  },
): TrainPhase {
  const { engine, environment, seed, budget, tasksPerStep, tokenizer, freshOptimizer, earlier } = setting;
  if (environment.demonstrate === undefined)
    throw new GuerdonError(
      "usage",
      `The environment "${environment.name}" has no demonstrations, so it cannot train the method "${method.name}".`,
    );
  if (needsReference(method))
    throw new GuerdonError(
      "unsupported",
      `The method "${method.name}" needs a reference policy, which phases on demonstrations do not keep.`,
    );
  const example = (task: TextTask, answer: string): TextSequence => {
    const tokens = tokenizer.encode(answer);
    return {
      prompt: tokenizer.encodePrompt(task.prompt),
      actions: tokenizer.end === null ? tokens : Int32Array.of(...tokens, tokenizer.end),
    };
  };
  return {
    name,
    ...learningOf(method, budget),
    ...(freshOptimizer && { onEnter: () => engine.resetOptimizer() }),
    async prepare(at) {
      const rows = Array.from({ length: tasksPerStep }, (_, i) => {
        const task = environment.draw("train", stream(seed, "demonstration task", earlier + at.step, i));
        return example(task, environment.demonstrate!(task, stream(seed, "demonstration", earlier + at.step, i)));
      });
      return {
        updates: [[term(method, demonstrations(rows), at)]],
        notes: { rollouts: null, signal: true, corrected: null, again: null, seconds: { sampling: 0, scoring: 0 } },
      };
    },
  };
}

export interface RolloutSetting extends PhaseSetting {
  readonly reward: Reward<never>;
  readonly curriculum: Curriculum;
  readonly reference: FrozenReference | null;
  /** The earlier self in the method's anchor. */
  readonly previous: FrozenReference | null;
  /** What the method's `rewardTransform` made for this run. */
  readonly transform: RewardTransform | null;
  readonly minimumCoverage: number;
  readonly tokenizer?: Tokenizer;
}

/** A phase that learns from scored rollouts: tasks, rollouts, rewards, credit, examples. */
export function rolloutPhase(name: string, method: RolloutMethod, setting: RolloutSetting): TrainPhase {
  const { engine, reference, previous, transform } = setting;
  const curriculum =
    method.dynamicSampling === null || setting.curriculum.rounds !== undefined
      ? setting.curriculum
      : dynamicSampling(setting.curriculum, method.dynamicSampling);
  return {
    name,
    ...learningOf(method, setting.budget),
    async onEnter() {
      await engine.resetOptimizer();
      await reference?.refresh();
    },
    async prepare(at, signal) {
      if (previous !== null && at.inPhase % method.anchor!.every === 0) await previous.refresh();
      const { gathered, seconds } = await draw(method, setting, curriculum, at, signal);
      // Reports and curricula are about the policy; what the reference policy said is for credit alone.
      const everything = answersOf(engine, joined([gathered, gathered.discarded]));
      const first = answersOf(engine, gathered.first);
      const smallestGroup = Math.min(2, method.groupSize);
      const asPosed = scored(first.rollouts, first.scores, { smallestGroup }).table;
      curriculum.observe?.(asPosed);
      const drawn = scored(gathered.rollouts, gathered.scores, { smallestGroup }).table;
      const table = await completed(method, engine, drawn, reference?.reader() ?? null);
      const anchor = anchorOf(method, { previous: previous?.reader() ?? null, reference: reference?.reader() ?? null });
      const learnt = await learn(method, engine, transformed(table, transform), at, setting, anchor);
      const limit = setting.environment.maxActions;
      // What the policy can do is what it does without further help.
      const summary = summarise(first.rollouts, asPosed, ofEngine(engine, table), coverage(everything.scores), limit);
      return {
        updates: learnt.updates,
        notes: {
          rollouts: { ...summary, drawn: drawnRollouts(everything.rollouts, everything.scores, learnt.examples) },
          signal: learnt.signal,
          corrected: learnt.corrected,
          again: method.retry === null ? null : gathered.groups.again / gathered.groups.attempted,
          seconds,
        },
      };
    },
  };
}

/** Draws and scores a step's rollouts. */
async function draw(
  method: RolloutMethod,
  setting: RolloutSetting,
  curriculum: Curriculum,
  at: At,
  signal: AbortSignal | undefined,
): Promise<{ gathered: Gathered<TextSequence>; seconds: Notes["seconds"] }> {
  const { engine, environment, reward, reference, seed, tasksPerStep, tokenizer, minimumCoverage } = setting;
  const { retry } = method;
  const record = engine.outputs.includes("entropy") ? ["entropy"] : [];
  const seconds = { sampling: 0, scoring: 0 };
  let asked = 0;
  const ask = async (tasks: readonly TextTask[]): Promise<Answers<TextSequence>> => {
    const began = performance.now();
    const rollouts = await askFor(method, engine, { reference: reference?.reader() ?? null }, environment, tasks, {
      seed,
      step: at.step,
      firstTask: asked,
      record,
      ...(tokenizer && { tokenizer }),
      ...(signal && { signal }),
    });
    asked += tasks.length;
    const drawn = performance.now();
    const { scores } = await graded(reward, rollouts, at, minimumCoverage, signal);
    seconds.sampling += (drawn - began) / 1000;
    seconds.scoring += (performance.now() - drawn) / 1000;
    return { rollouts, scores };
  };
  const gathered = await gather<TextSequence, TextTask>(curriculum, tasksPerStep, { seed, step: at.step }, (tasks, firstTask) =>
    retry === null ? ask(tasks) : withRetry(tasks, retry, { environment, seed, step: at.step, firstTask }, ask),
  );
  return { gathered, seconds };
}

async function graded(
  reward: Reward<never>,
  rollouts: readonly Rollout[],
  at: At,
  minimumCoverage: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly scores: readonly Score[] }> {
  try {
    return await grade(reward, rollouts, { minimumCoverage, ...(signal && { signal }) });
  } catch (cause) {
    if (cause instanceof GuerdonError && cause.code === "coverage")
      throw new GuerdonError("coverage", `Step ${at.step + 1}: ${cause.message}`, { cause });
    throw cause;
  }
}

/** Those answers that this engine drew, and not its reference. */
export function answersOf<X>(engine: Engine<X>, { rollouts, scores }: Answers<X>): Answers<X> {
  const own = rollouts.map((rollout) => rollout.sampling.engine === engine.id);
  return { rollouts: rollouts.filter((_, i) => own[i]), scores: scores.filter((_, i) => own[i]) };
}

/** The rows of a table that this engine drew, as far as reports read them. */
function ofEngine<X>(engine: Engine<X>, { rollouts, token }: Scored<X>): Pick<Scored<X>, "rollouts" | "token"> {
  const own = rollouts.map((rollout) => rollout.sampling.engine === engine.id);
  const keep = <V>(column: readonly V[]): V[] => column.filter((_, i) => own[i]);
  return { rollouts: keep(rollouts), token: Object.fromEntries(Object.entries(token).map(([name, column]) => [name, keep(column)])) };
}

/**
 * The table with what the method reads: token columns of the reference policy and of the policy's own heads, and whose answers are whose.
 */
export async function completed<X>(
  method: RolloutMethod,
  engine: Engine<X>,
  table: Scored<X>,
  reference: Reader<X> | null,
): Promise<Scored<X>> {
  if (table.rollouts.length === 0) return table;
  let whole = reference === null ? table : await withLogProbs(table, "reference", reference);
  if (method.referenceAnswers > 0) whole = withSource(whole, engine);
  for (const head of ["value", "score"] as const)
    if (method.creditNeeds.includes(head)) whole = await withOutput(whole, head, engine, head);
  return whole;
}

/** The table as credit sees it; reports show the rewards as they were given. */
export const transformed = <X>(table: Scored<X>, transform: RewardTransform | null): Scored<X> =>
  transform === null || table.rollouts.length === 0 ? table : { ...table, reward: transform.apply(table.reward) };

/** Credit, correction and minibatches: a step's updates, each one term. The same for every policy family. */
export async function learn<X>(
  method: RolloutMethod,
  engine: Engine<X>,
  table: Scored<X>,
  at: At,
  { seed, budget }: Pick<PhaseSetting, "seed" | "budget">,
  anchor: Reader<X> | null = null,
): Promise<Pick<Work<X, Notes>, "updates"> & { readonly examples: Examples<X> | null } & Pick<Notes, "signal" | "corrected">> {
  const context = { rng: stream(seed, "credit", at.step), at, progress: progress(budget, at) };
  let examples = table.rollouts.length === 0 ? null : method.credit(table, context);
  if (examples === null || examples.rows.length === 0) return { updates: [], examples: null, signal: false, corrected: null };
  if (anchor !== null) examples = await withRowLogProbs(examples, "anchor", anchor);
  const signal = examples.token["advantage"]?.some((a) => a !== 0) ?? true;
  const { correction } = method;
  let corrected: number | null = null;
  if (correction !== null || method.objective.needs.token.includes("old")) examples = await withLogProbs(examples, "old", engine);
  if (correction !== null) {
    corrected = changedShare(gapWeights(examples, { ...correction, kind: "masked" }), examples.mask);
    examples = withCorrection(examples, correction);
  }
  const parts = Math.min(method.minibatches, examples.sets?.weight.length ?? examples.rows.length);
  const updates: Term<X>[][] = [];
  for (let epoch = 0; epoch < method.epochs; epoch++) {
    // Whole batches keep the order of their rollouts.
    const cut = parts === 1 ? [examples] : minibatches(examples, parts, stream(seed, "minibatches", at.step, epoch));
    for (const part of cut) updates.push([term(method, part, at)]);
  }
  return { updates, examples, signal, corrected };
}

/** Share of the policy's own tokens outside the trusted range: those that the masked form of a correction would leave out. */
function changedShare(masked: Float32Array, mask: Float32Array): number {
  let outside = 0;
  let total = 0;
  mask.forEach((m, cell) => {
    if (m === 0) return;
    total++;
    if (masked[cell] === 0) outside++;
  });
  return total === 0 ? 0 : outside / total;
}

/** Rollouts with grades and mean advantages, for people to read. */
function drawnRollouts(rollouts: readonly Rollout[], scores: readonly Score[], examples: Examples | null): DrawnRollout[] {
  const advantages = new Map<TextSequence, number>();
  const column = examples?.token["advantage"];
  if (examples !== null && column !== undefined)
    examples.rows.forEach((row, i) => {
      let sum = 0;
      let count = 0;
      for (let cell = examples.offsets[i]!; cell < examples.offsets[i + 1]!; cell++)
        if (examples.mask[cell] !== 0) {
          sum += column[cell]!;
          count++;
        }
      if (count > 0) advantages.set(row, sum / count);
    });
  return rollouts.map((rollout, i) => {
    const { value, parts } = scores[i]!;
    return { rollout, reward: value, parts: parts ?? {}, advantage: advantages.get(rollout.row) ?? null };
  });
}
