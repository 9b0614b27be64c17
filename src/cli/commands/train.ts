import { existsSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { GuerdonError } from "../../error.ts";
import { chanceOf, compareJob, runJob, type JobEvent, type JobResult, type PartResult } from "../../training/job.ts";
import type { Job, JobOptions } from "../../training/index.ts";
import { command } from "../command.ts";
import { interruptible } from "../interrupt.ts";
import { comparisonText, header, jobScreen, jobSettings, resultText } from "../job-screen.ts";
import { defaultThreads, findJob, makeJob, partsOf } from "../jobs.ts";
import { loadedFiles } from "../load-module.ts";
import type { Screen } from "../screen.ts";
import { flatten } from "../settings.ts";

export interface TrainCommand {
  readonly seed?: number;
  readonly steps?: number;
  readonly evaluateEvery?: number;
  /** In place of the job's own. */
  readonly method?: readonly string[];
  readonly directory?: string;
  readonly threads?: number;
  readonly compare?: boolean;
  readonly dryRun?: boolean;
}

export interface ResumeCommand {
  readonly threads?: number;
  readonly compare?: boolean;
}

/** `guerdon train` */
export async function train(screen: Screen, name: string, options: TrainCommand): Promise<number> {
  const { seed = 0, steps, evaluateEvery, method, compare = false, dryRun = false } = options;
  const sizes: JobOptions = { seed, ...(steps === undefined ? {} : { steps }), ...(evaluateEvery === undefined ? {} : { evaluateEvery }) };
  const job = await makeJob(name, { ...sizes, ...(method && { methods: method }) });
  // A folder of its own: the warm-up's record says how the whole job is started again.
  const directory = options.directory ?? join("runs", [job.name, ...(method ?? []), seed].join("-"));
  const begun = partsOf(directory)[0]?.manifest.threads;
  const threads = options.threads ?? begun ?? defaultThreads(job);
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
export async function resume(screen: Screen, run: string, options: ResumeCommand): Promise<number> {
  const { job, directory, parts } = await findJob(run);
  const compare = options.compare ?? job.rivals.some(({ id }) => existsSync(join(directory, id)));
  return work(screen, job, { directory, threads: options.threads ?? parts[0]!.manifest.threads, compare });
}

interface Work {
  readonly directory: string;
  readonly threads: number;
  readonly compare: boolean;
}

/** Runs a job (and its rivals) on the screen, to its end or until Ctrl-C. */
async function work(screen: Screen, job: Job, { directory, threads, compare }: Work): Promise<number> {
  if (compare) checkThreads(job, directory, threads);
  const chance = chanceOf(job);
  header(screen, job, directory);
  screen.say(screen.style("dim", `  on ${threads === 1 ? "one thread" : `${threads} threads`}. Ctrl-C stops and saves`));
  warnOfChanges(screen, directory);
  const show = jobScreen(screen, chance);
  try {
    await interruptible(screen, "Stopping after this step, then saving", async (signal) => {
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
        if (job.rivals.length > 0) screen.say(`Other methods   ${command} resume ${directory} --compare`);
      }
    });
    return 0;
  } catch (cause) {
    screen.status(null);
    if (!(cause instanceof GuerdonError) || cause.code !== "interrupted") throw cause;
    screen.say();
    const saved = partsOf(directory).length > 0;
    screen.say(
      saved
        ? `Stopped and saved. Go on with: ${command} resume ${directory}${compare ? " --compare" : ""}`
        : "Stopped before there was anything to save.",
    );
    if (screen.json) screen.result("", { interrupted: true, directory });
    return 130;
  }
}

/** A file that changed since the run began, say a reward: what is done is not done again, so the numbers would be those of the old one. */
function warnOfChanges(screen: Screen, directory: string): void {
  const [first] = partsOf(directory)
    .map(({ manifest }) => Date.parse(manifest.started))
    .toSorted((a, b) => a - b);
  if (first === undefined) return;
  const changed = loadedFiles().filter((path) => statSync(path).mtimeMs > first);
  if (changed.length > 0)
    screen.say(
      `  ${screen.style("yellow", "!")} ${changed.map((path) => relative("", path)).join(", ")} changed after this run had begun, and what is done is not done again. To train anew: --directory with another folder, or remove ${directory}`,
    );
}

/**
 * The comparison gives every method the contender's seconds, so all of them have to run on as many threads.
 *
 * @throws GuerdonError "usage" when the contender ran on another number
 */
function checkThreads({ contender }: Job, directory: string, threads: number): void {
  const ran = partsOf(directory).find(({ part }) => part === contender.id)?.manifest.threads;
  if (ran !== undefined && ran !== threads)
    throw new GuerdonError(
      "usage",
      `${join(directory, contender.id)} was trained on ${ran} ${ran === 1 ? "thread" : "threads"}, and equal seconds mean equal work only on as many: say --threads ${ran}`,
    );
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
