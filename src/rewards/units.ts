import { GuerdonError } from "../error.ts";
import { quoted } from "./grade.ts";
import type { Answer, Scope } from "./reward.ts";

/** An answer with what it was made of, and its place for messages. */
export interface Placed<T> extends Answer {
  readonly item: T;
  /** For instance "answers.jsonl row 17"; null for rows in memory. */
  readonly where: string | null;
  /** Why it is unscorable whatever the reward. */
  readonly problem?: string;
}

/**
 * What answers must share to be compared: the row's group, or without one its prompt. Whatever cannot be told apart for certain is refused: a
 * group of strangers gives wrong grades.
 *
 * @param where the row's name in messages, for instance "row 3"
 * @throws GuerdonError "input" for a group that is neither text nor a number, or a row with neither group nor prompt
 */
export function groupOf({ group, prompt }: Readonly<Record<string, unknown>>, where: string): string {
  if (group === undefined || group === null) {
    if (typeof prompt === "string" || Array.isArray(prompt)) return `prompt ${JSON.stringify(prompt)}`;
    throw new GuerdonError("input", `${where} has neither a group nor a prompt, and the reward compares answers to one prompt.`);
  }
  if (typeof group === "string") return `text ${group}`;
  if (typeof group === "bigint" || (typeof group === "number" && !Number.isNaN(group))) return `number ${group}`;
  throw new GuerdonError("input", `The group of ${where} must be text or a number, not ${quoted(group)}.`);
}

/** Rows of a batch reward that are handed over at once. */
const batchRows = 1024;

/**
 * What is scored in one go: a row; all answers to a prompt; or as many as come, by the reward's scope.
 *
 * Rows of a group need not stand together, but within `window` rows: so many are held back before the group of the oldest is handed over.
 * A row of a group that has been handed over is an error: half a group is never scored.
 */
export async function* unitsOf<T>(
  scope: Scope,
  answers: AsyncIterable<Placed<T>>,
  window: number,
): AsyncGenerator<readonly Placed<T>[], void, undefined> {
  if (scope === "row") {
    for await (const answer of answers) yield [answer];
  } else if (scope === "batch") {
    let unit: Placed<T>[] = [];
    for await (const answer of answers) {
      unit.push(answer);
      if (unit.length < Math.min(batchRows, window)) continue;
      yield unit;
      unit = [];
    }
    if (unit.length > 0) yield unit;
  } else yield* groups(answers, window);
}

async function* groups<T>(answers: AsyncIterable<Placed<T>>, window: number): AsyncGenerator<readonly Placed<T>[], void, undefined> {
  const open = new Map<string, Placed<T>[]>(); // in the order of their first rows
  const closed = new Set<number>();
  let held = 0;
  for await (const answer of answers) {
    const rows = open.get(answer.group);
    if (rows !== undefined) rows.push(answer);
    else {
      if (closed.has(hash(answer.group))) throw tornGroup(answer, window);
      open.set(answer.group, [answer]);
    }
    held++;
    if (held < window) continue;
    const [group, oldest] = open.entries().next().value!;
    open.delete(group);
    closed.add(hash(group));
    held -= oldest.length;
    yield oldest;
  }
  yield* open.values();
}

const tornGroup = ({ where, index }: Placed<unknown>, window: number): GuerdonError =>
  new GuerdonError(
    "input",
    `${where ?? `row ${index + 1}`}: the other rows of its group (the same "group", or without one the same prompt) stand more than ${window} rows earlier and have been scored. A reward of groups needs whole groups: sort the rows by prompt.`,
  );

/** 53 bits of a text, for a set of millions of groups that takes little memory. */
function hash(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    high = Math.imul(high ^ c, 0x9e3779b1);
    low = Math.imul(low ^ c, 0x5f356495);
  }
  high = Math.imul(high ^ (high >>> 16), 0x85ebca6b) ^ Math.imul(low ^ (low >>> 13), 0xc2b2ae35);
  low = Math.imul(low ^ (low >>> 16), 0x85ebca6b) ^ Math.imul(high ^ (high >>> 13), 0xc2b2ae35);
  return (high & 0x1fffff) * 2 ** 32 + (low >>> 0);
}
