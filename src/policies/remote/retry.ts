import type { Rng } from "../../statistics/stream.ts";

/** Statuses after which the same request may succeed: timeouts, conflicts, too many requests, and the server's own failures. */
export function worthRetrying(status: number, code: string | null): boolean {
  // A spent quota is reported as 429, and does not come back by waiting.
  if (code === "insufficient_quota") return false;
  if (status === 408 || status === 409 || status === 429) return true;
  return status >= 500 && status !== 501 && status !== 505;
}

/**
 * How long the server asks to wait, in milliseconds: `retry-after-ms`, or `retry-after` as seconds or as an HTTP date. Null when it does
 * not say, or says something else. Dates in the past mean now.
 */
export function retryAfter(headers: { get(name: string): string | null }, now: number): number | null {
  const precise = headers.get("retry-after-ms");
  if (precise !== null && /^\d+(\.\d+)?$/.test(precise.trim())) return Number(precise);
  const said = headers.get("retry-after")?.trim();
  if (said === undefined) return null;
  if (/^\d+(\.\d+)?$/.test(said)) return Number(said) * 1000;
  // Date.parse takes almost anything ("-5" is a year): a date here begins with the name of a day.
  const date = /^[A-Za-z]{3,9},? /.test(said) ? Date.parse(said) : NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/**
 * The pause after the `tries`-th failed try (from 1): it doubles from `base` up to 30 s, and half of it is random, so that clients that
 * failed together do not come back together.
 */
export function backoff(tries: number, base: number, rng: Rng): number {
  const full = Math.min(base * 2 ** (tries - 1), 30_000);
  return full / 2 + (full / 2) * rng();
}

/** Waits, but not beyond an abort; says whether the time has passed. */
export function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve(signal?.aborted !== true);
    };
    const timer = setTimeout(done, milliseconds);
    if (signal?.aborted) done();
    else signal?.addEventListener("abort", done);
  });
}
