/** Time as the limiter sees it; tests bring their own. */
export interface Clock {
  /** Milliseconds; only differences count. */
  readonly now: () => number;
  /** Calls back once, after this many milliseconds. */
  readonly after: (milliseconds: number, call: () => void) => void;
}

const clock: Clock = { now: () => performance.now(), after: (milliseconds, call) => void setTimeout(call, milliseconds) };

export interface Limits {
  /** Requests under way at the same time. */
  readonly concurrency: number;
  /** The most requests in any 60 seconds; Infinity for no limit. */
  readonly requestsPerMinute: number;
  /** The most tokens, sent and received, in any 60 seconds; Infinity for no limit. */
  readonly tokensPerMinute: number;
}

/** A request that may go out. */
export interface Turn {
  /** Corrects the estimate of its tokens, once the server has counted them. */
  readonly spent: (tokens: number) => void;
  /** The request is over. */
  readonly end: () => void;
}

export interface Limiter {
  /**
   * Waits for a turn, first come first served. Null when the signal is aborted first.
   * @param tokens an estimate of what the request costs; one that is above the limit by itself waits for an empty minute
   */
  readonly take: (tokens: number, signal?: AbortSignal) => Promise<Turn | null>;
  /** No request goes out for this long: the server has asked for a pause, and means all of them. */
  readonly hold: (milliseconds: number) => void;
}

const minute = 60_000;

/**
 * Bounds how many requests are under way, and how many requests and tokens fall into any 60 seconds (a sliding window over what was
 * admitted, so the bound holds at every moment, not on average).
 */
export function limiter({ concurrency, requestsPerMinute, tokensPerMinute }: Limits, { now, after }: Clock = clock): Limiter {
  interface Waiting {
    readonly tokens: number;
    readonly start: (turn: Turn | null) => void;
  }
  const windowed = requestsPerMinute < Infinity || tokensPerMinute < Infinity;
  const waiting: Waiting[] = [];
  const recent: { readonly at: number; tokens: number }[] = [];
  let active = 0;
  let heldUntil = -Infinity;
  let alarm = Infinity;

  /** How long the next request must wait, given what went out in the last minute. */
  const delay = (tokens: number): number => {
    const time = now();
    if (heldUntil > time) return heldUntil - time;
    while (recent.length > 0 && recent[0]!.at <= time - minute) recent.shift();
    let requests = recent.length;
    let sum = recent.reduce((total, one) => total + one.tokens, 0);
    const admitted = (): boolean => requests === 0 || (requests < requestsPerMinute && sum + tokens <= tokensPerMinute);
    if (admitted()) return 0;
    for (const one of recent) {
      requests--;
      sum -= one.tokens;
      if (admitted()) return one.at + minute - time;
    }
    return 0;
  };

  const go = (): void => {
    while (waiting.length > 0 && active < concurrency) {
      const wait = delay(waiting[0]!.tokens);
      if (wait > 0) {
        const at = now() + wait;
        if (at < alarm) {
          alarm = at;
          after(wait, () => {
            if (alarm === at) alarm = Infinity;
            go();
          });
        }
        return;
      }
      const { tokens, start } = waiting.shift()!;
      const entry = { at: now(), tokens };
      if (windowed) recent.push(entry);
      active++;
      let over = false;
      start({
        spent: (counted) => void (entry.tokens = counted),
        end() {
          if (over) return;
          over = true;
          active--;
          go();
        },
      });
    }
  };

  return {
    take: (tokens, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve(null);
        const leave = (): void => {
          waiting.splice(waiting.indexOf(one), 1);
          resolve(null);
        };
        const one: Waiting = {
          tokens,
          start(turn) {
            signal?.removeEventListener("abort", leave);
            resolve(turn);
          },
        };
        signal?.addEventListener("abort", leave, { once: true });
        waiting.push(one);
        go();
      }),
    hold(milliseconds) {
      heldUntil = Math.max(heldUntil, now() + milliseconds);
    },
  };
}
