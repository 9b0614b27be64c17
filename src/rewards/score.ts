import type { FileRow } from "../data/read.ts";
import type { Message, Row } from "../data/row.ts";
import type { OpenOptions } from "../data/scorable.ts";
import { GuerdonError } from "../error.ts";
import { folderCache, type FolderCache, type ScoreCache } from "./cache.ts";
import { calls, type Cost } from "./calls.ts";
import { coverageCounter, type Coverage, type CoverageCounter } from "./coverage.ts";
import { quoted, type Score } from "./grade.ts";
import type { Reward } from "./reward.ts";
import { run, type Done } from "./run.ts";
import { answersOf, type RowSource } from "./source.ts";

export interface ScoreOptions extends OpenOptions {
  /** Calls of the reward's functions under way at the same time; 16 unless said. */
  readonly concurrency?: number;
  /** Deadline of one call in milliseconds; 60,000 unless said, Infinity for none. */
  readonly timeoutMs?: number;
  /** Further tries of a call that threw or was too late; 0 unless said. */
  readonly retries?: number;
  /**
   * Where scores are kept between runs: a folder, or anything with `get` and `set`. A score is found again by the reward's name and version
   * and by the whole row; only what was wholly graded is kept. A reward whose grades change must change its `version`.
   */
  readonly cache?: string | ScoreCache;
  /** The share of rows that must be scored, 0 to 1. Scoring stops with an error as soon as it cannot be reached. */
  readonly minimumCoverage?: number;
  /** Called whenever rows are done. */
  readonly onProgress?: (progress: Progress) => void;
  /** Called once at the end with what was scored, what was not and why, and what it cost. */
  readonly onSummary?: (summary: Summary) => void;
  /** Called with a sentence when a reward, or one of its parts, scored none of several rows; writes to the console unless said. */
  readonly onWarning?: (sentence: string) => void;
  /** Rows that are not done when it is aborted come back unscorable, with the reason "aborted"; a stream ends with an error. */
  readonly signal?: AbortSignal;
}

export interface StreamOptions extends ScoreOptions {
  /**
   * For rewards of groups: the rows that a group may span, 10,000 unless said. So many rows are held back before the oldest group is scored;
   * a row that comes too late for its group is an error.
   */
  readonly window?: number;
}

export interface Progress {
  readonly done: number;
  /** Null where the rows come from an iterable that does not say how many it has. */
  readonly total: number | null;
  readonly unscorable: number;
}

export interface Summary extends Coverage {
  /** Scores that came from the cache. */
  readonly cached: number;
  /** Sums of what the reward's calls reported with `spend`. */
  readonly cost: Cost;
}

/** The least that a row must have. Unlike `Row` it has no index signature, so that rows may be typed by an interface. */
interface RowToScore {
  readonly prompt: string | readonly MessageToScore[];
  readonly completion?: string | readonly MessageToScore[] | undefined;
}
type MessageToScore = Pick<Message, "role" | "content">;

/** A row with the columns that a reward needs: nothing changes them, so that literal lists and tuples may be given for any lists. */
export type RowFor<Needs> = RowToScore & Given<Needs>;
type Given<T> = T extends object ? { readonly [K in keyof T]: Given<T[K]> } : T;

/** One score for a row, as many as there are rows for a list; the length of a list written in place is kept. */
export type Scores<Rows> = Rows extends readonly unknown[]
  ? { -readonly [K in keyof Rows]: Score }
  : Rows extends string | AsyncIterable<unknown>
    ? Score[]
    : Score;

/** A row with its score, as a stream gives it. */
export interface ScoredRow {
  /** Place among the rows, from 0. */
  readonly index: number;
  /** As the reward saw it. */
  readonly row: Row;
  readonly score: Score;
  /** Where the row stands and what it is there, for rows of a file. */
  readonly file: FileRow | null;
}

async function scoreAll<
  Needs extends object,
  const Rows extends RowFor<Needs> | readonly RowFor<Needs>[] | AsyncIterable<RowFor<Needs>> | string,
