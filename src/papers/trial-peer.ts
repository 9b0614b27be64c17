/** A process that runs trials: it loads a paper's file and calls one arm with one seed. */
import { answerJobs } from "../data/peer.ts";
import type { Measured } from "./claim.ts";
import type { Paper } from "./paper.ts";

export interface TrialJob {
  /** The paper's file. */
  readonly file: string;
  readonly arm: string;
  readonly seed: number;
}
export type TrialAnswer = { readonly seconds: number; readonly measured: Measured } | { readonly threw: string };

// Ctrl-C reaches every process of a terminal; the one that started this one ends it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);

answerJobs<TrialJob, TrialAnswer>(async ({ file, arm, seed }) => {
  try {
    const { paper } = (await import(file)) as { readonly paper: Paper };
    const start = process.cpuUsage();
    const measured = await paper.claim.arms[arm]!(seed);
    const { user, system } = process.cpuUsage(start);
    return { seconds: (user + system) / 1e6, measured };
  } catch (cause) {
    return { threw: described(cause) };
  }
});

/** The message and, where it may be a mistake in code, the place. */
function described(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === "GuerdonError") return cause.message;
  const place = cause.stack?.match(/([\w.-]+:\d+):\d+\)?$/m)?.[1];
  return `${cause.name}: ${cause.message}${place === undefined ? "" : ` (${place})`}`;
}
