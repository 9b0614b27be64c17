import { GuerdonError } from "../error.ts";
import { csvParser, type CsvRecord } from "./csv.ts";
import { thisHost, type Host } from "./host.ts";
import { lineLots, textOf } from "./lines.ts";
import { countParquet, readParquet } from "./parquet.ts";

/** A row of a file, and where it stands. */
export interface FileRow {
  /** Among the rows, from 1. */
  readonly number: number;
  /** The line on which it begins, from 1; the row's number in a Parquet file. */
  readonly line: number;
  /** For messages: "answers.jsonl row 17", with the line where that is another number. */
  readonly where: string;
  readonly row: Readonly<Record<string, unknown>>;
  /** The row as it stands in a JSONL file. */
  readonly text?: string;
  /** The cells of a CSV file, where `row` has read lists, objects and labels in them. */
  readonly cells?: Readonly<Record<string, unknown>>;
}

export type FileFormat = "jsonl" | "csv" | "tsv" | "parquet";

export interface ReadOptions {
  readonly host?: Host;
  /** Where the file's name does not say it. */
  readonly format?: FileFormat;
  /** Told now and then how many bytes of the file have been read. */
  readonly onRead?: (bytes: number) => void;
}

const byExtension: Readonly<Record<string, FileFormat>> = {
  jsonl: "jsonl",
  ndjson: "jsonl",
  csv: "csv",
  tsv: "tsv",
  parquet: "parquet",
};
const foreign = /\.(arrow|feather|xlsx?|ods|db|sqlite|pkl|pt|npy|npz|h5|avro|orc)$/i;

