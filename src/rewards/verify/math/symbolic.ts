import { thisHost } from "../../../data/host.ts";
import { pool, type Pool } from "../../../data/pool.ts";
import type { Verdict } from "./same-answer.ts";
import type { SymbolicJob, SymbolicResult } from "./symbolic-worker.ts";

let shared: Pool<SymbolicJob, SymbolicResult> | null = null;
/** Why no worker could be started: what failed once, such as a package that is not installed, is not tried for every pair. */
let missing: string | null = null;

/** Workers that are started when the first pair needs them, and kept. */
function workers(): Pool<SymbolicJob, SymbolicResult> {
  shared ??= pool({
    start: async () => (await thisHost()).start(new URL("./symbolic-worker.ts", import.meta.url), { kind: "worker", memoryMiB: 512 }),
    size: 2,
  });
  return shared;
}

let started: Promise<void> | null = null;

/** Starts the symbolic stage; once, and it never rejects: without it pairs come back with the reason. */
export function warmSymbolic(): Promise<void> {
  started ??= workers()
    .warm(1)
    .catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      missing = `The symbolic stage could not be started (${why}) It needs: npm install @cortex-js/compute-engine`;
    });
  return started;
}

/** Numbers that keep the library busy for seconds in code that cannot be interrupted, or have more digits than it compares. */
const tower = /\d{17,}|\d{4,}\s*!|!\s*!|\d[eE]\+?\d{4,}|\^\s*\{?\s*\d{4,}|\^[^^]{1,12}\^[^^]{1,12}\^|\d\s*\^\s*\{\s*\d+\s*\^/;

/** Whether the library would only waste time on a text. */
export const isHopeless = (text: string): boolean => text.length > 400 || tower.test(text);

/** Asks the symbolic library in a worker, which is killed after so many milliseconds. Starting the first worker does not count. */
export async function sameSymbolically(answer: string, reference: string, milliseconds: number, signal?: AbortSignal): Promise<Verdict> {
  const left = Math.ceil(milliseconds);
  if (left <= 0) return late;
  if (isHopeless(answer) || isHopeless(reference))
    return { verdict: "cannot say", reason: "undecided", message: "The numbers in them are too large to be compared." };
  await warmSymbolic();
  if (missing !== null) return { verdict: "cannot say", reason: "no symbolic stage", message: missing };
  // The pool reports a job that is too late when its worker is gone, for which native code can make it wait. This pair does not.
  const clock = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<{ readonly kind: "timeout" }>((resolve) => {
    timer = setTimeout(() => {
      resolve({ kind: "timeout" });
      clock.abort();
    }, left);
  });
  const options = { timeoutMs: left, signal: signal ? AbortSignal.any([signal, clock.signal]) : clock.signal };
  const outcome = await Promise.race([workers().run({ answer, reference }, options), expired]);
  clearTimeout(timer);
  switch (outcome.kind) {
    case "done":
      // What nobody can read is not the answer.
      if (outcome.value === "unreadable") return { verdict: "different", stage: "symbolic" };
      if (outcome.value !== null) return { verdict: outcome.value ? "same" : "different", stage: "symbolic" };
      return {
        verdict: "cannot say",
        reason: "undecided",
        message: "The symbolic stage could show neither that they are the same nor that they differ.",
      };
    case "start":
      return {
        verdict: "cannot say",
        reason: "no symbolic stage",
        message: `The symbolic stage could not be started again (${outcome.reason}).`,
      };
    case "threw":
      return { verdict: "cannot say", reason: "undecided", message: `The symbolic stage could not read them: ${outcome.reason}` };
    case "timeout":
    case "aborted":
    case "ended":
    case "memory":
      return late;
  }
}

const late: Verdict = { verdict: "cannot say", reason: "timeout", message: "The comparison did not end within its deadline." };
