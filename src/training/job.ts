import { join, relative, resolve } from "node:path";
import { localEngine, type LocalEngine } from "../engines/index.ts";
import { GuerdonError } from "../error.ts";
import { readModel, symbolTokenizer, transformer, type TextSequence, type TransformerPolicy } from "../policies/index.ts";
import { stream } from "../statistics/stream.ts";
import type { Json, Snapshot } from "../statistics/snapshot.ts";
import { evaluate, evaluationTasks, type Evaluation } from "./evaluate.ts";
import type { Contender, Job } from "./recipes.ts";
import type { TrainReport } from "./report.ts";
import { openRun } from "./run-folder.ts";
import { diskFiles, readJson, replace, toJson } from "./runs/files.ts";
import { readRun } from "./runs/read.ts";
import { train, type TextEngine, type TrainOptions } from "./train.ts";

/** The numbers of an evaluation that a table shows. `passN` and `majorityN` are over all `samples`. */
export interface Measured {
  readonly tasks: number;
  readonly samples: number;
  readonly seed: number;
  readonly pass1: number;
  readonly greedy: number;
  readonly passN: number;
  readonly majorityN: number;
  readonly distinct: number;
  /** [k, pass@k] for k = 1, 2, 4, ..., samples: what more samples buy where a verifier picks. */
  readonly passAt: readonly (readonly [k: number, value: number])[];
  /** 95 % intervals of the shares. */
  readonly intervals: { readonly [name in "pass1" | "greedy" | "passN" | "majorityN"]: readonly [low: number, high: number] };
  readonly seconds: number;
}

/** A trained part of a job: the warm-up or a method after it. */
export interface PartResult {
  readonly id: string;
  readonly title: string;
  readonly steps: number;
  /** Seconds of training, without evaluation and checkpoints. */
  readonly seconds: number;
  readonly measured: Measured;
}

export interface JobResult {
  readonly job: string;
  readonly seed: number;
  readonly chance: number | null;
  /** After the warm-up, or of the model as it was given; before reinforcement. */
  readonly before: Measured;
  readonly after: Measured;
  readonly warmUp: PartResult;
  readonly training: PartResult;
}

/** What happens while a job runs, for whoever prints it. */
export type JobEvent =
  /** A part begins or, when `done` is not 0, goes on. Its length is in steps or in seconds. */
  | {
      readonly kind: "part";
      readonly id: string;
      readonly title: string;
      readonly steps: number | null;
      readonly seconds: number | null;
      readonly done: number;
    }
  | { readonly kind: "step"; readonly id: string; readonly report: TrainReport }
  | { readonly kind: "evaluating"; readonly id: string; readonly title: string }
  | { readonly kind: "evaluation"; readonly id: string; readonly title: string; readonly measured: Measured }
  | { readonly kind: "result"; readonly result: JobResult };

export interface RunJobOptions {
  /** The job's folder; each part is a run in a folder of its own inside. What is there already is not done again. */
  readonly directory: string;
  /** Threads of the array library: they change the speed, and no bit of the numbers. Two pay for the built-in jobs. Default 1. */
  readonly threads?: number;
  readonly device?: "wasm" | "webgpu";
  /** What to train in place of the job's own model on this machine, for instance an adapter on a training service. It is disposed in the end. */
  readonly engine?: () => Promise<JobEngine>;
  readonly checkpointSeconds?: number;
  readonly signal?: AbortSignal;
}

/** An engine that a job can train. */
export type JobEngine = Omit<TextEngine, "dispose"> & { dispose(): void | Promise<void> };

/** A fresh engine with a job's model, as it is before any training. */
export async function jobEngine(
  job: Job,
  options: Pick<RunJobOptions, "threads" | "device"> = {},
): Promise<LocalEngine<TextSequence> & { readonly policy: TransformerPolicy }> {
  const { threads, device } = options;
  const { model, seed, environment } = job;
  const start =
    "folder" in model
      ? await readModel(model.folder, { seed, ...(model.lora && { lora: model.lora }) })
      : { policy: transformer(model, { tokenizer: symbolTokenizer(environment.symbols!) }) };
  const engine = await localEngine({ ...start, seed, ...(threads === undefined ? {} : { threads }), ...(device && { device }) });
  return engine as typeof engine & { readonly policy: TransformerPolicy };
}

