import { dirname, join } from "node:path";
import { GuerdonError } from "../error.ts";
import { compareJob, runJob, type JobEvent, type JobResult, type Measured, type PartResult, type RunJobOptions } from "./job.ts";
import type { Job, JobOptions } from "./recipes.ts";
import { diskFiles, replace, toJson } from "./runs/files.ts";
import { readManifest, type RunManifest } from "./run-folder.ts";
import type { Machine } from "./runs/machine.ts";

/** An evaluation as the results file has it: `pass16` and `majority16` for 16 samples. */
export type Numbers = Readonly<Record<string, number | readonly [number, number]>>;

/** results/main-job.json: what a fresh run of the main job came to, seed by seed. Written by a command, never by hand. */
export interface MainJobFile {
  readonly format: "guerdon-main-job";
  readonly version: 1;
  readonly job: string;
  /** The sizes that were not the defaults; empty for the full job. */
  readonly options: { readonly [key: string]: string | number | boolean };
  readonly written: string;
  /** Where the first seed ran, with the versions it ran on. */
  readonly machine: Machine;
  readonly threads: number;
  readonly evaluation: { readonly tasks: number; readonly samples: number; readonly seed: number };
  /** What random legal moves with right arithmetic win on the evaluation's tasks. */
  readonly chance: number | null;
  readonly seeds: readonly {
    readonly seed: number;
    /** When this seed's training began and from which commit: seeds that an earlier call finished are not run again. */
    readonly started: string;
    readonly commit: string | null;
    readonly before: Numbers;
    readonly after: Numbers;
    /** Training without evaluation; the evaluations; all of it. */
    readonly seconds: { readonly warmUp: number; readonly training: number; readonly evaluation: number; readonly total: number };
    readonly steps: { readonly warmUp: number; readonly training: number };
  }[];
  /** Methods under equal measured seconds from one warm-up, for the first seed; null when the comparison was not asked for. */
  readonly methods:
    | readonly ({ readonly method: string; readonly seed: number; readonly steps: number; readonly seconds: number } & {
        readonly after: Numbers;
      })[]
    | null;
}

export interface MainJobOptions extends RunJobOptions {
  /** Makes the job for a seed, for instance `countdownJob`. */
  readonly job: (options: JobOptions) => Job;
  readonly seeds: readonly number[];
  /** Also compares the rivals, for the first seed. */
  readonly compare?: boolean;
  /** Where the results go. */
  readonly output: string;
}

/** A job's event, with the seed that it belongs to. */
export type MainJobEvent = JobEvent & { readonly seed: number };

/**
 * Runs the main job for several seeds, each in a folder of its own under `directory`, and writes the results file when all are done. What
 * was finished earlier is not done again.
 *
 * @returns what the file holds
 */
export async function* mainJob(options: MainJobOptions): AsyncGenerator<MainJobEvent, MainJobFile> {
  const { job: make, seeds, compare = false, output } = options;
  if (seeds.length === 0 || new Set(seeds).size < seeds.length)
    throw new GuerdonError("usage", `mainJob needs at least one seed, each once; it got ${seeds.join(", ") || "none"}.`);
  const results: Finished[] = [];
  let table: readonly PartResult[] | null = null;
  for (const [i, seed] of seeds.entries()) {
    const job = make({ seed });
    const own = { ...options, directory: join(options.directory, `seed-${seed}`) };
    if (compare && i === 0) {
      const compared = yield* tagged(compareJob(job, own), seed);
      results.push(finished(job, own.directory, compared.result));
      table = compared.table;
    } else results.push(finished(job, own.directory, yield* tagged(runJob(job, own), seed)));
  }
  const file = mainJobFile(make({ seed: seeds[0]! }), results, table);
  diskFiles.makeFolder(dirname(output));
  replace(diskFiles, output, toJson(file));
  return file;
}

interface Finished {
  readonly result: JobResult;
  readonly manifest: RunManifest;
}

const finished = (job: Job, directory: string, result: JobResult): Finished => ({
  result,
  manifest: readManifest(join(directory, job.contender.id)),
});

async function* tagged<R>(events: AsyncGenerator<JobEvent, R>, seed: number): AsyncGenerator<MainJobEvent, R> {
  for (;;) {
    const next = await events.next();
    if (next.done === true) return next.value;
    yield { ...next.value, seed };
  }
}

/** The results file of finished runs. */
function mainJobFile(job: Job, results: readonly Finished[], table: readonly PartResult[] | null): MainJobFile {
  const { seed: _, job: name, ...options } = job.options;
  const first = results[0]!;
  return {
    format: "guerdon-main-job",
    version: 1,
    job: name,
    options: options as MainJobFile["options"],
    written: new Date().toISOString(),
    machine: first.manifest.machine,
    threads: first.manifest.threads,
    evaluation: job.evaluation,
    chance: first.result.chance,
    seeds: results.map(({ result: { seed, before, after, warmUp, training }, manifest: { started, machine } }) => {
      const evaluation = before.seconds + after.seconds;
      return {
        seed,
        started,
        commit: machine.git?.commit ?? null,
        before: numbers(before),
        after: numbers(after),
        seconds: { warmUp: warmUp.seconds, training: training.seconds, evaluation, total: warmUp.seconds + training.seconds + evaluation },
        steps: { warmUp: warmUp.steps, training: training.steps },
      };
    }),
    methods:
      table &&
      table.map(({ title, steps, seconds, measured }) => ({
        method: title,
        seed: first.result.seed,
        steps,
        seconds,
        after: numbers(measured),
      })),
  };
}

/** The numbers of an evaluation under the names of the results file. */
export function numbers({ samples, pass1, greedy, passN, majorityN, distinct, intervals }: Measured): Numbers {
  return {
    pass1,
    greedy,
    [`pass${samples}`]: passN,
    [`majority${samples}`]: majorityN,
    distinct,
    "pass1/interval": intervals.pass1,
    "greedy/interval": intervals.greedy,
    [`pass${samples}/interval`]: intervals.passN,
    [`majority${samples}/interval`]: intervals.majorityN,
  };
}
