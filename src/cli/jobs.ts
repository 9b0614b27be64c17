import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join, relative, resolve } from "node:path";
import { GuerdonError } from "../error.ts";
import { parameterShapes } from "../policies/index.ts";
import type { Json } from "../statistics/snapshot.ts";
import { jobs, withMethods, type Job, type JobOptions, type Method } from "../training/index.ts";
import { readManifest, type RunManifest } from "../training/run-folder.ts";
import { runFolders } from "../training/runs/read.ts";
import { command } from "./command.ts";
import { runFolder } from "./folders.ts";
import { loadExport } from "./load-module.ts";
import { methodNames, paperMethod } from "./papers.ts";
import { didYouMean } from "./suggest.ts";

const isFile = (name: string): boolean => /\.(ts|mts|js|mjs)$/.test(name);

/** What a configuration file exports: a function from options to a job, as \`defineJob\` returns it. */
type MakeJob = (options: JobOptions) => Job;

/** A job's options, and what it is to be trained with in place of its own method: rivals of the job or papers, by name. */
export type JobChoice = JobOptions & { readonly methods?: readonly string[] };

/**
 * A job by its name or from a configuration file.
 *
 * @throws GuerdonError "usage" for an unknown name, of a job or of a method, "input" for a file that does not hold a job
 */
export async function makeJob(name: string, { methods, ...options }: JobChoice): Promise<Job> {
  const job = await ownJob(name, options);
  if (methods === undefined) return job;
  const own = [job.contender, ...job.rivals];
  const chosen: Record<string, Method> = {};
  for (const wanted of methods) {
    const method = own.find(({ id }) => id === wanted)?.method ?? (await paperMethod(wanted, job));
    if (method === null) {
      const known = [...own.map(({ id }) => id), ...(await methodNames())];
      throw new GuerdonError(
        "usage",
        `there is no method ${wanted} for ${job.name}.${didYouMean(wanted, known)} There are: ${known.join(", ")}`,
      );
    }
    chosen[wanted] = method;
  }
  return { ...withMethods(job, chosen), options: { ...job.options, methods } };
}

async function ownJob(name: string, options: JobOptions): Promise<Job> {
  const own = Object.hasOwn(jobs, name) ? jobs[name] : undefined;
  if (own !== undefined) return own(options);
  if (!isFile(name)) {
    const files = readdirSync(".").filter(isFile);
    throw new GuerdonError(
      "usage",
      `there is no job ${name}.${didYouMean(name, [...Object.keys(jobs), ...files])} Built in are ${Object.keys(jobs).join(" and ")}; anything else is a configuration file that ends in .ts`,
    );
  }
  const exported = await loadExport(name);
  if (typeof exported !== "function")
    throw new GuerdonError(
      "input",
      `${name}: the default export must be what defineJob returns; it is ${typeof exported === "object" ? "an object" : `a ${typeof exported}`}`,
    );
  const job = (exported as MakeJob)(options);
  // The file may be JavaScript, or was never type-checked.
  const given = job as {
    readonly environment?: Partial<Job["environment"]>;
    readonly contender?: { readonly method?: Partial<Job["contender"]["method"]> };
  } | null;
  if (typeof given?.environment?.draw !== "function")
    throw new GuerdonError("input", `${name}: the job has no environment with a draw function`);
  if (given.contender?.method?.objective === undefined)
    throw new GuerdonError(
      "input",
      `${name}: the job's method has no objective; make it by grpo({ as: "trl" }) or another method of guerdon/training`,
    );
  return { ...job, options: { ...job.options, file: resolve(name) } };
}

/** Threads that pay for a job: two where there are two and the model has more than about 100,000 weights. */
export function defaultThreads({ model }: Job): number {
  if ("folder" in model) return Math.min(2, availableParallelism());
  const weights = Object.values(parameterShapes(model)).reduce((sum, shape) => sum + shape.reduce((product, n) => product * n, 1), 0);
  return weights > 100_000 ? Math.min(2, availableParallelism()) : 1;
}

/** The parts of a job's folder that are there, by their names. */
export function partsOf(
  directory: string,
): readonly { readonly part: string; readonly directory: string; readonly manifest: RunManifest }[] {
  const folders = existsSync(join(directory, "run.json")) ? [directory] : runFolders(directory);
  return folders.map((path) => ({ part: basename(path), directory: path, manifest: readManifest(path) }));
}

export interface FoundJob {
  readonly job: Job;
  readonly directory: string;
  readonly parts: ReturnType<typeof partsOf>;
  /** The training service that holds the model, where one does. */
  readonly service: Json | undefined;
}

/**
 * The job that a folder belongs to: the folder of a job, or of one of its parts.
 *
 * @throws GuerdonError "input" when it is no job's folder
 */
export async function findJob(given: string): Promise<FoundJob> {
  const path = runFolder(given);
  const isPart = existsSync(join(path, "run.json"));
  const parts = partsOf(path);
  const first = parts[0];
  if (first === undefined) throw new GuerdonError("input", `${path} holds no run. See \`${command} runs list\``);
  const {
    job: name,
    file,
    part,
    service,
    ...options
  } = first.manifest.source as unknown as JobChoice & {
    readonly job?: string;
    readonly file?: string;
    readonly part?: string;
    readonly service?: Json;
  };
  if (name === undefined || part === undefined)
    throw new GuerdonError(
      "unsupported",
      `${path} was not started by this command line but by a program of yours: run that program again to go on with it`,
    );
  // A configuration file is named by its way from the run's folder.
  const definition = file === undefined ? name : relative("", resolve(first.directory, file));
  if (file !== undefined && !existsSync(definition))
    throw new GuerdonError(
      "input",
      `${first.directory} was started from the configuration file ${definition}, which is not there any more: put it back`,
    );
  return { job: await makeJob(definition, options), directory: isPart ? join(path, "..") : path, parts, service };
}
