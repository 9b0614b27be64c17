import { GuerdonError } from "../error.ts";
import type { Message } from "./row.ts";

export interface Preference {
  readonly prompt: string | readonly Message[];
  readonly chosen: string | readonly Message[];
  readonly rejected: string | readonly Message[];
}

/**
 * The explicit form of a preference: prompt and answers apart. Where there is no prompt, it is what both answers begin with: the turns, or
 * the characters, that are the same in both. Text is cut one place earlier when it would end with a blank, as TRL does. A prompt that
 * message lists repeat is not doubled.
 *
 * @param where names the row in errors, for instance "pairs.jsonl row 3"
 * @throws GuerdonError "input" for equal answers, for answers of which one begins with the whole other (where the prompt ends cannot be
 *   seen) and for answers that have no beginning in common
 */
export function explicitPreference(
  row: {
    readonly prompt?: string | readonly Message[];
    readonly chosen: string | readonly Message[];
    readonly rejected: string | readonly Message[];
  },
  where: string,
): Preference {
  const problem = preferenceProblem(row);
  if (problem !== null) throw new GuerdonError("input", `${where}: ${problem}.`);
  const { prompt, chosen, rejected } = row;
  if (prompt !== undefined && !repeats(prompt, chosen, rejected)) return { prompt, chosen, rejected };
  const cut = commonLength(chosen, rejected);
  return { prompt: chosen.slice(0, cut), chosen: chosen.slice(cut), rejected: rejected.slice(cut) };
}

/** Why a preference has no explicit form; null when it has one. */
export function preferenceProblem({ prompt, chosen, rejected }: Partial<Preference>): string | null {
  if (chosen === undefined || rejected === undefined) return null;
  if (typeof chosen !== typeof rejected)
    return `"chosen" is ${typeof chosen === "string" ? "text" : "a list of messages"} and "rejected" is not`;
  if (same(chosen, rejected)) return '"chosen" and "rejected" are equal';
  if (prompt !== undefined && !repeats(prompt, chosen, rejected)) return null;
  const shared = rawCommonLength(chosen, rejected);
  if (shared === 0) return 'there is no prompt, and "chosen" and "rejected" have no beginning in common';
  if (shared === Math.min(chosen.length, rejected.length))
    return `there is no prompt, and "${chosen.length < rejected.length ? "rejected" : "chosen"}" begins with the whole other answer, so that it cannot be seen where the prompt ends`;
  return commonLength(chosen, rejected) === 0 ? 'there is no prompt, and "chosen" and "rejected" share only a blank' : null;
}

type Answer = string | readonly Message[];

/** Some data sets give the prompt as text and again as the first turn of both answers. */
function repeats(prompt: Answer, chosen: Answer, rejected: Answer): boolean {
  const begins = (answer: Answer): boolean => {
    if (typeof answer === "string") return false;
    if (typeof prompt === "string") return answer.length > 1 && answer.some(({ role, content }) => role === "user" && content === prompt);
    return answer.length > prompt.length && prompt.every((message, i) => same(message, answer[i]));
  };
  return begins(chosen) && begins(rejected);
}

/** Places that are the same at the beginning of both. */
function rawCommonLength(a: Answer, b: Answer): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && (a[length] === b[length] || same(a[length], b[length]))) length++;
  return length;
}

function commonLength(a: Answer, b: Answer): number {
  const length = rawCommonLength(a, b);
  if (typeof a !== "string" || length === 0) return length;
  // Neither a blank at the prompt's end nor half of a character that UTF-16 writes in two places.
  const last = a.charCodeAt(length - 1);
  return last === 32 || (last >= 0xd800 && last < 0xdc00) ? length - 1 : length;
}

/** Equal as JSON. Messages of one file write their fields in one order. */
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
