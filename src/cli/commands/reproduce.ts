import { availableParallelism } from "node:os";
import { join } from "node:path";
import { GuerdonError } from "../../error.ts";
import { readRecord, toColumns, writeRecord, type ClaimRecord } from "../../papers/record.ts";
import { runClaims, type ClaimOutcome, type ClaimRun } from "../../papers/run.ts";
import { trialFile, type Trial, type TrialFile } from "../../papers/trials.ts";
import { verdict } from "../../papers/verdict.ts";
import { describeMachine } from "../../training/runs/machine.ts";
import { claimAnswer, claimTable, claimText, type ShownClaim } from "../claim-tables.ts";
import { command } from "../command.ts";
import { interruptible } from "../interrupt.ts";
import { fileUrl, findPaper, inputsOf, slugs, type FoundPaper } from "../papers.ts";
import { progress } from "../progress.ts";
import { duration, type Screen } from "../screen.ts";

export interface ReproduceCommand {
  readonly seeds?: SeedChoice;
  readonly quick?: boolean;
  readonly force?: boolean;
  readonly out?: string;
  readonly processes?: number;
}

/** So many seeds, or those from one to another. */
export type SeedChoice = { readonly count: number } | { readonly from: number; readonly to: number };

/** Seeds below it are for developing. */
const firstThatCounts = 1000;
/** Enough for an interval, also of a claim that gives odd and even seeds different roles. */
const quickSeeds = 4;
const trialFolder = join(".guerdon", "trials");

interface Asked extends FoundPaper {
  readonly inputs: string;
  readonly seeds: readonly number[];
  /** Whether the result may be recorded: fresh seeds, and at least as many as the claim asks for. */
  readonly counts: boolean;
  readonly before: ClaimRecord | null;
}

/** A claim that is run, by this process alone. */
interface Running extends Asked {
  readonly trials: TrialFile;
}

/**
 * `guerdon reproduce`: runs claims and compares what they measure with their thresholds.
 *
 * @returns 1 when a claim does not hold that held before or was not recorded, or when one could not be run; else 0
 */
export async function reproduce(screen: Screen, names: readonly string[], options: ReproduceCommand): Promise<number> {
  const { out = "results", quick = false, force = false, processes = availableParallelism() } = options;
  const asked = await askedFor(names.length > 0 ? names : await slugs(), out, options);
  if (asked.length === 0) screen.say("There are no papers yet.");

  const shown = new Map<string, ShownClaim>();
  const toRun = new Map<ClaimRun, Running>();
  try {
    for (const one of asked) {
      const { paper, inputs, seeds, counts, before } = one;
      if (!force && counts && before?.inputs === inputs && seeds.every((seed) => before.seeds.includes(seed)))
        shown.set(paper.slug, { paper, state: "unchanged", record: before, counts, why: null });
      else {
        const running = { ...one, trials: trialFile(join(trialFolder, paper.slug), inputs) };
        toRun.set(claimRun(running, force), running);
      }
    }
    await runAll(screen, [...toRun.keys()], { processes, force }, (run, outcome) => {
      const running = toRun.get(run)!;
      const claim = judged(running, run, outcome);
      const { paper, record, counts, why } = claim;
      if (record === null) screen.say(`  ${screen.style("red", "✗")} ${why}`);
      else {
        if (counts) writeRecord(out, record);
        running.trials.remove(record.seeds);
        screen.say(
          `  ${marks(screen)[claimAnswer(record, counts)]}  ${paper.slug}, ${run.seeds.length} seeds, ${duration(record.seconds)} of processor time`,
        );
      }
      running.trials.close();
      shown.set(paper.slug, claim);
    });
  } finally {
    for (const { trials } of toRun.values()) trials.close();
  }

  const claims = asked.map(({ paper: { slug } }) => shown.get(slug)!);
  report(screen, claims, names, { out, quick });
  const news = ({ state, record, counts }: ShownClaim, i: number): boolean =>
    state === "failed" || (counts && record?.holds === false && asked[i]!.before?.holds !== false);
  return claims.some(news) ? 1 : 0;
}

/** What the command line asks for, every paper once. */
async function askedFor(names: readonly string[], out: string, { quick = false, ...options }: ReproduceCommand): Promise<readonly Asked[]> {
  const choice: SeedChoice | undefined = quick && options.seeds === undefined ? { from: 0, to: quickSeeds - 1 } : options.seeds;
  const asked = new Map<string, Asked>();
  for (const name of names) {
    const found = await findPaper(name);
    const { slug, claim } = found.paper;
    const seeds = seedsOf(choice, claim.seeds);
    const counts = !quick && seeds.length >= claim.seeds && seeds.every((seed) => seed >= firstThatCounts);
    asked.set(slug, { ...found, inputs: inputsOf(found), seeds, counts, before: readRecord(out, slug) });
  }
  return [...asked.values()];
}

/** With the trials that need not be run: those that an interrupted run finished, and those of a record of the same code. */
function claimRun(one: Running, force: boolean): ClaimRun {
  const { paper, inputs, seeds, before, trials } = one;
  if (force) trials.remove(seeds);
  const recorded = before?.inputs === inputs ? trialsOf(before) : [];
  return {
    paper,
    file: fileUrl(one),
    seeds,
    find: (arm, seed) =>
      force ? undefined : (trials.find(arm, seed) ?? recorded.find((trial) => trial.arm === arm && trial.seed === seed)),
    keep: (trial) => trials.keep(trial),
  };
}

