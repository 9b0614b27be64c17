import { arraysDevice } from "../arrays/index.ts";
import { uniform, type Curriculum } from "../curricula/index.ts";
import { checkNames } from "../engines/checks.ts";
import type { Engine, Reader } from "../engines/engine.ts";
import type { TextEnvironment } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import type { TextSequence } from "../policies/policy.ts";
import type { Tokenizer } from "../policies/tokenizer.ts";
import { fromEnvironment, type Reward } from "../rewards/index.ts";
import { stream } from "../statistics/stream.ts";
import type { Json, Stateful } from "../statistics/snapshot.ts";
import { evaluate, evaluationMetrics, type EvaluateOptions, type Evaluation } from "./evaluate.ts";
import { healthWatch } from "./health.ts";
import { loop, type StepReport } from "./loop.ts";
import { describeMethod, needsReference, outputsNeeded, type DemonstrationMethod, type Method } from "./method.ts";
import { supervised } from "./methods.ts";
import { demonstrationPhase, rolloutPhase, type Notes } from "./phases.ts";
import { baseReference, frozenReference, givenReference, type FrozenReference } from "./references.ts";
import { metricsOf, type TrainReport } from "./report.ts";
import type { RunFolder } from "./run-folder.ts";
import type { Budget } from "./schedule.ts";

/** An engine with a text policy. `localEngine` of a transformer and `tinkerEngine` are such, and bring their tokenizer along. */
export type TextEngine = Engine<TextSequence> & {
  readonly policy?: { readonly tokenizer?: Tokenizer; /** For run.json. */ readonly config: Json };
};

/**
 * The reference policy of methods that need one: the policy as it is when the method begins ("start"); the model under the adapter that is
 * trained ("base"), which costs neither memory nor space in checkpoints; or any reader, with a name for run.json.
 */
export type ReferenceChoice = "start" | "base" | { readonly name: string; readonly reader: Reader };

export interface TrainOptions {
  readonly engine: TextEngine;
  readonly environment: TextEnvironment;
  /** Default: the environment's own check. */
  readonly reward?: Reward<never>;
  readonly method: Method;
  /** Steps of the method; or give `seconds`, and it trains for so long (evaluation and checkpoints not counted). */
  readonly steps?: number;
  readonly seconds?: number;
  /** Tasks in a step; with `groupSize` answers each, or one demonstration each. Default 16. */
  readonly tasksPerStep?: number;
  /** Supervised steps before the method; the method starts with a fresh optimizer. */
  readonly warmUp?: { readonly steps: number; readonly tasksPerStep?: number; readonly method?: DemonstrationMethod };
  /**
   * Steps of demonstrations that this policy has seen in an earlier run of the same seed, for instance a warm-up in a folder of its own:
   * this run's demonstrations go on from there, so that none is shown twice. Default 0.
   */
  readonly earlierDemonstrations?: number;
  /** Default "start". */
  readonly reference?: ReferenceChoice;
  /** Default: uniform over training tasks. */
  readonly curriculum?: Curriculum;
  /** Held-out evaluation after every so many steps of a phase, and after its last one. */
  readonly evaluation?: { readonly every: number } & Pick<EvaluateOptions, "tasks" | "samples" | "seed" | "accept" | "rows">;
  readonly seed: number;
  /** A run's folder. If it holds the same run, that is continued. */
  readonly directory?: string;
  /** Seconds of work between checkpoints; 0 writes one after every step. Default 5. */
  readonly checkpointSeconds?: number;
  /** Kept in run.json: how to start the same run again. */
  readonly source?: { readonly [key: string]: Json };
  /** Called with every report before the run goes on. */
  readonly observers?: readonly ((report: TrainReport) => void | Promise<void>)[];
  /** The share of a step's answers that must be scored, or the run stops with "coverage". Default 0.5. */
  readonly minimumCoverage?: number;
  /** Rollouts of a step that go to rollouts.jsonl. Default 4. */
  readonly keepRollouts?: number;
  /** Default: that of the engine's policy. */
  readonly tokenizer?: Tokenizer;
  readonly signal?: AbortSignal;
}

/**
 * Trains a policy on an environment. Iterate over it to run it; each report comes after its step, and the run waits until the next one is
 * asked for. Leaving the loop, or aborting the signal (error "interrupted"), writes a checkpoint if there is a directory, and the same
 * call goes on from there, bit by bit as if it had never stopped.
 *
 * @throws GuerdonError "usage" for options that do not fit together; "unsupported" for a method that needs more than the engine's outputs,
 *   before anything is drawn; "coverage" when too little could be scored; "non-finite" when a step
 *   was refused; "input" when the directory holds another run; "io" when it cannot be written
 */
