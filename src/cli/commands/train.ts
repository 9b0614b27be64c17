import { existsSync } from "node:fs";
import { join } from "node:path";
import { GuerdonError } from "../../error.ts";
import { chanceOf, compareJob, runJob, type JobEvent, type JobResult, type PartResult } from "../../training/job.ts";
import type { Job, JobOptions } from "../../training/index.ts";
import { interruptible } from "../interrupt.ts";
import { comparisonText, header, jobScreen, jobSettings, resultText } from "../job-screen.ts";
import { command, defaultThreads, findJob, makeJob } from "../jobs.ts";
import type { Screen } from "../screen.ts";
import { flatten } from "../settings.ts";

export interface TrainCommand {
  readonly seed?: number;
  readonly steps?: number;
  readonly directory?: string;
  readonly threads?: number;
  readonly compare?: boolean;
  readonly dryRun?: boolean;
}

/** `guerdon train` */
export async function train(screen: Screen, name: string, options: TrainCommand): Promise<number> {
  const { seed = 0, steps, compare = false, dryRun = false } = options;
  const sizes: JobOptions = { seed, ...(steps === undefined ? {} : { steps }) };
  const job = await makeJob(name, sizes);
  const directory = options.directory ?? join("runs", `${job.name}-${seed}`);
  const threads = options.threads ?? defaultThreads(job);
  if (dryRun) {
    const settings = { ...jobSettings(job), directory, threads };
    screen.result(
      flatten(settings)
        .map(([key, value]) => `${key}: ${value}`)
        .join("\n"),
      settings,
    );
    return 0;
  }
  return work(screen, job, { directory, threads, compare });
}

/** `guerdon resume` */
export async function resume(screen: Screen, run: string, { threads }: { readonly threads?: number }): Promise<number> {
  const { job, directory, parts } = await findJob(run);
  const compare = job.rivals.some(({ id }) => existsSync(join(directory, id)));
  return work(screen, job, { directory, threads: threads ?? parts[0]!.manifest.threads, compare });
}

interface Work {
  readonly directory: string;
  readonly threads: number;
  readonly compare: boolean;
}

/** Runs a job (and its rivals) on the screen, to its end or until Ctrl-C. */
async function work(screen: Screen, job: Job, { directory, threads, compare }: Work): Promise<number> {
  const chance = chanceOf(job);
  header(screen, job, directory);
  screen.say(
    screen.style(
      "dim",
      `  on ${threads === 1 ? "one thread, which repeats bit by bit" : `${threads} threads; one (--threads 1) is slower and repeats bit by bit`}. Ctrl-C stops and saves`,
    ),
  );
  const show = jobScreen(screen, chance);
  try {
    await interruptible(screen, async (signal) => {
      const options = { directory, threads, signal };
      if (compare) {
        const { result, table } = await followed(compareJob(job, options), show);
        report(screen, result, { directory, methods: table });
      } else {
        const result = await followed(runJob(job, options), show);
        report(screen, result, { directory, methods: null });
        screen.say();
        screen.say(`Look again      ${command} runs show ${join(directory, job.contender.id)}`);
        screen.say(`Ask it          ${command} sample ${directory}`);
        if (job.rivals.length > 0)
          screen.say(
            `Other methods   ${command} train ${job.options.file ?? job.name} --seed ${job.seed}${directory === join("runs", `${job.name}-${job.seed}`) ? "" : ` --directory ${directory}`} --compare`,
          );
      }
    });
    return 0;
  } catch (cause) {
    screen.status(null);
    if (!(cause instanceof GuerdonError) || cause.code !== "interrupted") throw cause;
    screen.say();
    screen.say(`Stopped and saved. Go on with: ${command} resume ${directory}`);
    if (screen.json) screen.result("", { interrupted: true, directory });
    return 130;
  }
}

function report(
  screen: Screen,
  result: JobResult,
  { directory, methods }: { readonly directory: string; readonly methods: readonly PartResult[] | null },
): void {
  const text = resultText(screen, result) + (methods === null ? "" : "\n" + comparisonText(screen, result.warmUp, methods, result.chance));
  screen.say();
  screen.result(text, { directory, result, methods });
}

/** Shows events until the generator ends, and gives what it returns. */
async function followed<R>(events: AsyncGenerator<JobEvent, R>, show: (event: JobEvent) => void): Promise<R> {
  for (;;) {
    const next = await events.next();
    if (next.done === true) return next.value;
    show(next.value);
  }
}
