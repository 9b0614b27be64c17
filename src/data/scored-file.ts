import { GuerdonError } from "../error.ts";
import type { Score } from "../rewards/grade.ts";
import { formatCsvRecord } from "./csv.ts";
import type { Host } from "./host.ts";
import { sqlText, withDuckDB } from "./parquet.ts";
import { readLots, type FileFormat, type FileRow } from "./read.ts";
import type { RecognisedFile } from "./scorable.ts";

/** What a scored file says of itself while it is unfinished; `--continue` refuses to go on with another input or reward. */
export interface ScoringJob {
  /** Length and time of the last change of the input. */
  readonly input: { readonly path: string; readonly size: number; readonly modified: number };
  readonly reward: { readonly name: string; readonly version: string };
  readonly columns: Readonly<Record<string, string>>;
  /** Name of the score's column; the others are `<name>_parts`, `<name>_error` and, where there are any, `<name>_steps` and `<name>_note`. */
  readonly as: string;
}

/** A file of rows with their scores that is being written. */
export interface ScoredFile {
  /** Rows that an earlier attempt has written. */
  readonly earlier: number;
  add(row: FileRow, score: Score): Promise<void>;
  /** Writes what is in memory, so that it can be continued. */
  flush(): Promise<void>;
  /** Puts the file in its place. */
  finish(): Promise<void>;
}

export interface ScoredFileOptions {
  /** The file's name ends with .jsonl, .csv, .tsv or .parquet. */
  readonly out: string;
  readonly input: Pick<RecognisedFile, "path" | "format" | "columns">;
  readonly job: ScoringJob;
  readonly host: Host;
  /** Go on with an unfinished file, where there is one. */
  readonly resume?: boolean;
  /** Replace a file that is there. */
  readonly overwrite?: boolean;
  /** Told the scores that an earlier attempt has written, in order. */
  readonly onEarlier?: (score: Score) => void;
}

const jobFormat = "guerdon-scoring";
/** What is gathered before it is written: so many characters, or what comes in so many milliseconds. A kill loses no more. */
const bufferSize = 1 << 16;
const bufferMs = 300;

/**
 * Starts, or goes on with, a file of rows and their scores: the same rows, with the score, its parts and its error in further columns. What
 * is written lies in `<out>.partial`, a JSONL file, whatever `out` is to be; `finish` makes `out` of it and puts it in place in one step. A
 * line of it that a kill cut off is dropped and scored again.
 *
 * JSONL rows stay as they are written, character by character. Rows of Parquet keep their types when `out` is Parquet, which needs DuckDB.
 *
 * @throws GuerdonError "input" when `out` exists, is unfinished (without `resume`) or belongs to another job; when the rows have columns of
 *   the score's names; "usage" for another format
 */
export async function scoredFile(options: ScoredFileOptions): Promise<ScoredFile> {
  const { out, input, job, host, resume = false, overwrite = false, onEarlier } = options;
  const format = outputFormat(out);
  const columns = scoreColumns(job.as);
  const taken = columns.filter((name) => input.columns.includes(name));
  if (taken.length > 0)
    throw new GuerdonError(
      "input",
      `${input.path} already has ${taken.map((name) => `"${name}"`).join(" and ")}. Choose another name for the score: --as second_score.`,
    );
  const partial = `${out}.partial`;
  const about = `${out}.partial.json`;
  const description = JSON.stringify({ format: jobFormat, version: 1, ...job }, null, 2) + "\n";
  if (!resume && !overwrite && (await host.exists(out)))
    throw new GuerdonError("input", `${out} exists already: choose another name, or say --overwrite.`);
  let earlier = 0;
  let longest = 0;
  const isUnfinished = await host.exists(partial);
  // A kill between the last two steps of `finish` leaves the description of a file that is complete.
  if (!isUnfinished) await host.remove(about);
  if (isUnfinished && resume) {
    requireSameJob(await host.readText(about), description, about);
    ({ earlier, longest } = await readPartial(host, partial, job.as, onEarlier));
  } else if (isUnfinished && !overwrite) {
    throw new GuerdonError("input", `${out} is unfinished (${partial}): go on with --continue, or start anew with --overwrite.`);
  } else if (resume && (await host.exists(out))) {
    throw new GuerdonError("input", `${out} is finished: there is nothing to continue. Say --overwrite to score it anew.`);
  } else {
    // In this order no kill leaves rows of one job under the description of another.
    await host.remove(partial);
    await host.writeAtomic(about, description);
    await host.writeAtomic(partial, "");
  }

  let buffer = "";
  let flushed = performance.now();
  const flush = async (): Promise<void> => {
    const text = buffer;
    buffer = "";
    flushed = performance.now();
    if (text !== "") await host.append(partial, text);
  };
  return {
    earlier,
    async add(file, score) {
      const clash = columns.find((name) => name in file.row);
      if (clash !== undefined)
        throw new GuerdonError("input", `${file.where} already has "${clash}". Choose another name for the score: --as second_score.`);
      const line = withScore(file, score, job.as, format);
      longest = Math.max(longest, line.length);
      buffer += line;
      if (buffer.length >= bufferSize || performance.now() - flushed > bufferMs) await flush();
    },
    flush,
    async finish() {
      await flush();
      const made = format === "jsonl" ? partial : `${out}.partial.${format}`;
      if (format === "csv" || format === "tsv") await writeDelimited(host, partial, made, format === "csv" ? "," : "\t", input);
      if (format === "parquet") await writeParquet(partial, made, job.as, input, longest);
      await host.sync(made);
      await host.rename(made, out);
      if (made !== partial) await host.remove(partial);
      await host.remove(about);
    },
  };
}