/**
 * Runs a job: warm-up, evaluation, the contender, evaluation. Each part is a run on disk, so a job that was killed goes on where it was, and
 * one that is finished only reports.
 */
export async function* runJob(job: Job, options: RunJobOptions): AsyncGenerator<JobEvent, JobResult> {
  const engine: JobEngine = await (options.engine ?? (() => jobEngine(job, options)))();
  try {
    const warmUp = yield* warmedUp(job, engine, options);
    const training = yield* trained(job, engine, job.contender, { steps: job.steps }, options);
    const result = await resultOf(job, warmUp, training);
    yield { kind: "result", result };
    return result;
  } finally {
    await engine.dispose();
  }
}

/**
 * Runs a job and then its rivals, each from the job's own warm-up for the seconds that the contender's training took: drawing, scoring and
 * updating count, evaluations and checkpoints do not, and rates fall over those seconds. Programs are compiled within a step, so the
 * contender, who comes first, pays a second or two that its rivals find done.
 *
 * @returns the job's result and one row a method, the contender first
 */
export async function* compareJob(job: Job, options: RunJobOptions): AsyncGenerator<JobEvent, { result: JobResult; table: PartResult[] }> {
  const engine: JobEngine = await (options.engine ?? (() => jobEngine(job, options)))();
  try {
    const warmUp = yield* warmedUp(job, engine, options);
    const start = await engine.snapshot();
    const training = yield* trained(job, engine, job.contender, { steps: job.steps }, options);
    const result = await resultOf(job, warmUp, training);
    yield { kind: "result", result };
    const table = [training];
    for (const rival of job.rivals) {
      await engine.restore(start);
      table.push(yield* trained(job, engine, rival, { seconds: training.seconds }, options));
    }
    return { result, table };
  } finally {
    await engine.dispose();
  }
}

/** What a player without any skill gets on the job's own evaluation tasks; null where it is not known. */
export function chanceOf({ environment, evaluation: { tasks, seed }, chance }: Job): number | null {
  return chance?.(evaluationTasks(environment, "test", seed, tasks), stream(seed, "chance")) ?? null;
}

async function resultOf(job: Job, warmUp: PartResult, training: PartResult): Promise<JobResult> {
  const chance = chanceOf(job);
  return { job: job.name, seed: job.seed, chance, before: warmUp.measured, after: training.measured, warmUp, training };
}

type Length = { readonly steps: number } | { readonly seconds: number };
const warmedUp = (job: Job, engine: JobEngine, options: RunJobOptions): AsyncGenerator<JobEvent, PartResult> =>
  job.warmUp === null
    ? asGiven(job, engine, options)
    : trained(job, engine, { id: "warm-up", ...job.warmUp }, { steps: job.warmUp.steps }, options);

/** Where a job without warm-up starts: the model is measured as it is. The numbers are kept in start.json. */
async function* asGiven(job: Job, engine: JobEngine, { directory, signal }: RunJobOptions): AsyncGenerator<JobEvent, PartResult> {
  const [id, title, path] = ["start", "the model as it is", join(directory, "start.json")];
  if (diskFiles.size(path) !== null) {
    const { part } = readJson(diskFiles, path, "guerdon-start", 1) as unknown as { readonly part: PartResult };
    yield { kind: "evaluation", id, title, measured: part.measured };
    return part;
  }
  yield { kind: "evaluating", id, title };
  const part: PartResult = { id, title, steps: 0, seconds: 0, measured: await measure(job, engine, signal) };
  diskFiles.makeFolder(directory);
  replace(diskFiles, path, toJson({ format: "guerdon-start", version: 1, part }));
  yield { kind: "evaluation", id, title, measured: part.measured };
  return part;
}

const measure = async ({ environment, evaluation, reward }: Job, engine: JobEngine, signal: AbortSignal | undefined): Promise<Measured> =>
  summary(await evaluate(engine, environment, { ...evaluation, ...(reward && { reward }), ...(signal && { signal }) }));

