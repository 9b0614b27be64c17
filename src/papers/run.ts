import { thisHost } from "../data/host.ts";
import { pool, type JobOutcome } from "../data/pool.ts";
import { GuerdonError } from "../error.ts";
import type { Measured, Results } from "./claim.ts";
import type { Paper } from "./paper.ts";
import type { TrialAnswer, TrialJob } from "./trial-peer.ts";
import { trialKey, type Trial } from "./trials.ts";

/** A claim that is to be run. */
export interface ClaimRun {
  readonly paper: Paper;
  /** The file that exports it, as a file: URL. */
  readonly file: string;
  readonly seeds: readonly number[];
  /** Trials that need not be run, because they were finished before. */
  readonly find: (arm: string, seed: number) => Trial | undefined;
  /** Called with every finished trial before anything else is done. */
  readonly keep: (trial: Trial) => void;
}

/** What became of a claim: what its arms measured, or why one of them could not be run. */
export type ClaimOutcome =
  | { readonly kind: "measured"; readonly results: Results; readonly seconds: number }
  | { readonly kind: "failed"; readonly why: string };

export interface RunClaimsOptions {
  /** Trials at a time, each in a process of its own that uses one core. */
  readonly processes: number;
  readonly signal?: AbortSignal;
  /** Called at the beginning and after every trial that changes it. */
  readonly onProgress?: (progress: RunProgress) => void;
  /** Called once a claim, as soon as its trials are done or one of them failed. */
  readonly onClaim: (claim: ClaimRun, outcome: ClaimOutcome) => void;
}

export interface RunProgress {
  /** Trials that are still to be run; those of a claim that could not be run are not. */
  readonly open: number;
  /** Seconds until the end, from the times of a claim's own trials so far, and before there are any from the time that it may take. */
  readonly left: number;
}

/** A claim is given up when its trials took so many times what it says: by then something hangs. */
const patience = 10;

/** Claims say their seconds for two cores. */
const coreSeconds = ({ claim }: Paper): number => 2 * claim.seconds;

interface Going {
  readonly run: ClaimRun;
  readonly trials: Map<string, Trial>;
  readonly total: number;
  /** Trials that this call ran, and the seconds by the clock that they took. */
  ran: number;
  spent: number;
  ended: boolean;
}

/**
 * Runs arms and seeds of claims in a pool of processes, claim after claim. A trial that fails ends its claim and no other one.
 *
 * @throws GuerdonError "interrupted" when the signal is aborted; what was finished by then has been kept
 */