function outputFormat(path: string): FileFormat {
  const found = /\.(jsonl|ndjson|csv|tsv|parquet)$/i.exec(path)?.[1]?.toLowerCase();
  if (found === undefined) throw new GuerdonError("usage", `${path}: the file to write must end with .jsonl, .csv, .tsv or .parquet.`);
  return found === "ndjson" ? "jsonl" : (found as FileFormat);
}

const scoreColumns = (as: string): string[] => [as, `${as}_parts`, `${as}_error`, `${as}_steps`, `${as}_note`];

/** The row's own text with the score's fields added, as one line. */
function withScore({ text, row, cells }: FileRow, { value, parts, error, steps, note }: Score, as: string, format: FileFormat): string {
  // From CSV to CSV cells stay as they are; elsewhere the lists and labels in them are worth more than their text.
  const own = cells !== undefined && (format === "csv" || format === "tsv") ? cells : row;
  const object = (text ?? JSON.stringify(own)).trim();
  const head = object.slice(0, -1).trimEnd();
  const fields = [
    `${JSON.stringify(as)}:${value}`,
    `${JSON.stringify(`${as}_parts`)}:${JSON.stringify(parts ?? null)}`,
    `${JSON.stringify(`${as}_error`)}:${JSON.stringify(error ?? null)}`,
    ...(steps === undefined ? [] : [`${JSON.stringify(`${as}_steps`)}:${JSON.stringify(steps)}`]),
    ...(note === undefined ? [] : [`${JSON.stringify(`${as}_note`)}:${JSON.stringify(note)}`]),
  ].join(",");
  return `${head}${head === "{" ? "" : ","}${fields}}\n`;
}

function requireSameJob(found: string, expected: string, path: string): void {
  if (found === expected) return;
  const [old, now] = [found, expected].map((text) => JSON.parse(text) as Readonly<Record<string, unknown>>) as [
    Record<string, unknown>,
    Record<string, unknown>,
  ];
  const differing = Object.keys(now).filter((key) => JSON.stringify(old[key]) !== JSON.stringify(now[key]));
  const what = differing.map((key) => (key === "input" ? "the input file" : key === "reward" ? "the reward" : `"${key}"`)).join(" and ");
  throw new GuerdonError(
    "input",
    `${path}: ${what} changed since this was begun, so that it cannot be continued. Start anew with --overwrite.`,
  );
}

/** Counts the complete rows of an unfinished file and cuts off what follows them. */
async function readPartial(
  host: Host,
  path: string,
  as: string,
  onEarlier: ((score: Score) => void) | undefined,
): Promise<{ readonly earlier: number; readonly longest: number }> {
  const size = (await host.stat(path))?.size ?? 0;
  if (size === 0) {
    await host.writeAtomic(path, "");
    return { earlier: 0, longest: 0 };
  }
  const end = await lastLineEnd(host, path, size);
  if (end < size) await host.truncate(path, end);
  let earlier = 0;
  let longest = 0;
  for await (const lot of readLots(path, { host, format: "jsonl" }))
    for (const { row, text } of lot) {
      earlier++;
      longest = Math.max(longest, text!.length);
      onEarlier?.(scoreIn(row, as));
    }
  return { earlier, longest };
}

