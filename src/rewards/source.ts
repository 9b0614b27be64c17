import { countRows, type FileRow } from "../data/read.ts";
import type { Row } from "../data/row.ts";
import { openRows, scorableRow, type OpenOptions } from "../data/scorable.ts";
import { GuerdonError } from "../error.ts";
import type { Calls } from "./calls.ts";
import { quoted } from "./grade.ts";
import type { Reward, Scope } from "./reward.ts";
import { groupOf, type Placed } from "./units.ts";

/** Where rows come from: memory, something that brings them one by one, or a file. */
export type RowSource<R extends Row = Row> = Iterable<R> | AsyncIterable<R> | string;

export interface Answers {
  readonly answers: AsyncIterable<Placed<FileRow | null>>;
  /** Null where it cannot be known beforehand. */
  readonly total: number | null;
}

/**
 * The rows of a source as answers to score. A file is opened, recognised and asked for the columns that the reward needs.
 *
 * @throws GuerdonError "input" for a file without anything to score, or one whose rows lack a column that the reward needs
 */
export async function answersOf(reward: Reward<never>, source: RowSource, options: OpenOptions): Promise<Answers> {
  const answerOf = placing(reward.scope);
  if (typeof source !== "string") {
    if (!Array.isArray(source)) return { answers: fromMemory(source, answerOf), total: null };
    // What cannot be scored is refused before anything is paid for.
    for (const [index, row] of (source as readonly unknown[]).entries()) answerOf(row, index, null, null);
    return { answers: fromMemory(source, answerOf), total: source.length };
  }
  const file = await openRows(source, options);
  const toRow = scorableRow(file);
  // An answer to nobody knows what must not be judged as an answer to an empty prompt.
  const fileAnswer = (item: FileRow, index: number): Placed<FileRow> => {
    const row = toRow(item.row);
    if (row.prompt !== undefined) return answerOf(row, index, item, item.where);
    return { row: { ...row, prompt: "" }, index, group: `row ${index}`, item, where: item.where, problem: '"prompt" is missing.' };
  };
  async function* answers(): AsyncGenerator<Placed<FileRow>, void, undefined> {
    let index = 0;
    for await (const item of file.rows()) yield fileAnswer(item, index++);
  }
  await checkColumns(
    reward,
    file.sample.map(fileAnswer).filter(({ problem }) => problem === undefined),
    file.columns,
  );
  return { answers: answers(), total: await countRows(source, options.host) };
}

async function* fromMemory(rows: Iterable<Row> | AsyncIterable<Row>, answerOf: PlaceRow): AsyncGenerator<Placed<null>, void, undefined> {
  let index = 0;
  for await (const row of rows) yield answerOf(row, index++, null, null);
}

type PlaceRow = <T>(row: unknown, index: number, item: T, where: string | null) => Placed<T>;

/** Makes answers of rows; groups are told apart only where the reward compares them. */
const placing =
  (scope: Scope): PlaceRow =>
  (row, index, item, where) => {
    const name = where ?? `row ${index + 1}`;
    if (typeof row !== "object" || row === null)
      throw new GuerdonError("input", `score: ${name} is ${quoted(row)}. A row is an object with a prompt and a completion.`);
    return { row: row as Row, index, group: scope === "group" ? groupOf({ ...row }, name) : "", item, where };
  };

/** Calls that never reach the reward's functions: everything is graded 1, so that only what is wrong with the rows comes back. */
const dry: Calls = { call: async <R, T>(_name: string, _work: unknown, read: (returned: R) => T) => ({ value: read(1 as R) }) };

/**
 * A column that none of the first rows has is missing from the file: that is said before anything is scored. Where only some rows lack it,
 * each of them is unscorable with its place.
 */
async function checkColumns(reward: Reward<never>, sample: readonly Placed<unknown>[], columns: readonly string[]): Promise<void> {
  if (sample.length === 0) return;
  const scores = await reward.evaluate(sample, dry);
  if (!scores.every(({ error }) => error?.kind === "missing-column")) return;
  throw new GuerdonError(
    "input",
    `${sample[0]!.where}: ${scores[0]!.error!.message} The columns are ${columns.join(", ")}. If one of them is meant, say so: --columns name=column (in code columns: { name: "column" }).`,
  );
}
