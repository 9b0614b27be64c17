import { existsSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { GuerdonError } from "../../error.ts";
import { failureOf } from "../../policies/index.ts";
import { pause } from "../../policies/remote/retry.ts";
import { chanceOf, compareJob, runJob, type JobEvent, type JobResult, type PartResult, type RunJobOptions } from "../../training/job.ts";
import type { Job, JobOptions } from "../../training/index.ts";
import { checkpointOf } from "../../training/runs/read.ts";
import { command } from "../command.ts";
import { interruptible } from "../interrupt.ts";
import { comparisonText, header, jobScreen, jobSettings, resultText } from "../job-screen.ts";
import { defaultThreads, findJob, makeJob, partsOf } from "../jobs.ts";
import { loadedFiles } from "../load-module.ts";
import type { Screen } from "../screen.ts";
import {
  onService,
  openService,
  serviceChoice,
  serviceOf,
  type ServiceChoice,
  type ServiceOptions,
  type ServiceReach,
} from "../service.ts";
import { planJson, planLines, planOf } from "../service-plan.ts";
import { stateTidier } from "../service-states.ts";
import { flatten } from "../settings.ts";

export interface TrainCommand extends ServiceOptions {
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

export interface ResumeCommand extends ServiceReach {
  readonly threads?: number;
  readonly compare?: boolean;
}

/** `guerdon train` */
export async function train(screen: Screen, name: string, options: TrainCommand): Promise<number> {
  const { seed = 0, steps, evaluateEvery, method, compare = false, dryRun = false } = options;
  const sizes: JobOptions = { seed, ...(steps === undefined ? {} : { steps }), ...(evaluateEvery === undefined ? {} : { evaluateEvery }) };
  const defined = await makeJob(name, { ...sizes, ...(method && { methods: method }) });
  const service = serviceChoice(options, defined);
  if (service !== null && options.threads !== undefined) throw new GuerdonError("usage", "--threads goes with --engine local");
  const { job, left } = service === null ? { job: defined, left: null } : onService(defined, service);
  // A folder of its own: the warm-up's record says how the whole job is started again.
  const directory = options.directory ?? join("runs", [job.name, ...(method ?? []), seed].join("-"));
  const begun = partsOf(directory)[0]?.manifest.threads;
  const threads = service === null ? (options.threads ?? begun ?? defaultThreads(job)) : 1;
  if (dryRun) {
    const settings = { ...jobSettings(job), directory, ...(service === null ? { threads } : { service: { ...service }, leftOut: left }) };
    const lines = flatten(settings).map(([key, value]) => `${key}: ${value}`);
    if (service === null) screen.result(lines.join("\n"), settings);
    else {
      const plan = await planOf(job, service);
      for (const [key, value] of planLines(service, plan)) lines.push(`${key}: ${value}`);
      screen.result(lines.join("\n"), { ...settings, plan: planJson(plan) });
      screen.say("Nothing was sent.");
    }
    return 0;
  }
  return work(screen, job, { directory, threads, compare, service, left });
}

/** `guerdon resume` */
export async function resume(screen: Screen, run: string, options: ResumeCommand): Promise<number> {
  const found = await findJob(run);
  const { directory, parts } = found;
  const service = serviceOf(found, options);
  const { job, left } = service === null ? { job: found.job, left: null } : onService(found.job, service);
  const compare = options.compare ?? job.rivals.some(({ id }) => existsSync(join(directory, id)));
  return work(screen, job, { directory, threads: options.threads ?? parts[0]!.manifest.threads, compare, service, left });
}

interface Work {
  readonly directory: string;
  readonly threads: number;
  readonly compare: boolean;
  /** Where the model is, if not here; and what of the job has no place there. */
  readonly service: ServiceChoice | null;
  readonly left: string | null;
}

/** Seconds of work between checkpoints of a run on a service: each is a state that the service keeps. */
const serviceCheckpointSeconds = 60;

/** Runs a job (and its rivals) on the screen, to its end or until Ctrl-C. */
async function work(screen: Screen, job: Job, settings: Work): Promise<number> {
  const { directory, threads, compare, service, left } = settings;
  if (compare) checkThreads(job, directory, threads);
  const chance = chanceOf(job);
  header(
    screen,
    job,
    directory,
    service === null ? null : `${service.model}, an adapter of rank ${service.rank} on the service at ${service.baseUrl}`,
  );
  if (left !== null) screen.say(`  ${screen.style("yellow", "!")} ${left}`);
  const where = service === null ? `on ${threads === 1 ? "one thread" : `${threads} threads`}` : "on a training service";
  screen.say(screen.style("dim", `  ${where}. Ctrl-C stops and saves`));
  warnOfChanges(screen, directory);
  const show = jobScreen(screen, chance);
  let remove: ((path: string) => Promise<void>) | null = null;
  // What is left there costs the service's disk, and this run nothing.
  const warn = (cause: unknown): void => screen.say(`  ${screen.style("yellow", "!")} ${textOf(cause)}`);
  const tidy = stateTidier(directory, async (path) => remove?.(path).catch(warn));
  const open = async (choice: ServiceChoice) => {
    const engine = await openService(choice, job);
    remove = (path) => engine.deleteCheckpoint(path);
    return engine;
  };
  const follow = async (event: JobEvent): Promise<void> => {
    show(event);
    if (service !== null) await tidy().catch(warn);
  };
  try {
    await interruptible(screen, "Stopping after this step, then saving", async (signal) => {
      const options: RunJobOptions = {
        directory,
        threads,
        signal,
        ...(service && { engine: () => open(service), checkpointSeconds: serviceCheckpointSeconds }),
      };
      if (compare) {
        const { result, table } = await persistent(screen, settings, signal, () => followed(compareJob(job, options), follow));
        report(screen, result, { directory, methods: table });
      } else {
        const result = await persistent(screen, settings, signal, () => followed(runJob(job, options), follow));
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

/** Pauses before a run on a service goes on from its last checkpoint; as many in a row without a step between are given up. */
const pauses = [1, 5, 20, 60];

/**
 * Does the work, and goes on from the last checkpoint when a service stops answering or was started anew, as often as steps are made
 * between.
 */
async function persistent<R>(screen: Screen, { service, directory }: Work, signal: AbortSignal, run: () => Promise<R>): Promise<R> {
  let at = -1;
  for (let tries = 0; ; tries++) {
    try {
      return await run();
    } catch (cause) {
      const step = Math.max(-1, ...partsOf(directory).map((part) => checkpointOf(part.directory, "latest")?.step ?? -1));
      if (step > at) [at, tries] = [step, 0];
      const seconds = pauses[tries];
      const ofService = service !== null && cause instanceof GuerdonError && cause.code === "io" && failureOf(cause) !== null;
      if (!ofService || at < 0 || seconds === undefined) throw cause;
      screen.status(null);
      screen.say(`  ${screen.style("yellow", "!")} ${cause.message} Going on from the last checkpoint in ${seconds} s`);
      await pause(1000 * seconds, signal);
    }
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

const textOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/** Hands on events until the generator ends, and gives what it returns. */
async function followed<R>(events: AsyncGenerator<JobEvent, R>, follow: (event: JobEvent) => Promise<void>): Promise<R> {
  for (;;) {
    const next = await events.next();
    if (next.done === true) return next.value;
    await follow(next.value);
  }
}