/** Where the last complete line ends. */
async function lastLineEnd(host: Host, path: string, size: number): Promise<number> {
  const step = 1 << 16;
  for (let end = size; end > 0; end -= step) {
    const start = Math.max(0, end - step);
    const last = (await host.readRange(path, start, end)).lastIndexOf(10);
    if (last >= 0) return start + last + 1;
  }
  return 0;
}

/** The score that a row of a scored file has. */
export function scoreIn(row: Readonly<Record<string, unknown>>, as: string): Score {
  const [value, parts, error, steps, note] = scoreColumns(as).map((name) => row[name]);
  return {
    value: value as number | null,
    ...(parts === null || parts === undefined ? {} : { parts: parts as NonNullable<Score["parts"]> }),
    ...(error === null || error === undefined ? {} : { error: error as NonNullable<Score["error"]> }),
    ...(steps === undefined ? {} : { steps: steps as readonly number[] }),
    ...(note === undefined ? {} : { note: note as string }),
  };
}

/** Two passes: one for the columns that rows have, one for the rows. */
async function writeDelimited(host: Host, from: string, to: string, delimiter: string, input: ScoredFileOptions["input"]): Promise<void> {
  const names = new Set<string>(input.columns);
  for await (const lot of readLots(from, { host, format: "jsonl" })) for (const { row } of lot) for (const name in row) names.add(name);
  const columns = [...names];
  let buffer = formatCsvRecord(columns, delimiter);
  await host.writeAtomic(to, "");
  for await (const lot of readLots(from, { host, format: "jsonl" })) {
    for (const { row } of lot)
      buffer += formatCsvRecord(
        columns.map((name) => cellOf(row[name])),
        delimiter,
      );
    await host.append(to, buffer);
    buffer = "";
  }
  if (buffer !== "") await host.append(to, buffer);
}

const cellOf = (value: unknown): string =>
  value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);

/** @param longest characters of the longest row */
async function writeParquet(from: string, to: string, as: string, input: ScoredFileOptions["input"], longest: number): Promise<void> {
  await withDuckDB(async (connection) => {
    // Each thread has buffers of its own, and copying is not what takes the time.
    await connection.run("SET threads = 1");
    const largest = Math.max(16 << 20, 4 * longest);
    const source = (columns: string): string =>
      `read_json(${sqlText(from)}, format = 'newline_delimited', maximum_object_size = ${largest}, ${columns})`;
    const described = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${source("sample_size = -1, map_inference_threshold = -1")}`);
    const types = new Map(described.getRows().map(([name, type]) => [String(name), String(type)]));
    const scores = scoreColumns(as);
    const own = [...types].filter(([name]) => !scores.includes(name)).map(([name, type]) => [name, textually(type)] as const);
    const added = scores.filter((name) => types.has(name)).map((name) => [name, scoreType(name, types.get(name)!, as)] as const);
    const columns = (list: readonly (readonly [string, string])[]): string =>
      `columns = {${list.map(([name, type]) => `${sqlText(name)}: ${sqlText(type)}`).join(", ")}}`;
    const query =
      input.format === "parquet"
        ? `SELECT rows.*, scores.* FROM read_parquet(${sqlText(input.path)}) AS rows POSITIONAL JOIN ${source(columns(added))} AS scores`
        : `SELECT * FROM ${source(columns([...own, ...added]))}`;
    await connection.run(`COPY (${query}) TO ${sqlText(to)} (FORMAT parquet, CODEC 'zstd')`);
  });
}

/** Text that looks like a date, a time or an identifier stays text. */
const textually = (type: string): string =>
  type.replaceAll(/"(?:[^"]|"")*"|\b(?:DATE|TIME|TIMESTAMP|TIMESTAMP_NS|UUID|JSON)\b(?: WITH TIME ZONE)?/g, (found) =>
    found.startsWith('"') ? found : "VARCHAR",
  );

function scoreType(name: string, found: string, as: string): string {
  if (name === as) return "DOUBLE";
  if (name === `${as}_error`) return "STRUCT(kind VARCHAR, message VARCHAR)";
  if (name === `${as}_steps`) return "DOUBLE[]";
  if (name === `${as}_note`) return "VARCHAR";
  // Parts: every number is a double, also a part that was never scored.
  return found.startsWith("STRUCT")
    ? found.replaceAll(/"(?:[^"]|"")*"|\b(?:U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|JSON|FLOAT)\b/g, (one) =>
        one.startsWith('"') ? one : "DOUBLE",
      )
    : "VARCHAR";
}
