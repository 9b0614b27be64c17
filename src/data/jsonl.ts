import { GuerdonError } from "../error.ts";
import { thisHost, type Host } from "./host.ts";

/** A row of a file and the line it stands on, counted from 1. */
export interface FileRow {
  readonly line: number;
  readonly row: Readonly<Record<string, unknown>>;
}

const otherFormats = /\.(csv|tsv|parquet|arrow|feather|xlsx?|gz|zst|bz2|zip)$/i;

/**
 * Reads a file of one JSON object a line, as its rows are asked for. A byte-order mark, CRLF line ends and blank lines are fine.
 *
 * @param path for instance `prompts.jsonl`
 * @throws GuerdonError "unsupported" for CSV, Parquet and compressed files, "input" for a line that is not a JSON object (naming file and
 *   line), "io" when the file cannot be read
 */
export async function* readRows(path: string, host?: Host): AsyncGenerator<FileRow, void, undefined> {
  const format = otherFormats.exec(path)?.[1];
  if (format !== undefined)
    throw new GuerdonError("unsupported", `${path}: ${format} files cannot be read yet. Convert it to JSONL, one JSON object a line.`);
  let line = 0;
  for await (const text of (host ?? (await thisHost())).readLines(path)) {
    line++;
    if (text.trim() !== "") yield { line, row: parsed(text, `${path} line ${line}`) };
  }
}

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
