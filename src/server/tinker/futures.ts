import { randomUUID } from "node:crypto";
import { Refused } from "./refused.ts";

/** What became of a request. A result that numbers make up has a second form beside JSON. */
export type Outcome =
  | { readonly json: () => unknown; readonly protobuf?: () => Uint8Array; readonly bytes: number }
  | { readonly failed: string; readonly user: boolean };

export interface FutureLimits {
  /** How long an outcome is kept, and how much of them at most: the oldest goes first. */
  readonly keepMs: number;
  readonly keepCount: number;
  readonly keepBytes: number;
}

/** Outcomes that are fetched later, by an id. */
export interface Futures {
  /** A new id, which is pending. */
  open(): string;
  settle(id: string, outcome: Outcome): void;
  /**
   * The outcome, or null where there is none after so long.
   *
   * @throws Refused 404 for an id that no server gave; 410 for one whose outcome is no longer kept, or that went with an earlier run
   */
  wait(id: string, ms: number, signal?: AbortSignal): Promise<Outcome | null>;
  /** Whether the id is pending or its outcome is kept. */
  has(id: string): boolean;
  readonly pending: number;
  close(): void;
}

/** Something to say about an outcome beside its numbers. */
const overhead = 200;

export function futures({ keepMs, keepCount, keepBytes }: FutureLimits): Futures {
  const run = randomUUID();
  const pending = new Map<string, Set<(outcome: Outcome | null) => void>>();
  const kept = new Map<string, { readonly outcome: Outcome; readonly at: number; readonly bytes: number }>();
  let next = 0;
  let bytes = 0;
  const forget = (): void => {
    const now = performance.now();
    for (const [id, one] of kept) {
      if (kept.size <= keepCount && bytes <= keepBytes && now - one.at <= keepMs) return;
      bytes -= one.bytes;
      kept.delete(id);
    }
  };
  const sweep = setInterval(forget, Math.min(keepMs, 10_000));
  sweep.unref();

  return {
    open() {
      const id = `${run}-${next++}`;
      pending.set(id, new Set());
      return id;
    },
    settle(id, outcome) {
      const waiters = pending.get(id);
      if (!waiters) return;
      pending.delete(id);
      const size = overhead + ("failed" in outcome ? outcome.failed.length : outcome.bytes);
      kept.set(id, { outcome, at: performance.now(), bytes: size });
      bytes += size;
      for (const tell of waiters) tell(outcome);
      forget();
    },
    has: (id) => pending.has(id) || kept.has(id),
    get pending() {
      return pending.size;
    },
    async wait(id, ms, signal) {
      const found = kept.get(id);
      if (found) return found.outcome;
      const waiters = pending.get(id);
      if (!waiters) throw missing(id);
      return new Promise((resolve) => {
        const end = (outcome: Outcome | null): void => {
          clearTimeout(timer);
          waiters.delete(end);
          signal?.removeEventListener("abort", stop);
          resolve(outcome);
        };
        const stop = (): void => end(null);
        const timer = setTimeout(stop, ms);
        waiters.add(end);
        signal?.addEventListener("abort", stop);
      });
    },
    close() {
      clearInterval(sweep);
      for (const waiters of pending.values()) for (const tell of waiters) tell(null);
    },
  };

  function missing(id: string): Refused {
    const match = /^([0-9a-f-]{36})-(\d{1,15})$/.exec(id);
    if (!match || (match[1] === run && Number(match[2]) >= next)) return new Refused(404, "There is no such request.");
    return match[1] === run
      ? new Refused(410, "The result of this request is no longer kept.")
      : new Refused(410, "This request went with an earlier run of the server: send it again.");
  }
}