export async function runClaims(claims: readonly ClaimRun[], options: RunClaimsOptions): Promise<void> {
  const { processes, signal, onProgress, onClaim } = options;
  const host = await thisHost();
  const trialPeer = new URL("./trial-peer.ts", import.meta.url);
  const peers = pool<TrialJob, TrialAnswer>({ size: processes, start: () => host.start(trialPeer, { kind: "process", trusted: true }) });
  const going = claims.map((run): Going => {
    const names = Object.keys(run.paper.claim.arms);
    const trials = new Map<string, Trial>();
    for (const seed of run.seeds)
      for (const arm of names) {
        const trial = run.find(arm, seed);
        if (trial !== undefined) trials.set(trialKey(arm, seed), trial);
      }
    return { run, trials, total: names.length * run.seeds.length, ran: 0, spent: 0, ended: false };
  });
  const queue = going.flatMap((claim) =>
    claim.run.seeds
      .flatMap((seed) => Object.keys(claim.run.paper.claim.arms).map((arm) => ({ claim, arm, seed })))
      .filter(({ arm, seed }) => !claim.trials.has(trialKey(arm, seed))),
  );

  const end = (claim: Going, outcome: ClaimOutcome): void => {
    if (claim.ended) return;
    claim.ended = true;
    onClaim(claim.run, outcome);
  };
  const progress = (): void => {
    const open = going.filter(({ ended }) => !ended);
    onProgress?.({
      open: open.reduce((sum, { trials, total }) => sum + total - trials.size, 0),
      left:
        open.reduce((sum, { run, trials, total, ran, spent }) => {
          const each = ran > 0 ? spent / ran : coreSeconds(run.paper) / total;
          return sum + (total - trials.size) * each;
        }, 0) / processes,
    });
  };
  const finish = (claim: Going): void => {
    if (claim.trials.size < claim.total || claim.ended) return;
    const unequal = metricsDiffer(claim);
    end(claim, unequal === null ? measured(claim) : { kind: "failed", why: unequal });
  };

  /** Takes trials until there are none left. */
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { claim, arm, seed } = next;
      if (claim.ended) continue;
      const { paper, file, keep } = claim.run;
      const limit = patience * coreSeconds(paper) - claim.spent;
      const start = performance.now();
      const outcome: JobOutcome<TrialAnswer> =
        limit > 0
          ? await peers.run({ file, arm, seed }, { timeoutMs: Math.ceil(1000 * limit), signal })
          : { kind: "timeout", reason: "the time was over" };
      claim.spent += (performance.now() - start) / 1000;
      claim.ran++;
      if (signal?.aborted) return;
      const failure = failureOf(outcome, paper);
      if (failure !== null) {
        end(claim, { kind: "failed", why: `${paper.slug}: the arm "${arm}" with seed ${seed} ${failure}` });
        progress();
      } else if (outcome.kind === "done" && "measured" in outcome.value) {
        const trial = { arm, seed, ...outcome.value };
        keep(trial);
        claim.trials.set(trialKey(arm, seed), trial);
        progress();
        finish(claim);
      }
    }
  };

  try {
    for (const claim of going) finish(claim);
    progress();
    await Promise.all(Array.from({ length: processes }, lane));
  } finally {
    await peers.close();
  }
  if (signal?.aborted) throw new GuerdonError("interrupted", "Stopped.");
}

/** The rest of a sentence about a trial that gave no numbers; null for one that did. */
function failureOf(outcome: JobOutcome<TrialAnswer>, paper: Paper): string | null {
  if (outcome.kind === "timeout")
    return `was stopped: the claim says that it takes ${paper.claim.seconds} s on two cores, and ${patience} times as much was used up`;
  if (outcome.kind !== "done") return `could not be run: ${outcome.reason}`;
  if ("threw" in outcome.value) return `threw ${outcome.value.threw}`;
  const { measured } = outcome.value;
  if (typeof measured !== "object" || measured === null || Object.keys(measured).length === 0)
    return "measured nothing: return numbers by name";
  for (const [name, value] of Object.entries(measured))
    if (!Number.isFinite(value))
      return `measured ${value} as "${name}": only finite numbers count, and a seed that never arrives is its cap`;
  return null;
}

/** A sentence when an arm measured different things with different seeds. */
function metricsDiffer({ run: { paper, seeds }, trials }: Going): string | null {
  for (const arm of Object.keys(paper.claim.arms)) {
    const names = (seed: number): string => Object.keys(trials.get(trialKey(arm, seed))!.measured).join(", ");
    const other = seeds.find((seed) => names(seed) !== names(seeds[0]!));
    if (other !== undefined)
      return `${paper.slug}: the arm "${arm}" measured ${names(seeds[0]!)} with seed ${seeds[0]} and ${names(other)} with seed ${other}`;
  }
  return null;
}

function measured({ run: { paper, seeds }, trials }: Going): ClaimOutcome {
  const of = (arm: string): Measured[] => seeds.map((seed) => trials.get(trialKey(arm, seed))!.measured);
  const arms = Object.fromEntries(Object.keys(paper.claim.arms).map((arm) => [arm, of(arm)]));
  return { kind: "measured", results: { seeds, arms }, seconds: [...trials.values()].reduce((sum, { seconds }) => sum + seconds, 0) };
}
