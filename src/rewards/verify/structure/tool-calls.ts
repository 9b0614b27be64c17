import type { Message } from "../../../data/row.ts";
import type { Score } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { answerJson } from "../answer-data.ts";
import { columns, isRecord, type Check } from "../columns.ts";
import { bagJaccard } from "../text/bag.ts";
import { sameJson } from "./json-schema.ts";

/** A call of a tool with arguments by name. */
export interface ToolCall {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** A call as rows hold it: our own form, or that of the chat APIs, whose arguments may be JSON text. */
function toCall(value: unknown): ToolCall | null {
  if (!isRecord(value)) return null;
  const { name, arguments: given = value["parameters"] ?? {} } = (isRecord(value["function"]) ? value["function"] : value) as Readonly<
    Record<string, unknown>
  >;
  const inside = typeof given === "string" ? answerJson(given)?.value : given;
  return typeof name === "string" && name !== "" && isRecord(inside) ? { name, arguments: inside } : null;
}

/**
 * The tool calls of an answer: `tool_calls` of its last assistant message; or the JSON objects in `<tool_call>` tags, one or several to a tag,
 * a line each or as a list; or an answer that is one call or a list of calls in JSON. Null where something that should be a call cannot be read.
 */
export function toolCallsIn(completion: string | readonly Message[], text: string): ToolCall[] | null {
  const message = typeof completion === "string" ? undefined : completion.findLast(({ role }) => role === "assistant");
  const given = message?.["tool_calls"];
  if (Array.isArray(given) && given.length > 0) return allCalls(given);
  const [before, ...tagged] = text.split("<tool_call>");
  if (tagged.length > 0 || text.includes("</tool_call>")) {
    const blocks = tagged.map((piece) => piece.split("</tool_call>"));
    if (before!.includes("</tool_call>") || blocks.some((pieces) => pieces.length !== 2)) return null;
    return allCalls(blocks.flatMap(([block]) => callsOfBlock(block!.trim())));
  }
  const found = bare(text);
  if (found === undefined) return [];
  const list: readonly unknown[] = Array.isArray(found) ? found : [found];
  return list.some(toCall) ? allCalls(list) : [];
}

function callsOfBlock(block: string): readonly unknown[] {
  const whole = bare(block);
  if (whole !== undefined) return Array.isArray(whole) ? whole : [whole];
  return block
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => bare(line));
}

function bare(text: string): unknown {
  const inside = /^\s*```\w*[ \t]*\r?\n([^]*?)\r?\n?```\s*$/.exec(text)?.[1] ?? text;
  try {
    return JSON.parse(inside);
  } catch {
    return undefined;
  }
}

function allCalls(list: readonly unknown[]): ToolCall[] | null {
  const calls = list.map(toCall).filter((call) => call !== null);
  return calls.length === list.length ? calls : null;
}

const sameCall = (a: ToolCall, b: ToolCall): boolean => a.name === b.name && sameJson(a.arguments, b.arguments);

/** Whether calls are equal one by one in order, JSON values compared by type. */
export const sameCalls = (a: readonly ToolCall[], b: readonly ToolCall[]): boolean =>
  a.length === b.length && a.every((call, i) => sameCall(call, b[i]!));

/**
 * How well calls fit the right ones: 3 when they are the same in order, else 6 S / S_max - 3, where S is the Jaccard index of the names plus,
 * for each right call in turn, the Jaccard index of the parameters' names plus the number of equal values of the best call of that name that
 * is left. Without right calls it is 0.
 *
 * @param calls null where they could not be read
 * @returns a number from -3 to 3
 * Source: ToolRL, arXiv 2504.13958.
 */
export function toolCallScore(calls: readonly ToolCall[] | null, right: readonly ToolCall[]): number {
  if (right.length === 0) return 0;
  if (calls === null) return -3;
  if (sameCalls(calls, right)) return 3;
  let total = bagJaccard(
    calls.map(({ name }) => name),
    right.map(({ name }) => name),
  );
  const left = new Set(calls);
  for (const wanted of right) {
    let best: { readonly call: ToolCall; readonly value: number } | null = null;
    for (const call of left) {
      if (call.name !== wanted.name) continue;
      const names = Object.keys(wanted.arguments);
      const equal = names.filter(
        (key) => Object.hasOwn(call.arguments, key) && sameJson(call.arguments[key], wanted.arguments[key]),
      ).length;
      const value = bagJaccard(Object.keys(call.arguments), names) + equal;
      if (value > (best?.value ?? 0)) best = { call, value };
    }
    if (best === null) continue;
    left.delete(best.call);
    total += best.value;
  }
  const most = 1 + right.reduce((sum, { arguments: wanted }) => sum + 1 + Object.keys(wanted).length, 0);
  return (6 * total) / most - 3;
}

/** The column `tool_calls`: the right calls, as { name, arguments } or as the chat APIs write them; an empty list when none is right. */
export interface WithToolCalls {
  readonly tool_calls: readonly (ToolCall | Readonly<Record<string, unknown>>)[];
}

const toolCalls: Check<WithToolCalls["tool_calls"], readonly ToolCall[]> = (cell) => {
  if (!Array.isArray(cell)) return "must be a list of calls { name, arguments }";
  const bad = cell.findIndex((one) => toCall(one) === null);
  return bad < 0 ? { value: cell.map((one) => toCall(one)!) } : `has no call { name, arguments } in entry ${bad + 1}`;
};

export interface ToolCallsOptions {
  /**
   * "exact" (unless said): 1 when the calls are the right ones in order, else 0; "set": in any order; "graded": `toolCallScore`, from -3 to 3.
   */
  readonly by?: "exact" | "set" | "graded";
  readonly name?: string;
}

/**
 * Whether an answer calls the right tools with the right arguments (see `toolCallsIn` for where calls are looked for). Calls that cannot be
 * read are wrong.
 */
export function toolCallMatch({ by = "exact", name = "tool-calls" }: ToolCallsOptions = {}): Reward<WithToolCalls> {
  const declared = columns<WithToolCalls, { readonly tool_calls: readonly ToolCall[] }>({ tool_calls: toolCalls });
  return reward(name, { version: `1 ${by}`, columns: declared }, ({ text, completion, tool_calls: right }): Score => {
    const calls = toolCallsIn(completion, text);
    const note = calls === null ? "calls that cannot be read" : `${calls.length} calls for ${right.length}`;
    if (by === "graded") return { value: toolCallScore(calls, right), note };
    if (calls === null) return { value: 0, note };
    return { value: (by === "exact" ? sameCalls(calls, right) : sameSet(calls, right)) ? 1 : 0, note };
  });
}

function sameSet(calls: readonly ToolCall[], right: readonly ToolCall[]): boolean {
  const left = [...calls];
  for (const wanted of right) {
    const i = left.findIndex((call) => sameCall(call, wanted));
    if (i < 0) return false;
    left.splice(i, 1);
  }
  return left.length === 0;
}
