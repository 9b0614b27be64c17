import { existsSync, statSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { localEngine, type LocalEngine, type TinkerEngine } from "../engines/index.ts";
import type { PromptsOptions, TextEnvironment } from "../environments/index.ts";
import { GuerdonError } from "../error.ts";
import { readModel, type TextSequence, type Tokenizer, type TransformerPolicy } from "../policies/index.ts";
import type { Snapshot } from "../statistics/snapshot.ts";
import { jobEngine } from "../training/job.ts";
import type { Job } from "../training/index.ts";
import { checkpointOf } from "../training/runs/read.ts";
import { mustExist, runFolder } from "./folders.ts";
import { defaultThreads, findJob, type FoundJob } from "./jobs.ts";
import { openService, refuseReach, serviceOf, type ServiceReach } from "./service.ts";

type ModelEngine = LocalEngine<TextSequence> & { readonly policy: TransformerPolicy };

/** A policy with its weights, on this machine or on the training service that has them, ready to be asked. */
export interface LoadedPolicy {
  /** What was loaded, for people: "runs/countdown-0/grpo, step 250". */
  readonly name: string;
  readonly engine: ModelEngine | TinkerEngine;
  readonly tokenizer: Tokenizer;
  /** The job that it was trained by; null for a model folder. */
  readonly job: Job | null;
}

/** A policy whose weights are on this machine. */
interface LoadedModel extends LoadedPolicy {
  readonly engine: ModelEngine;
}

/** As `checkpointOf` takes it. */
export type CheckpointChoice = "latest" | "best" | number;

export interface LoadOptions extends ServiceReach {
  readonly checkpoint: CheckpointChoice;
  readonly threads?: number;
}

/**
 * Loads a policy from a run's folder, a job's folder (then the trained method, or the warm-up when that is all there is) or a model's.
 *
 * @throws GuerdonError "input" when there is nothing to load
 */
export async function loadPolicy(given: string, { checkpoint, threads, ...reach }: LoadOptions): Promise<LoadedPolicy> {
  const path = runFolder(given);
  if (isModel(path)) {
    refuseReach(path, reach);
    return modelAt(path, checkpoint, threads);
  }
  const found = await findCheckpoint(path, checkpoint);
  const service = serviceOf(found, reach);
  if (service === null) return restoredHere(found, threads);
  if (threads !== undefined) throw new GuerdonError("usage", `--threads: the policy of ${path} is on a training service`);
  const engine = await restored(found, await openService(service, found.job));
  return { name: `${found.name} on the service at ${service.baseUrl}`, engine, tokenizer: engine.policy.tokenizer, job: found.job };
}

/**
 * As `loadPolicy`, for whoever needs the weights themselves.
 *
 * @throws GuerdonError "unsupported" when a training service has them
 */
export async function loadModel(given: string, checkpoint: CheckpointChoice): Promise<LoadedModel> {
  const path = runFolder(given);
  if (isModel(path)) return modelAt(path, checkpoint, undefined);
  const found = await findCheckpoint(path, checkpoint);
  const service = serviceOf(found, {});
  if (service === null) return restoredHere(found, undefined);
  const { path: address } = found.snapshot.json as { readonly path: string };
  throw new GuerdonError(
    "unsupported",
    `${found.name} is an adapter that the service at ${service.baseUrl} has as ${address}: take it from there, where \`guerdon serve --engine\` keeps it in the folder of --data as peft reads it`,
  );
}

const isModel = (path: string): boolean => existsSync(join(path, "config.json")) && !existsSync(join(path, "run.json"));

async function modelAt(path: string, checkpoint: CheckpointChoice, threads: number | undefined): Promise<LoadedModel> {
  if (checkpoint !== "latest") throw new GuerdonError("usage", `--checkpoint ${checkpoint}: ${path} is a model, and runs have checkpoints`);
  const { policy, parameters } = await readModel(path);
  const engine = await localEngine({ policy, parameters, seed: 0, ...(threads === undefined ? {} : { threads }) });
  return { name: path, engine: engine as ModelEngine, tokenizer: policy.tokenizer, job: null };
}

interface FoundCheckpoint extends FoundJob {
  readonly name: string;
  /** Of the engine. */
  readonly snapshot: Snapshot;
}

async function findCheckpoint(path: string, checkpoint: CheckpointChoice): Promise<FoundCheckpoint> {
  const found = await findJob(path);
  const { job, parts } = found;
  for (const id of [job.contender.id, ...parts.map(({ part }) => part)]) {
    const part = parts.find((one) => one.part === id);
    const saved = part === undefined ? null : checkpointOf(part.directory, checkpoint);
    if (part !== undefined && saved !== null)
      return { ...found, name: `${part.directory}, step ${saved.step}`, snapshot: saved.snapshots["engine"]! };
  }
  throw new GuerdonError("input", `${path} has no checkpoint yet`);
}

async function restoredHere(found: FoundCheckpoint, threads: number | undefined): Promise<LoadedModel> {
  const { name, job } = found;
  const engine = await restored(found, await jobEngine(job, { threads: threads ?? defaultThreads(job) }));
  return { name, engine, tokenizer: engine.policy.tokenizer, job };
}

async function restored<E extends ModelEngine | TinkerEngine>({ snapshot }: FoundCheckpoint, engine: E): Promise<E> {
  try {
    await engine.restore(snapshot);
    return engine;
  } catch (cause) {
    await engine.dispose();
    throw cause;
  }
}

/** Which columns of a file hold what: "reference=answer", or "prompt=question,reference=answer,split=part". */
export type ColumnNames = NonNullable<PromptsOptions["columns"]>;

/** An environment to measure on that was named on the command line. */
export interface NamedEnvironment {
  readonly environment: TextEnvironment;
  /** What its test tasks are: "held-out tasks" or just "tasks". */
  readonly tasks: string;
  /** What the columns of a file were taken for: a guess must be seen. */
  readonly recognised?: string;
}

/**
 * An environment by the name of a built-in job, or from a file (JSONL, CSV, Parquet) of prompts and references. Of a file all rows are tasks to measure
 * on, unless `columns.split` names the column that says which are.
 */
export async function environmentBy(name: string, columns: ColumnNames = {}): Promise<NamedEnvironment> {
  const { countdown, prompts, sorting } = await import("../environments/index.ts");
  const built: Readonly<Record<string, () => TextEnvironment>> = { countdown, sorting };
  if (Object.hasOwn(built, name)) return { environment: built[name]!(), tasks: "held-out tasks" };
  if (existsSync(name) && statSync(name).isFile()) {
    if (columns.split === undefined) {
      const file = await prompts(name, { columns, testShare: 1 });
      return { environment: file, tasks: "tasks", recognised: file.recognised.replace(/; \d+ training and \d+ test tasks$/, "") };
    }
    const file = await prompts(name, { columns });
    return { environment: file, tasks: "held-out tasks", recognised: file.recognised };
  }
  if (extname(name) !== "") mustExist(name);
  const { didYouMean } = await import("./suggest.ts");
  throw new GuerdonError(
    "usage",
    `there is no environment ${basename(name)}.${didYouMean(name, Object.keys(built))} Built in are ${Object.keys(built).join(" and ")}; anything else is a file: JSONL, CSV or Parquet`,
  );
}