/** The file's format: by its name without .gz and .zst, else by how it begins. */
export async function formatOf(path: string, host: Host): Promise<FileFormat> {
  const extension = /\.([^./\\]+)$/.exec(path.replace(/\.(gz|zst|zstd|bz2|xz|zip)$/i, ""))?.[1]?.toLowerCase() ?? "";
  const known = byExtension[extension];
  if (known !== undefined) return known;
  const other = foreign.exec(path)?.[1];
  if (other !== undefined)
    throw new GuerdonError("unsupported", `${path}: ${other} files cannot be read. Convert it to JSONL, CSV or Parquet.`);
  const head = await firstText(path, host);
  if (head.startsWith("PAR1")) return "parquet";
  if (/^\s*\[/.test(head))
    throw new GuerdonError(
      "unsupported",
      `${path} is one JSON list. Write one object a line instead: jq -c '.[]' ${path} > ${path.replace(/\.json$/i, "")}.jsonl`,
    );
  if (/^\s*\{/.test(head)) return "jsonl";
  if (extension === "txt" || head.includes(",")) return "csv";
  throw new GuerdonError("input", `${path}: it cannot be seen what this is. Name it .jsonl, .csv, .tsv or .parquet.`);
}

async function firstText(path: string, host: Host): Promise<string> {
  for await (const chunk of host.readChunks(path)) return new TextDecoder().decode(chunk.subarray(0, 4096));
  return "";
}

/**
 * Reads the rows of a JSONL, CSV, TSV or Parquet file as they are asked for, in memory that does not grow with the file. Files may be
 * compressed with gzip or Zstandard; byte-order marks, CRLF line ends and blank lines are fine. The first record of a CSV file names the
 * columns, and its cells are text.
 *
 * @param path for instance `prompts.jsonl` or `answers.csv.gz`
 * @throws GuerdonError "input" for what is no row (naming file and line), "unsupported" for other formats, "missing-dependency" for Parquet
 *   without a reader, "io" when the file cannot be read
 */
export async function* readRows(path: string, options: ReadOptions = {}): AsyncGenerator<FileRow, void, undefined> {
  for await (const lot of readLots(path, options)) yield* lot;
}

/** As `readRows`, as many rows at a time as come together. */
export async function* readLots(
  path: string,
  { host, format: given, onRead }: ReadOptions = {},
): AsyncGenerator<FileRow[], void, undefined> {
  const machine = host ?? (await thisHost());
  const format = given ?? (await formatOf(path, machine));
  if (format === "parquet") return yield* parquetLots(path, machine);
  try {
    const chunks = machine.readChunks(path, onRead);
    yield* format === "jsonl" ? jsonLots(path, chunks) : csvLots(path, chunks, format === "csv" ? "," : "\t");
  } catch (cause) {
    if (cause instanceof TypeError && /encoded data/i.test(cause.message))
      throw new GuerdonError("input", `${path} is not UTF-8 text. Convert it to UTF-8 first.`, { cause });
    throw cause;
  }
}

/** The number of rows in a file: from the footer of a Parquet file, else by reading it once. */
export async function countRows(path: string, host?: Host): Promise<number> {
  const machine = host ?? (await thisHost());
  const format = await formatOf(path, machine);
  if (format === "parquet") return countParquet(path, machine);
  let count = 0;
  if (format === "jsonl") {
    for await (const lines of lineLots(machine.readChunks(path))) for (const line of lines) if (line.trim() !== "") count++;
    return count;
  }
  for await (const lot of readLots(path, { host: machine })) count += lot.length;
  return count;
}

async function* jsonLots(path: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<FileRow[], void, undefined> {
  let line = 0;
  let number = 0;
  for await (const lines of lineLots(chunks)) {
    const rows: FileRow[] = [];
    for (const text of lines) {
      line++;
      if (text.trim() === "") continue;
      number++;
      rows.push({ number, line, where: place(path, number, line), row: parsed(text, `${path} line ${line}`), text });
    }
    yield rows;
  }
}

async function* csvLots(path: string, chunks: AsyncIterable<Uint8Array>, delimiter: string): AsyncGenerator<FileRow[], void, undefined> {
  const parser = csvParser(delimiter, path);
  let columns: readonly string[] | null = null;
  let number = 0;
  const rowsOf = (records: readonly CsvRecord[]): FileRow[] => {
    const rows: FileRow[] = [];
    for (const { cells, line } of records) {
      if (columns === null) {
        columns = heads(cells, path);
        continue;
      }
      number++;
      if (cells.length !== columns.length)
        throw new GuerdonError(
          "input",
          `${place(path, number, line)} has ${cells.length} ${cells.length === 1 ? "cell" : "cells"}, and there are ${columns.length} columns: ${columns.join(", ")}. Quote cells that hold a ${delimiter === "," ? "comma" : "tab"}, a quote or a line end.`,
        );
      const row: Record<string, unknown> = {};
      for (let i = 0; i < cells.length; i++) row[columns[i]!] = cells[i]!;
      rows.push({ number, line, where: place(path, number, line), row });
    }
    return rows;
  };
  for await (const text of textOf(chunks)) yield rowsOf(parser.push(text));
  yield rowsOf(parser.end());
}

function heads(cells: readonly string[], path: string): readonly string[] {
  const twice = cells.find((name, i) => cells.indexOf(name) < i);
  if (twice !== undefined) throw new GuerdonError("input", `${path} has two columns named "${twice}". Rename one of them.`);
  if (cells.includes("__proto__")) throw new GuerdonError("input", `${path}: "__proto__" cannot be the name of a column. Rename it.`);
  if (cells.length === 1 && cells[0]!.includes(";"))
    throw new GuerdonError(
      "input",
      `${path} seems to be separated by semicolons: its first line is ${JSON.stringify(cells[0]!.slice(0, 80))}. Separate the cells by commas.`,
    );
  return cells;
}

async function* parquetLots(path: string, host: Host): AsyncGenerator<FileRow[], void, undefined> {
  if ((await host.stat(path)) === null) throw new GuerdonError("io", `Cannot read ${path}: there is no such file or folder.`);
  let number = 0;
  for await (const rows of readParquet(path, host))
    yield rows.map((row) => {
      number++;
      return { number, line: number, where: place(path, number, number), row };
    });
}

const place = (path: string, number: number, line: number): string =>
  number === line ? `${path} row ${number}` : `${path} row ${number} (line ${line})`;

function parsed(text: string, where: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new GuerdonError(
      "input",
      `${where} is not JSON: ${(cause as SyntaxError).message}. Each line must be one complete JSON object.`,
      { cause },
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new GuerdonError(
      "input",
      `${where} is ${Array.isArray(value) ? "a list" : JSON.stringify(value)}, not a JSON object. Each line must be one row.`,
    );
  return value as Record<string, unknown>;
}
