import { GuerdonError } from "../error.ts";
import { placeOf } from "./place.ts";
import { quoted, shortened, type ScoreError } from "./grade.ts";

/** What a call to a reward's function came to. */
export type Outcome<T> = { readonly value: T; readonly error?: undefined } | { readonly error: ScoreError };

/** What a reward's function may use beside the answer. */
export interface CallContext {
  /** Aborted at the deadline or by the caller. Pass it to `fetch`. */
  readonly signal: AbortSignal;
  /**
   * Reports what this call has used up, for instance `{ promptTokens: 812, completionTokens: 40, dollars: 0.0003 }`. Amounts are added up
   * over the whole run, also those of calls that fail afterwards.
   */
  readonly spend: (amounts: Readonly<Record<string, number>>) => void;
}

/** Sums of what calls reported with `spend`. */
export type Cost = Readonly<Record<string, number>>;

/** The one way in which the runner calls user code: in a bounded number of slots, with a deadline, again after a failure. */
export interface Calls {
  /** `read` sees what the function returned at once: the function may use its objects again for the next answer. */
  call<R, T>(name: string, work: (context: CallContext) => R | Promise<R>, read: (returned: R) => T): Promise<Outcome<T>>;
}

export interface CallLimits {
  /** Calls under way at the same time. */
  readonly concurrency: number;
  /** Deadline of one try, in milliseconds; Infinity, or more than a timer can wait (24 days), for none. */
  readonly timeoutMs: number;
  /** Further tries after a throw or a timeout, each after a pause that doubles from 100 ms up to a minute. */
  readonly retries: number;
  readonly signal: AbortSignal;
  /** Told what calls spend. */
  readonly onSpend?: (amounts: Cost) => void;
}

/** The longest that a timer can wait; one that is asked for more fires at once. */
const longestTimer = 2 ** 31 - 1;

export function calls({ concurrency, timeoutMs, retries, signal, onSpend }: CallLimits): Calls {
  const slots = semaphore(concurrency);
  let lastBreath = performance.now();
  // Synchronous rewards never wait: without a pause now and then, nothing else in the process would get its turn, an abort included. The
  // slot pauses, not the call that was just made: its outcome is there.
  const giveBack = (): void => {
    if (performance.now() - lastBreath <= 20) return slots.give();
    setTimeout(() => {
      lastBreath = performance.now();
      slots.give();
    });
  };
  return {
    async call<R, T>(name: string, work: (context: CallContext) => R | Promise<R>, read: (returned: R) => T) {
      for (let tries = 1; ; tries++) {
        await slots.take();
        let outcome: Outcome<T>;
        try {
          outcome = signal.aborted
            ? aborted(name)
            : await once(name, (context) => readAtOnce(work(context), read), timeoutMs, signal, onSpend);
        } finally {
          giveBack();
        }
        if (outcome.error === undefined || outcome.error.kind === "aborted") return outcome;
        if (tries > retries)
          return retries === 0 ? outcome : { error: { ...outcome.error, message: `${outcome.error.message} (${tries} tries)` } };
        await pause(Math.min(100 * 2 ** (tries - 1), 60_000), signal);
      }
    },
  };
}

async function once<T>(
  name: string,
  work: (context: CallContext) => T | Promise<T>,
  timeoutMs: number,
  outer: AbortSignal,
  onSpend?: (amounts: Cost) => void,
): Promise<Outcome<T>> {
  // Most rewards are plain synchronous functions that never look at the signal: make one only when asked.
  let controller: AbortController | null = null;
  const context: CallContext = {
    get signal() {
      return (controller ??= new AbortController()).signal;
    },
    spend(amounts) {
      const bad = Object.entries(amounts).find(([, amount]) => !(Number.isFinite(amount) && amount >= 0));
      if (bad !== undefined)
        throw new GuerdonError("usage", `spend: "${bad[0]}" must be a finite number of at least 0, not ${quoted(bad[1])}.`);
      onSpend?.(amounts);
    },
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop: (() => void) | undefined;
  try {
    const returned = work(context);
    if (!isPromise(returned)) return { value: returned };
    const ended = new Promise<Outcome<T>>((resolve) => {
      if (timeoutMs <= longestTimer)
        timer = setTimeout(
          () => resolve({ error: { kind: "timeout", message: `The reward "${name}" gave no answer within ${timeoutMs} ms.` } }),
          timeoutMs,
        );
      stop = () => resolve(aborted(name));
      outer.addEventListener("abort", stop);
    });
    const outcome = await Promise.race([Promise.resolve(returned).then((value): Outcome<T> => ({ value })), ended]);
    if (outcome.error !== undefined) (controller as AbortController | null)?.abort(new Error(outcome.error.message));
    return outcome;
  } catch (cause) {
    return { error: { kind: "threw", message: thrownMessage(`The reward "${name}"`, cause) } };
  } finally {
    clearTimeout(timer);
    if (stop) outer.removeEventListener("abort", stop);
  }
}

const readAtOnce = <T, U>(returned: T | Promise<T>, read: (value: T) => U): U | Promise<U> =>
  isPromise(returned) ? Promise.resolve(returned).then(read) : read(returned);

const isPromise = <T>(value: T | Promise<T>): value is Promise<T> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";

const aborted = (name: string): { readonly error: ScoreError } => ({
  error: { kind: "aborted", message: `Scoring was aborted before the reward "${name}" had answered.` },
});

/** What was thrown, and where in the user's own code. */
export function thrownMessage(who: string, cause: unknown): string {
  const place = placeOf(cause);
  const what = cause instanceof Error ? shortened(cause.message || cause.name, 500) : quoted(cause);
  return `${who} threw${place === null ? "" : ` at ${place}`}: ${what}`;
}

/** Waits, but not beyond an abort. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    if (signal.aborted) done();
    else signal.addEventListener("abort", done);
  });
}

/** At most `size` holders; the others wait in the order in which they came. */
function semaphore(size: number): { take(): Promise<void>; give(): void } {
  let free = size;
  const waiting: ((() => void) | undefined)[] = [];
  let served = 0;
  return {
    take: () => (free > 0 ? (free--, Promise.resolve()) : new Promise((resolve) => waiting.push(resolve))),
    give() {
      const next = waiting[served];
      if (next) {
        waiting[served++] = undefined;
        next();
      } else free++;
    },
  };
}