>(reward: Reward<Needs>, rows: Rows, options: ScoreOptions = {}): Promise<Scores<Rows>> {
  const isMany =
    typeof rows === "string" || Array.isArray(rows) || (typeof rows === "object" && rows !== null && Symbol.asyncIterator in rows);
  const source = (isMany ? rows : [rows]) as RowSource;
  const scores: Score[] = [];
  for await (const { score: one } of scoring(reward, source, options, { window: Infinity, from: 0, counter: coverageCounter() }))
    scores.push(one);
  return (isMany ? scores : scores[0]!) as Scores<Rows>;
}

async function* stream<Needs extends object>(
  reward: Reward<Needs>,
  rows: Iterable<RowFor<Needs>> | AsyncIterable<RowFor<Needs>> | string,
  options: StreamOptions = {},
): AsyncGenerator<ScoredRow, void, undefined> {
  yield* scoreFrom(reward, rows as RowSource, options, { rows: 0, counter: coverageCounter() });
}

/**
 * Applies a reward to rows. Scores come back in the order of the rows; a row that cannot be scored has the value null and says why.
 * Answers to the same prompt (rows with the same `group`, or without one the same prompt) reach group rewards together. The types hold: rows
 * must have the columns that the reward and all its parts need.
 *
 * - `score(reward, row)`, `score(reward, rows)`
 * - `score(reward, "answers.jsonl")` reads JSONL, CSV and Parquet files (see `openRows`); an error names file, row, column and reward.
 * - `score.stream(reward, rows)` gives each row with its score as soon as it and all rows before it are done, in memory that does not grow
 *   with their number. After an abort it gives what was done and then throws "interrupted".
 *
 * @throws GuerdonError "coverage" when fewer rows than `minimumCoverage` could be scored (not after an abort); "usage" for options out of
 *   range; "input" for a file that cannot be scored, a row that is no object, groups that are torn apart beyond the window of a stream,
 *   or a row that a reward of groups cannot tell the group of
 */
export const score = Object.assign(scoreAll, { stream });

/** A stream that goes on after rows that are scored already. */
export interface Earlier {
  /** How many. */
  readonly rows: number;
  /** Has counted them. */
  readonly counter: CoverageCounter;
}

/** As `score.stream`, going on after `earlier` rows: these are not given back, and scored again only where a later row's group needs them. */
export async function* scoreFrom(
  reward: Reward<never>,
  rows: RowSource,
  options: StreamOptions,
  earlier: Earlier,
): AsyncGenerator<ScoredRow, void, undefined> {
  const { window = 10_000, signal } = options;
  if (!(window >= 1)) throw new GuerdonError("usage", `score.stream: window must be at least 1, not ${quoted(window)}.`);
  for await (const { index, row, score: one, item } of scoring(reward, rows, options, {
    window,
    from: earlier.rows,
    counter: earlier.counter,
  })) {
    if (one.error?.kind === "aborted" && signal?.aborted === true)
      throw new GuerdonError("interrupted", `Scoring was stopped after ${index} rows.`);
    yield { index, row, score: one, file: item };
  }
}

interface Extent {
  readonly window: number;
  readonly from: number;
  readonly counter: CoverageCounter;
}

