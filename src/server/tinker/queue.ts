import { Refused } from "./refused.ts";
import type { Futures, Outcome } from "./futures.ts";
import type { Source } from "./turns.ts";

/** A request that was taken: its future, and what is to be done. It tells the future's outcome and does not throw. */
export interface Work {
  readonly future: string;
  readonly run: () => Promise<Outcome>;
  /** What it holds while it waits. */
  readonly bytes: number;
}

export interface QueueLimits {
  /** Requests that wait at most. */
  readonly waiting: number;
}

/** A request as the queue sees it. */
export interface Numbered {
  /** Null: runs as soon as it can. */
  readonly seq: number | null;
  /** It changes nothing of what was trained, so that it needs no number. */
  readonly isNeutral?: boolean;
  /** Two requests of one number are the same request where these are equal. */
  readonly digest: string;
}

export interface Queue extends Source {
  /**
   * Takes a request, or recognises one that it has already: then the future is that of the first time.
   *
   * @throws Refused 409 for another request under a number that is taken, or one whose result is not kept; 429 when too many wait
   */
  add(request: Numbered, make: () => Work): string;
  /** The number that runs next. */
  readonly position: number;
  /** Whether every request so far had a number: then the number says how far the model has come. */
  readonly isNumbered: boolean;
  /** Requests that wait or run. */
  readonly size: number;
  /** What they hold. */
  readonly bytes: number;
  /** Empties it for good; returns the futures that will not come. */
  clear(): readonly string[];
}

/** How many numbers back a repeated request is recognised. */
const REMEMBERED = 4096;

/**
 * A model's requests. Those with numbers run in the order of the numbers, from `first` on without a gap, whatever order they arrive in, and
 * each once: a repeated one, after a broken connection for instance, gets the future that it got before.
 */
export function queue(first: number, limits: QueueLimits, futures: Pick<Futures, "settle" | "has">): Queue {
  const known = new Map<number, { readonly digest: string; readonly future: string }>();
  const numbered = new Map<number, Work>();
  const unnumbered: { readonly work: Work; readonly isNeutral: boolean }[] = [];
  let next = first;
  let running = false;
  let isNumbered = true;
  let bytes = 0;

  return {
    get position() {
      return next;
    },
    get isNumbered() {
      return isNumbered;
    },
    get size() {
      return numbered.size + unnumbered.length + (running ? 1 : 0);
    },
    get bytes() {
      return bytes;
    },
    add({ seq, digest, isNeutral = false }, make) {
      if (seq !== null) {
        const before = known.get(seq);
        if (before && before.digest !== digest) throw new Refused(409, `Request ${seq} of this model was another one.`);
        if (before && futures.has(before.future)) return before.future;
        // It must not run twice.
        if (before || seq < next)
          throw new Refused(409, `Request ${seq} of this model has run, and its result is no longer kept; the next number is ${next}.`);
      }
      // The one that others wait for is always taken.
      if (numbered.size + unnumbered.length >= limits.waiting && seq !== next && !isNeutral)
        throw new Refused(429, `${limits.waiting} requests of this model wait already; send this one later.`);
      const work = make();
      bytes += work.bytes;
      if (seq === null) {
        unnumbered.push({ work, isNeutral });
        return work.future;
      }
      numbered.set(seq, work);
      known.set(seq, { digest, future: work.future });
      // Seldom, since it looks at all of them: numbers need not come in order.
      if (known.size > 2 * REMEMBERED + limits.waiting) for (const old of known.keys()) if (old < next - REMEMBERED) known.delete(old);
      return work.future;
    },
    next() {
      if (running) return null;
      const free = unnumbered.shift();
      const work = free?.work ?? numbered.get(next);
      if (!work) return null;
      if (!free) numbered.delete(next);
      running = true;
      return async () => {
        const outcome = await work.run();
        if (!free) next++;
        else if (!free.isNeutral) isNumbered = false;
        running = false;
        bytes -= work.bytes;
        futures.settle(work.future, outcome);
      };
    },
    clear() {
      const left = [...numbered.values(), ...unnumbered.splice(0).map(({ work }) => work)];
      numbered.clear();
      known.clear();
      for (const work of left) bytes -= work.bytes;
      return left.map(({ future }) => future);
    },
  };
}