/** One part: trains (or goes on, or only loads the weights when it is done), evaluates, and records the numbers in the run's results. */
async function* trained(
  job: Job,
  engine: JobEngine,
  { id, method, tasksPerStep }: Contender,
  length: Length,
  options: RunJobOptions,
): AsyncGenerator<JobEvent, PartResult> {
  const { environment, reward, seed } = job;
  const { checkpointSeconds, signal } = options;
  const directory = join(options.directory, id);
  const title = method.name;
  const settings: TrainOptions = {
    engine,
    environment,
    method,
    tasksPerStep,
    seed,
    directory,
    // The supervised control sees fresh demonstrations, not the warm-up's again.
    earlierDemonstrations: id === "warm-up" ? 0 : (job.warmUp?.steps ?? 0),
    source: sourceOf(job, id, directory),
    ...length,
    ...(job.evaluation.every !== undefined && id !== "warm-up" && { evaluation: { ...job.evaluation, every: job.evaluation.every } }),
    ...(reward && { reward }),
    ...(checkpointSeconds === undefined ? {} : { checkpointSeconds }),
    ...(signal && { signal }),
  };
  let announced = false;
  let last: Evaluation | null = null;
  for await (const report of train(settings)) {
    if (!announced)
      yield {
        kind: "part",
        id,
        title,
        steps: "steps" in length ? length.steps : null,
        seconds: "seconds" in length ? length.seconds : null,
        done: report.index - 1,
      };
    announced = true;
    last = report.evaluation;
    yield { kind: "step", id, report };
  }
  const known = resultsOf(directory);
  if (known !== null) {
    yield { kind: "evaluation", id, title, measured: known.measured };
    return known;
  }
  yield { kind: "evaluating", id, title };
  // What `train` measured after its last step is this very evaluation.
  const measured = last === null ? await measure(job, engine, signal) : summary(last);
  const run = openRun(directory);
  let result: PartResult;
  try {
    const place = (run.latest?.snapshots["loop"] satisfies Snapshot | undefined)?.json as
      | { readonly step: number; readonly signals: { readonly seconds: number } }
      | undefined;
    if (place === undefined) throw new GuerdonError("internal", `${directory} has no checkpoint after its training.`);
    result = { id, title, steps: place.step, seconds: place.signals.seconds, measured };
    run.results({ part: result as unknown as Json });
  } finally {
    run.close("finished");
  }
  yield { kind: "evaluation", id, title, measured };
  return result;
}

/**
 * How to start a part again, for run.json. A configuration file is named by its way from the part's folder, so that it is found from any
 * working directory, also when a project is moved as a whole.
 */
function sourceOf({ options }: Job, id: string, directory: string): { readonly [key: string]: Json } {
  const { file, ...rest } = options;
  const plain = JSON.parse(JSON.stringify(rest)) as Record<string, Json>;
  return { ...plain, ...(file === undefined ? {} : { file: relative(resolve(directory), file) }), part: id };
}

/** What an earlier call found out about a finished part. */
function resultsOf(directory: string): PartResult | null {
  const results = readRun(directory).results as { readonly part?: PartResult } | null;
  return results?.part ?? null;
}

/** The part of an evaluation that tables show. */
export function summary(evaluation: Evaluation): Measured {
  const { tasks, samples, seed, greedy, pass1, majority, distinct, seconds } = evaluation;
  const all = evaluation.passAt.find(({ k }) => k === samples)?.value;
  if (all === undefined)
    throw new GuerdonError(
      "coverage",
      `pass@${samples} could not be measured: too few tasks have ${samples} scored answers (${evaluation.coverage.text}).`,
    );
  return {
    tasks,
    samples,
    seed,
    pass1: pass1.estimate,
    greedy: greedy.estimate,
    passN: all.estimate,
    majorityN: majority.estimate,
    distinct,
    passAt: evaluation.passAt.map(({ k, value }) => [k, value.estimate]),
    intervals: {
      pass1: [pass1.low, pass1.high],
      greedy: [greedy.low, greedy.high],
      passN: [all.low, all.high],
      majorityN: [majority.low, majority.high],
    },
    seconds,
  };
}
