import type { Message, Row } from "../data/row.ts";
import { GuerdonError } from "../error.ts";
import { calls } from "./calls.ts";
import { coverage } from "./coverage.ts";
import { quoted, unscorable, type Score } from "./grade.ts";
import type { Answer, Reward } from "./reward.ts";

export interface ScoreOptions {
  /** Calls of the reward's functions under way at the same time; 16 unless said. */
  readonly concurrency?: number;
  /** Deadline of one call in milliseconds; 60,000 unless said, Infinity for none. */
  readonly timeoutMs?: number;
  /** Further tries of a call that threw or was too late; 0 unless said. */
  readonly retries?: number;
  /** The share of rows that must be scored, 0 to 1. Scoring stops with an error as soon as it cannot be reached. */
  readonly minimumCoverage?: number;
  /** Called whenever rows are done. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number; readonly unscorable: number }) => void;
  /** Called with a sentence when a reward, or one of its parts, scored none of several rows; writes to the console unless said. */
  readonly onWarning?: (sentence: string) => void;
  /** Rows that are not done when it is aborted come back unscorable, with the reason "aborted". */
  readonly signal?: AbortSignal;
}

/** The least that a row must have. Unlike `Row` it has no index signature, so that rows may be typed by an interface. */
interface RowToScore {
  readonly prompt: string | readonly MessageToScore[];
  readonly completion?: string | readonly MessageToScore[] | undefined;
}
type MessageToScore = Pick<Message, "role" | "content">;

/** One score for a row, as many as there are rows for a list; the length of a list written in place is kept. */
export type Scores<Rows> = Rows extends readonly unknown[] ? { -readonly [K in keyof Rows]: Score } : Score;

/**
 * Applies a reward to rows. Scores come back in the order of the rows; a row that cannot be scored has the value null and says why.
 * Answers to the same prompt (rows with the same `group`, or without one the same prompt) reach group rewards together. The types hold: rows
 * must have the columns that the reward and all its parts need.
 *
 * @throws GuerdonError "coverage" when fewer rows than `minimumCoverage` could be scored (not after an abort); "usage" for options out of range; "input" for
 *   a row that is no object, or that a reward of groups cannot tell the group of
 */
export async function score<Needs extends object, Rows extends (RowToScore & Needs) | readonly (RowToScore & Needs)[] | []>(
  reward: Reward<Needs>,
  rows: Rows,
  options: ScoreOptions = {},
): Promise<Scores<Rows>> {
  const single = !Array.isArray(rows);
  const list = (single ? [rows] : rows) as readonly Row[];
  const scores = await scoreAll(reward, list, options);
  return (single ? scores[0]! : scores) as Scores<Rows>;
}

async function scoreAll(reward: Reward<never>, rows: readonly Row[], options: ScoreOptions): Promise<Score[]> {
  const { concurrency, minimumCoverage, onProgress, onWarning, signal, ...limits } = resolved(options);
  const stop = new AbortController();
  const anySignal = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const caller = calls({ ...limits, concurrency, signal: anySignal });
  const scores: Score[] = Array.from({ length: rows.length });
  let done = 0;
  let failed = 0;
  const units = unitsOf(reward, rows);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < units.length) {
      const unit = units[next++]!;
      if (anySignal.aborted) {
        for (const { index } of unit) scores[index] = unscorable("aborted", `Scoring was aborted before row ${index + 1}.`);
        continue;
      }
      const unitScores = await reward.evaluate(unit, caller);
      unit.forEach(({ index }, i) => {
        scores[index] = unitScores[i]!;
        if (unitScores[i]!.value === null) failed++;
      });
      done += unit.length;
      onProgress?.({ done, total: rows.length, unscorable: failed });
      if (failed > rows.length * (1 - minimumCoverage) + 1e-9) stop.abort(new Error("too little can be scored"));
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, units.length) }, work));
  } catch (cause) {
    stop.abort(cause); // the caller hears of it (onProgress threw): ask for no further grades
    throw cause;
  }
  if (stop.signal.aborted && !signal?.aborted) throw tooLittle(reward, scores, minimumCoverage);
  warnOfSilence(reward, scores, onWarning);
  return scores;
}

/** What is scored in one go: a row, all answers to a prompt, or everything, by the reward's scope. */
function unitsOf(reward: Reward<never>, rows: readonly Row[]): Answer[][] {
  const answers = Array.from(rows, (row: unknown, index): Answer => {
    if (typeof row !== "object" || row === null)
      throw new GuerdonError("input", `score: row ${index + 1} is ${quoted(row)}. A row is an object with a prompt and a completion.`);
    return { row: row as Row, index, group: reward.scope === "row" ? String(index) : groupOf(row as Row, index) };
  });
  if (reward.scope === "row") return answers.map((answer) => [answer]);
  if (reward.scope === "batch") return answers.length > 0 ? [answers] : [];
  return [...Map.groupBy(answers, ({ group }) => group).values()];
}

/** What rows must share to be compared. Whatever cannot be told apart for certain is refused: a group of strangers gives wrong grades. */
function groupOf({ group, prompt }: Readonly<Record<string, unknown>>, index: number): string {
  if (group === undefined || group === null) {
    if (typeof prompt === "string" || Array.isArray(prompt)) return `prompt ${JSON.stringify(prompt)}`;
    throw new GuerdonError(
      "input",
      `score: row ${index + 1} has neither a group nor a prompt, and the reward compares answers to one prompt.`,
    );
  }
  if (typeof group === "string") return `text ${group}`;
  if (typeof group === "bigint" || (typeof group === "number" && !Number.isNaN(group))) return `number ${group}`;
  throw new GuerdonError("input", `score: the group of row ${index + 1} must be text or a number, not ${quoted(group)}.`);
}

function tooLittle(reward: Reward<never>, scores: readonly Score[], minimumCoverage: number): GuerdonError {
  const graded = scores.filter(({ error }) => error?.kind !== "aborted");
  const first = scores.findIndex(({ error }) => error !== undefined && error.kind !== "aborted");
  return new GuerdonError(
    "coverage",
    `The reward "${reward.name}" cannot reach the minimum coverage of ${Math.round(minimumCoverage * 1000) / 10} % of ${scores.length} rows: ${coverage(graded).text}. The first is row ${first + 1}: ${scores[first]!.error!.message}`,
  );
}

function warnOfSilence(reward: Reward<never>, scores: readonly Score[], warn: (sentence: string) => void): void {
  if (scores.length < 2) return;
  const { scored, silent, text, reasons } = coverage(scores);
  if (reasons.aborted !== undefined) return;
  if (scored === 0) warn(`The reward "${reward.name}" scored nothing: ${text}. Row 1: ${scores[0]!.error!.message}`);
  else for (const part of silent) warn(`The part "${part}" of the reward "${reward.name}" scored nothing in ${scores.length} rows.`);
}

function resolved(options: ScoreOptions) {
  const { concurrency = 16, timeoutMs = 60_000, retries = 0, minimumCoverage = 0, onProgress, onWarning, signal } = options;
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
    onWarning: onWarning ?? ((sentence: string) => console.warn(sentence)),
    signal,
  };
}