export async function* train(options: TrainOptions): AsyncGenerator<TrainReport, void> {
  const { engine, signal, observers = [], evaluation, checkpointSeconds = 5, keepRollouts = 4 } = options;
  const run = prepared(options);
  const folder = options.directory === undefined ? null : await openFolder(options.directory, run.configuration, options);
  let lastSaved = performance.now();
  let unsaved: { readonly index: number; readonly step: StepReport<Notes> } | null = null;
  const checkpoint = async (index: number, step: StepReport<Notes>, score: number | null): Promise<void> => {
    folder?.checkpoint(index, await step.save(), score);
    lastSaved = performance.now();
    unsaved = null;
  };
  let ended: "finished" | "interrupted" | "failed" = "failed";
  let message: string | undefined;
  /** Whether the step that failed had not changed anything yet, so that the one before it can be kept. */
  let untouched = false;
  try {
    for await (const step of loop({
      engine,
      phases: run.phases,
      state: run.state,
      ...(folder?.latest && { resume: folder.latest.snapshots }),
      ...(signal && { signal }),
    })) {
      unsaved = null;
      const index = step.at.step + 1;
      const measured = evaluation !== undefined && due(step, evaluation.every, run.lengths) ? await measure(options, run.reward) : null;
      const report = assemble(step, measured, run.watch);
      record(folder, report, keepRollouts);
      unsaved = { index, step };
      if (folder !== null && (measured !== null || performance.now() - lastSaved >= 1000 * checkpointSeconds))
        await checkpoint(index, step, measured?.pass1.estimate ?? null);
      for (const observe of observers) await observe(report);
      // A consumer that leaves its loop ends this generator here.
      ended = "interrupted";
      yield report;
      ended = "failed";
    }
    if (unsaved !== null) await checkpoint(unsaved.index, unsaved.step, null);
    ended = "finished";
  } catch (cause) {
    const code = cause instanceof GuerdonError ? cause.code : null;
    if (code === "interrupted") ended = "interrupted";
    untouched = code === "coverage";
    message = cause instanceof Error ? cause.message : String(cause);
    throw cause;
  } finally {
    try {
      if ((ended === "interrupted" || untouched) && unsaved !== null) await checkpoint(unsaved.index, unsaved.step, null);
    } finally {
      folder?.close(ended, message);
      run.reference?.dispose();
      run.previous?.dispose();
    }
  }
}

/** Everything that `train` makes of its options before the first step. */
function prepared(options: TrainOptions) {
  const {
    engine,
    environment,
    method,
    seed,
    warmUp,
    tasksPerStep = 16,
    minimumCoverage = 0.5,
    earlierDemonstrations: earlier = 0,
  } = options;
  // Before the first rollout is drawn.
  checkNames(engine.outputs, outputsNeeded(method), `The engine that the method "${method.name}" is to train`);
  const tokenizer = options.tokenizer ?? engine.policy?.tokenizer;
  const reward =
    options.reward ?? (environment.check === undefined && method.data === "demonstrations" ? null : fromEnvironment(environment));
  const curriculum = curriculumOf(options);
  const budget = budgetOf(options);
  const warmUpMethod = warmUp?.method ?? supervised({ learningRate: { peak: 4e-3, up: 20, floor: 0.1, shape: "linear" } });
  const reference = method.data === "rollouts" && needsReference(method) ? referenceOf(engine, options.reference) : null;
  if (options.reference !== undefined && reference === null)
    throw new GuerdonError("usage", `A reference policy was given, and the method "${method.name}" reads none.`);
  const previous = method.data === "rollouts" && method.anchor !== null ? frozenReference(engine) : null;
  const transform = method.data === "rollouts" ? (method.rewardTransform?.() ?? null) : null;
  const setting = { engine, environment, seed };

  const encoder = (): Tokenizer => {
    if (tokenizer !== undefined) return tokenizer;
    throw new GuerdonError(
      "usage",
      "Training on demonstrations turns text into tokens: give `tokenizer`, or an engine whose policy has one.",
    );
  };
  const warmUpPhases =
    warmUp === undefined
      ? []
      : [
          demonstrationPhase("warm-up", warmUpMethod, {
            ...setting,
            budget: { steps: warmUp.steps },
            tasksPerStep: warmUp.tasksPerStep ?? tasksPerStep,
            tokenizer: encoder(),
            freshOptimizer: false,
            earlier,
          }),
        ];
  const main =
    method.data === "demonstrations"
      ? demonstrationPhase(method.name, method, { ...setting, budget, tasksPerStep, tokenizer: encoder(), freshOptimizer: true, earlier })
      : rolloutPhase(method.name, method, {
          ...setting,
          budget,
          tasksPerStep,
          reward: reward!,
          curriculum,
          reference,
          previous,
          transform,
          minimumCoverage,
          ...(tokenizer && { tokenizer }),
        });

  const watch = healthWatch();
  const state: Record<string, Stateful> = { health: watch };
  if (curriculum.state !== undefined) state["curriculum"] = curriculum.state;
  if (reference !== null) state["reference"] = reference;
  if (previous !== null) state["previous"] = previous;
  if (transform !== null) state["rewardTransform"] = transform.state;

  const configuration: { readonly [key: string]: Json } = {
    environment: {
      name: environment.name,
      maxActions: environment.maxActions,
      examples: options.directory === undefined ? [] : exampleTasks(environment),
    },
    reward: reward === null ? null : { name: reward.name, version: reward.version, parts: reward.parts },
    policy: engine.policy?.config ?? null,
    warmUp:
      warmUp === undefined
        ? null
        : { steps: warmUp.steps, tasksPerStep: warmUp.tasksPerStep ?? tasksPerStep, method: describeMethod(warmUpMethod) },
    method: describeMethod(method, describeReference(options.reference)),
    budget: { ...budget },
    tasksPerStep,
    earlierDemonstrations: earlier,
    curriculum: curriculum.name,
    evaluation: options.evaluation === undefined ? null : { tasks: 500, samples: 16, accept: 1, ...defined(options.evaluation) },
    minimumCoverage,
    seed,
  };
  const lengths: readonly Budget[] = [...(warmUp === undefined ? [] : [{ steps: warmUp.steps }]), budget];
  return { phases: [...warmUpPhases, main], state, watch, reward, reference, previous, configuration, lengths };
}