/** Holds what the arms measured against the thresholds. */
function judged(one: Running, run: ClaimRun, outcome: ClaimOutcome): ShownClaim {
  const { paper, inputs, seeds, counts, before, trials } = one;
  const failed = (why: string): ShownClaim => ({ paper, state: "failed", record: null, counts, why });
  if (outcome.kind === "failed") return failed(outcome.why);
  if (counts && inputsOf(one) !== inputs) {
    trials.remove(seeds);
    return failed(`${paper.slug}: its sources changed while it ran, so that nobody knows what was measured: run it again`);
  }
  try {
    const record = recordOf(run, outcome, inputs);
    const state = counts && !record.holds && before?.holds === true ? "no longer" : "ran";
    return { paper, state, record, counts, why: null };
  } catch (cause) {
    // An estimate that cannot be made, say of a metric that no arm measures, ends its own claim only.
    if (!(cause instanceof GuerdonError)) throw cause;
    return failed(`${paper.slug}: ${cause.message}`);
  }
}

function seedsOf(choice: SeedChoice | undefined, least: number): readonly number[] {
  const { from, to } =
    choice === undefined || "count" in choice ? { from: firstThatCounts, to: firstThatCounts + (choice?.count ?? least) - 1 } : choice;
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** The trials of a record, each with its share of the time. */
function trialsOf({ arms, seeds, seconds }: ClaimRecord): readonly Trial[] {
  const share = seconds / (Object.keys(arms).length * seeds.length);
  return Object.entries(arms).flatMap(([arm, columns]) =>
    seeds.map((seed, i) => {
      const measured = Object.fromEntries(Object.entries(columns).map(([metric, values]) => [metric, values[i]!]));
      return { arm, seed, seconds: share, measured };
    }),
  );
}

async function runAll(
  screen: Screen,
  claims: readonly ClaimRun[],
  { processes, force }: { readonly processes: number; readonly force: boolean },
  onClaim: (claim: ClaimRun, outcome: ClaimOutcome) => void,
): Promise<void> {
  if (claims.length === 0) return;
  const total = claims.reduce((sum, { paper, seeds }) => sum + Object.keys(paper.claim.arms).length * seeds.length, 0);
  const of = claims.length === 1 ? claims[0]!.paper.slug : `${claims.length} claims`;
  screen.say(screen.style("bold", `${of}: ${total} trials on ${processes} ${processes === 1 ? "core" : "cores"}`));
  let left = 0;
  const show = progress(screen, { name: "trials", total, unit: "trials", left: () => left });
  const stopping = force
    ? "Stopping; --force begins anew each time"
    : "Stopping; finished trials are kept: the same line goes on from here";
  await interruptible(screen, stopping, (signal) =>
    runClaims(claims, {
      processes,
      signal,
      onProgress(now) {
        left = now.left;
        show(total - now.open);
      },
      onClaim,
    }),
  ).finally(() => screen.status(null));
}

const marks = (screen: Screen) => ({
  yes: screen.style("green", "✓ holds"),
  NO: screen.style("red", "✗ does not hold"),
  open: screen.style("yellow", "? open"),
});

function recordOf({ paper, seeds }: ClaimRun, outcome: ClaimOutcome & { readonly kind: "measured" }, inputs: string): ClaimRecord {
  const { slug, title, claim } = paper;
  const { holds, checks, refuted } = verdict(paper, outcome.results);
  const { versions, platform, cpu, cores } = describeMachine();
  return {
    format: "guerdon-claim",
    version: 1,
    slug,
    title,
    label: claim.label,
    statement: claim.statement,
    holds,
    checks,
    refuted,
    method: claim.method,
    baseline: claim.baseline,
    mustFail: claim.mustFail,
    seeds,
    arms: toColumns(outcome.results),
    seconds: outcome.seconds,
    allowedSeconds: claim.seconds,
    written: new Date().toISOString(),
    versions: { guerdon: versions.guerdon, node: versions.node },
    machine: { platform, cpu, cores },
    inputs,
  };
}

function report(
  screen: Screen,
  claims: readonly ShownClaim[],
  names: readonly string[],
  { out, quick }: { readonly out: string; readonly quick: boolean },
): void {
  // All checks where they fit on a screen, else those of claims that do not hold.
  const detailed = claims.filter(({ record, counts }) => record !== null && (claims.length <= 3 || claimAnswer(record, counts) === "NO"));
  const parts = [
    ...detailed.map(({ paper, record, counts }) => claimText(screen, paper, record!, counts)),
    ...(claims.length > 0 ? [claimTable(claims)] : []),
  ];
  const fresh = claims.filter(({ state, counts }) => counts && (state === "ran" || state === "no longer"));
  const uncounted = claims.some(({ state, counts }) => !counts && state !== "failed");
  const open = claims.some(({ record, counts }) => record !== null && claimAnswer(record, counts) === "open");
  screen.say();
  screen.result(parts.join("\n\n"), {
    claims: claims.map(({ paper, state, record, counts, why }) => ({ slug: paper.slug, state, counts, why, record })),
  });
  for (const { paper, state } of claims)
    if (state === "no longer") screen.say(screen.style("red", `${paper.slug} held before, and does not any more.`));
  const unchanged = claims.filter(({ state }) => state === "unchanged").length;
  if (unchanged > 0)
    screen.say(`${unchanged} unchanged since ${unchanged === 1 ? "its" : "their"} last run: not run again (--force runs anyway).`);
  if (fresh.length > 0) screen.say(`written: ${fresh.map(({ paper }) => join(out, `${paper.slug}.json`)).join(", ")}`);
  if (open) screen.say("open: an interval reaches its threshold, and so few seeds cannot tell on which side the truth is.");
  if (uncounted)
    screen.say(
      quick
        ? `A quick look with seeds for developing: it does not count, and nothing was written. What counts: ${command} reproduce${names.map((name) => ` ${name}`).join("")}`
        : `This does not count, and nothing was written: what counts has seeds from ${firstThatCounts}, at least as many as the claim asks for.`,
    );
}
