import { GuerdonError } from "../error.ts";
import { cellKinds, decodeCells } from "./csv-cells.ts";
import { thisHost, type Host } from "./host.ts";
import { formatOf, readLots, type FileFormat, type FileRow } from "./read.ts";
import { recognise, type ColumnMapping, type Recognition } from "./recognise.ts";
import type { Message, Row } from "./row.ts";
import { isTextOrMessages, shapeOf, valueAt } from "./shape.ts";

/** A file whose rows are known for what they are. */
export interface RecognisedFile {
  readonly path: string;
  readonly format: FileFormat;
  /** The columns of the first rows, in their order. */
  readonly columns: readonly string[];
  readonly recognition: Recognition;
  /** The first rows. */
  readonly sample: readonly FileRow[];
  /** All rows, from the first; lists, objects and labels in the cells of a CSV file are read as such. */
  rows(onRead?: (bytes: number) => void): AsyncGenerator<FileRow, void, undefined>;
}

export interface OpenOptions {
  /** Where roles are found when it is not by their own names: `{ reference: "solution" }`. */
  readonly columns?: ColumnMapping;
  readonly host?: Host;
}

/** Rows that recognition looks at. */
const sampleSize = 100;

/**
 * Opens a file of rows and recognises what they are (see `recognise`).
 *
 * @throws GuerdonError as `readRows` and `recognise`
 */
export async function openRows(path: string, { columns, host }: OpenOptions = {}): Promise<RecognisedFile> {
  const machine = host ?? (await thisHost());
  const format = await formatOf(path, machine);
  const first: FileRow[] = [];
  for await (const lot of readLots(path, { host: machine })) {
    first.push(...lot.slice(0, sampleSize - first.length));
    if (first.length === sampleSize) break;
  }
  const names = [...new Set(first.flatMap(({ row }) => Object.keys(row)))];
  const isText = format === "csv" || format === "tsv";
  const kinds = isText
    ? cellKinds(
        names,
        first.map(({ row }) => row),
      )
    : {};
  const decoded = (one: FileRow): FileRow => (isText ? { ...one, row: decodeCells(one.row, kinds), cells: one.row } : one);
  const sample = first.map(decoded);
  const recognition = recognise(
    names,
    sample.map(({ row }) => row),
    columns ? { columns } : {},
  );
  return {
    path,
    format,
    columns: names,
    recognition,
    sample,
    async *rows(onRead) {
      for await (const lot of readLots(path, { host: machine, ...(onRead ? { onRead } : {}) })) for (const one of lot) yield decoded(one);
    },
  };
}

/** A row to score, of which only the prompt may be missing. */
export interface ScorableRow {
  readonly prompt: Row["prompt"] | undefined;
  readonly completion?: NonNullable<Row["completion"]>;
  readonly [column: string]: unknown;
}

/**
 * A function that makes a row to score of a row of recognised data: prompt, completion and reference under these names, all columns beside
 * them under their own. Steps become the completion, joined by empty lines, and the column `steps`; a conversation is scored for its last
 * assistant message, what precedes it is the prompt.
 *
 * @throws GuerdonError "input" when there is nothing to score in such rows, with what to do
 */
export function scorableRow({
  path,
  recognition,
}: Pick<RecognisedFile, "path" | "recognition">): (row: Readonly<Record<string, unknown>>) => ScorableRow {
  const { kind, title, mapping, problems, notes, commands } = recognition;
  if (problems.length > 0) throw new GuerdonError("input", `${path}: ${problems.join(". ")}.`);
  if (!commands.includes("score")) {
    const takers = commands.length === 0 ? "" : ` They are taken by guerdon ${commands.join(", ")}.`;
    throw new GuerdonError(
      "input",
      `${path} holds ${title}, and rows to score need a completion.${takers}${notes.map((note) => ` ${note}.`).join("")}`,
    );
  }
  if (mapping.prompt === undefined && kind !== "conversations")
    throw new GuerdonError("input", `${path} has no prompt. Say which column holds what was asked: --columns prompt=question.`);
  const own = (row: Readonly<Record<string, unknown>>, role: keyof ColumnMapping): unknown => valueAt(row, mapping[role] ?? role);
  return (row) => {
    const reference = mapping.reference === undefined ? undefined : own(row, "reference");
    const common = { ...row, ...(reference === undefined ? {} : { reference }) };
    if (kind === "conversations") return { ...common, ...conversation(own(row, "messages")) };
    const prompt = own(row, "prompt");
    const steps = kind === "stepwise" ? own(row, "completions") : kind === "process-bench" ? own(row, "steps") : undefined;
    const completion = Array.isArray(steps) ? steps.join("\n\n") : own(row, "completion");
    return {
      ...common,
      prompt: isTextOrMessages(prompt) ? prompt : undefined,
      ...(completion === undefined || completion === null ? {} : { completion: completion as string | readonly Message[] }),
      ...(Array.isArray(steps) ? { steps } : {}),
    };
  };
}

function conversation(messages: unknown): Pick<ScorableRow, "prompt" | "completion"> {
  if (shapeOf(messages) !== "messages") return { prompt: undefined };
  const list = messages as readonly Message[];
  const last = list.findLastIndex(({ role }) => role === "assistant");
  return last < 0 ? { prompt: list } : { prompt: list.slice(0, last), completion: list.slice(last) };
}