/** A few tasks as the environment poses them: they tell a person what it is, and a resumed run that it is still the same. */
const exampleTasks = (environment: TextEnvironment): readonly string[] =>
  [0, 1, 2].map((i) => {
    const { prompt, reference = null } = environment.draw("train", stream(0, "example task", i));
    return JSON.stringify([prompt, reference]).slice(0, 200);
  });

function curriculumOf({ curriculum, method, environment }: TrainOptions): Curriculum {
  const own = method.data === "rollouts" ? method.curriculum : null;
  if (own === null) return curriculum ?? uniform(environment);
  if (curriculum === undefined) return own.of(environment);
  throw new GuerdonError(
    "usage",
    `The method "${method.name}" picks the tasks itself, and the curriculum "${curriculum.name}" was given too. To use that one, pass { ...method, curriculum: null }.`,
  );
}

function referenceOf(engine: TextEngine, choice: ReferenceChoice = "start"): FrozenReference {
  if (choice === "start") return frozenReference(engine);
  if (choice === "base") return baseReference(engine);
  return givenReference(choice.name, choice.reader);
}

/** As run.json names it; undefined: as `describeMethod` does. */
function describeReference(choice: ReferenceChoice = "start"): string | undefined {
  if (choice === "start") return undefined;
  return choice === "base" ? "the model under the adapter" : choice.name;
}

const defined = (object: object): { readonly [key: string]: Json } =>
  Object.fromEntries(Object.entries(object).filter(([name, value]) => value !== undefined && name !== "rows"));

function budgetOf({ steps, seconds }: TrainOptions): Budget {
  if ((steps === undefined) === (seconds === undefined)) throw new GuerdonError("usage", "train needs either `steps` or `seconds`.");
  if (steps !== undefined) {
    if (!Number.isInteger(steps) || steps < 0)
      throw new GuerdonError("usage", `steps is ${steps}; it must be a whole number of at least 0.`);
    return { steps };
  }
  if (!(seconds! > 0)) throw new GuerdonError("usage", `seconds is ${seconds}; it must be above 0.`);
  return { seconds: seconds! };
}

/** Whether an evaluation follows this step. */
function due(step: StepReport<Notes>, every: number, lengths: readonly Budget[]): boolean {
  const { phase, inPhase } = step.at;
  const length = lengths[phase]!;
  return (inPhase + 1) % every === 0 || ("steps" in length && inPhase + 1 === length.steps);
}

function measure(
  { engine, environment, evaluation, tokenizer, signal, seed }: TrainOptions,
  reward: Reward<never> | null,
): Promise<Evaluation> {
  const { every: _, ...rest } = evaluation!;
  return evaluate(engine, environment, {
    ...rest,
    seed: rest.seed ?? seed,
    ...(reward && { reward }),
    ...(tokenizer && { tokenizer }),
    ...(signal && { signal }),
  });
}