async function* scoring(
  reward: Reward<never>,
  rows: RowSource,
  options: ScoreOptions,
  { window, from, counter }: Extent,
): AsyncGenerator<Done<FileRow | null>, void, undefined> {
  const { concurrency, minimumCoverage, onProgress, onSummary, onWarning, signal, ...limits } = resolved(options);
  const { answers, total } = await answersOf(reward, rows, options);
  const folder = typeof options.cache === "string" ? await folderCache(options.cache, reward, options.host) : null;
  const stop = new AbortController();
  const anySignal = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const cost: Record<string, number> = {};
  const caller = calls({ ...limits, concurrency, signal: anySignal, onSpend: (amounts) => add(cost, amounts) });
  const before = counter.coverage();
  const seen: { firstUnscorable: Done<unknown> | null; end: { readonly cause: unknown } | null } = { firstUnscorable: null, end: null };
  /** Ends the scoring with an error: no further grades are asked for. */
  const endWith = (cause: unknown): void => {
    seen.end ??= { cause };
    stop.abort(cause);
  };
  let failed = before.unscorable;
  let done = from;
  let cached = 0;
  const stopAt = total === null ? Infinity : total * (1 - minimumCoverage) + 1e-9;
  const scored = run(reward, answers, {
    calls: caller,
    concurrency,
    window,
    from,
    cache: folder ?? (options.cache as ScoreCache | undefined) ?? null,
    signal: anySignal,
    onDone(fresh, fromCache) {
      cached += fromCache;
      done += fresh.length;
      for (const one of fresh) {
        counter.add(one.score);
        if (one.score.value !== null) continue;
        failed++;
        if (seen.firstUnscorable === null || one.index < seen.firstUnscorable.index) seen.firstUnscorable = one;
      }
      try {
        onProgress?.({ done, total, unscorable: failed });
      } catch (cause) {
        endWith(cause);
      }
      if (failed > stopAt && seen.end === null && signal?.aborted !== true)
        endWith(uncovered(reward, minimumCoverage, total, counter.coverage(), seen.firstUnscorable));
    },
  });
  try {
    for await (const one of scored) {
      if (seen.end !== null) throw seen.end.cause;
      yield one;
    }
    if (seen.end !== null) throw seen.end.cause;
    const summary: Summary = { ...counter.coverage(), cached, cost };
    if (signal?.aborted !== true && summary.scored < summary.total * minimumCoverage - 1e-9)
      throw uncovered(reward, minimumCoverage, summary.total, summary, seen.firstUnscorable);
    warnOfSilence(reward, summary, seen.firstUnscorable, onWarning);
    onSummary?.(summary);
  } finally {
    // Nobody waits any more for what is under way when the caller leaves early.
    stop.abort(new Error("scoring has ended"));
    await flushed(folder);
  }
}

const flushed = async (folder: FolderCache | null): Promise<void> => folder?.flush();

function add(cost: Record<string, number>, amounts: Cost): void {
  for (const [unit, amount] of Object.entries(amounts)) cost[unit] = (cost[unit] ?? 0) + amount;
}

function uncovered(
  reward: Reward<never>,
  minimumCoverage: number,
  total: number | null,
  { text }: Coverage,
  first: Done<unknown> | null,
): GuerdonError {
  const where = first === null ? "" : ` The first is row ${first.index + 1}: ${first.score.error!.message}`;
  return new GuerdonError(
    "coverage",
    `The reward "${reward.name}" cannot reach the minimum coverage of ${Math.round(minimumCoverage * 1000) / 10} % of ${total} rows: ${text}.${where}`,
  );
}

function warnOfSilence(reward: Reward<never>, summary: Summary, first: Done<unknown> | null, warn: (sentence: string) => void): void {
  const { total, scored, silent, text, reasons } = summary;
  if (total < 2 || reasons.aborted !== undefined) return;
  if (scored === 0)
    warn(
      `The reward "${reward.name}" scored nothing: ${text}.${first === null ? "" : ` Row ${first.index + 1}: ${first.score.error!.message}`}`,
    );
  else for (const part of silent) warn(`The part "${part}" of the reward "${reward.name}" scored nothing in ${total} rows.`);
}

function resolved(options: ScoreOptions) {
  const { concurrency = 16, timeoutMs = 60_000, retries = 0, minimumCoverage = 0, onProgress, onSummary, onWarning, signal } = options;
  const whole = (value: number, least: number): boolean => Number.isInteger(value) && value >= least;
  const refuse = (option: string, range: string, value: unknown): never => {
    throw new GuerdonError("usage", `score: ${option} must be ${range}, not ${quoted(value)}.`);
  };
  if (!whole(concurrency, 1)) refuse("concurrency", "a whole number of at least 1", concurrency);
  if (!whole(retries, 0)) refuse("retries", "a whole number of at least 0", retries);
  if (!(timeoutMs > 0)) refuse("timeoutMs", "above 0", timeoutMs);
  if (!(minimumCoverage >= 0 && minimumCoverage <= 1)) refuse("minimumCoverage", "from 0 to 1", minimumCoverage);
  return {
    concurrency,
    timeoutMs,
    retries,
    minimumCoverage,
    onProgress,
    onSummary,
    onWarning: onWarning ?? ((sentence: string) => console.warn(sentence)),
    signal,
  };
}