/** Null for none, or when one of them is not known. */
const largest = (values: readonly (number | null)[]): number | null =>
  values.length === 0 || values.includes(null) ? null : Math.max(...(values as readonly number[]));

const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;

/** The numbers of one step in the form users read. */
function assemble(step: StepReport<Notes>, evaluation: Evaluation | null, watch: ReturnType<typeof healthWatch>): TrainReport {
  const { updates, notes } = step;
  const metrics: Record<string, number> = {};
  for (const name of Object.keys(updates[0]?.metrics ?? {})) metrics[name] = mean(updates.map((u) => u.metrics[name]!));
  const clipped = (side: string): number | undefined => Object.entries(metrics).find(([name]) => name.split(".").at(-1) === side)?.[1];
  const low = clipped("clipLow");
  const high = clipped("clipHigh");
  const { rollouts } = notes;
  const gap = rollouts === null ? null : (updates[0]?.gap ?? null);
  const index = step.at.step + 1;
  const heldOut = evaluation && { mean: evaluation.reward.estimate, low: evaluation.reward.low, high: evaluation.reward.high };
  const findings = rollouts === null ? [] : watch.add({ ...rollouts, index, signal: notes.signal, gap, heldOut });
  return {
    index,
    at: step.at,
    phase: step.phase,
    loss: updates.length === 0 ? null : mean(updates.map((u) => u.loss)),
    gradientNorm: largest(updates.map((u) => u.gradientNorm)),
    learningRate: step.learningRate,
    rollouts,
    reward: rollouts?.reward ?? null,
    groups: rollouts?.groups ?? null,
    kl: rollouts?.kl ?? null,
    entropy: rollouts?.entropy ?? null,
    clip: low === undefined || high === undefined ? null : { region: low + high, low, high },
    gap,
    corrected: notes.corrected,
    again: notes.again,
    metrics,
    seconds: { ...notes.seconds, preparing: step.seconds.prepare, updating: step.seconds.update },
    evaluation,
    findings,
    save: () => step.save(),
  };
}

async function openFolder(directory: string, configuration: { readonly [key: string]: Json }, options: TrainOptions): Promise<RunFolder> {
  // Only runs on disk need a file system.
  const { createRun } = await import("./run-folder.ts");
  const { device, threads } = arraysDevice() ?? { device: "host", threads: 1 };
  return createRun(directory, { configuration, source: options.source ?? {}, seed: options.seed, device, threads });
}

/** Writes a step's numbers, what was noticed, and a few of its answers. */
function record(folder: RunFolder | null, report: TrainReport, keepRollouts: number): void {
  if (folder === null) return;
  const { index, phase, evaluation, rollouts } = report;
  folder.metrics({ step: index, phase, kind: "step", values: metricsOf(report), clock: clockOf(report) });
  if (evaluation !== null)
    folder.metrics({
      step: index,
      phase,
      kind: "evaluation",
      values: { ...evaluationMetrics(evaluation), ...(rollouts && { trainGap: rollouts.reward.mean - evaluation.reward.estimate }) },
      clock: { seconds: evaluation.seconds },
    });
  for (const { sentence } of report.findings) folder.metrics({ step: index, phase, kind: "note", values: {}, text: sentence });
  if (rollouts === null) return;
  // Spread over the step's groups, so that not all are answers to one task.
  const every = Math.max(1, Math.floor(rollouts.drawn.length / Math.max(1, keepRollouts)));
  const kept = rollouts.drawn.filter((_, i) => i % every === 0).slice(0, keepRollouts);
  folder.rollouts(
    kept.map(({ rollout, reward, parts, advantage }) => ({
      step: index,
      phase,
      prompt: typeof rollout.task.prompt === "string" ? rollout.task.prompt : JSON.stringify(rollout.task.prompt),
      completion: rollout.turns === undefined ? (rollout.completion ?? "") : JSON.stringify(rollout.turns),
      reward,
      parts,
      advantage,
      stop: rollout.stop,
      group: rollout.group,
    })),
  );
}

const clockOf = ({ seconds, rollouts }: TrainReport): Record<string, number> => {
  const total = seconds.preparing + seconds.updating;
  return {
    seconds: total,
    "seconds/updating": seconds.updating,
    ...(rollouts && { "seconds/sampling": seconds.sampling, "seconds/scoring": seconds.scoring }),
  };
};
