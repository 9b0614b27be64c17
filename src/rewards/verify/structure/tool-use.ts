import type { Message } from "../../../data/row.ts";
import { unscorable, type Score } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { columns, isRecord, type Check } from "../columns.ts";

/** Per tool the outputs that are expected of it, each once. */
export type Expected = Readonly<Record<string, readonly string[]>>;

/** A call that was made, with what the tool said. */
export interface ToolResult {
  readonly name: string;
  readonly output: string;
}

/**
 * How many expectations calls meet, in turn: a call meets a free expectation of its tool when every part of it, cut at commas, occurs in the
 * tool's output (both in lower case, the output without commas). Each expectation is used up once, and a call meets at most one.
 *
 * Tools that dump everything meet any expectation: keep outputs short.
 */
export function expectationsMet(results: readonly ToolResult[], expected: Expected): number {
  const open = new Map(Object.entries(expected).map(([name, outputs]) => [name, [...outputs]]));
  let met = 0;
  for (const { name, output } of results) {
    const said = output.toLowerCase().replaceAll(",", "");
    const left = open.get(name) ?? [];
    const i = left.findIndex((wanted) => partsOf(wanted).every((part) => said.includes(part)));
    if (i < 0) continue;
    left.splice(i, 1);
    met++;
  }
  return met;
}

const partsOf = (wanted: string): string[] =>
  wanted
    .toLowerCase()
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");

/**
 * Precision q/p (1 without calls), rate q/n and F1 2q/(p + n) of a whole trajectory.
 *
 * @param met q, expectations met
 * @param calls p, calls made, at least q
 * @param expected n, at least 1 and q
 * @returns numbers from 0 to 1
 * Source: arXiv 2508.08791.
 */
export const toolUse = (
  met: number,
  calls: number,
  expected: number,
): { readonly precision: number; readonly rate: number; readonly f1: number } => ({
  precision: calls === 0 ? 1 : met / calls,
  rate: met / expected,
  f1: (2 * met) / (calls + expected),
});

/** What became of one assistant turn. */
export type ToolTurn =
  | { readonly kind: "calls"; readonly met: number; readonly calls: number }
  | { readonly kind: "empty" }
  | { readonly kind: "broken" }
  /** A turn without calls; `left` expectations are still open. */
  | { readonly kind: "answer"; readonly hasAnswer: boolean; readonly left: number };

/**
 * The reward of one turn: with calls 2q/(p + 1), which exceeds 1 where one turn meets several expectations, or q²/p; without calls -0.5 when
 * it is empty, -0.3 with broken tool tags, 1/(1 + left) when it holds the final answer, else 0.5 when nothing was left to do, else 0.
 *
 * @returns a number of at least -0.5
 * Source: arXiv 2508.08791 and its released code.
 */
export function toolTurn(turn: ToolTurn, by: "f1" | "squared" = "f1"): number {
  switch (turn.kind) {
    case "calls":
      return by === "f1" ? (2 * turn.met) / (turn.calls + 1) : turn.calls === 0 ? 0 : turn.met ** 2 / turn.calls;
    case "empty":
      return -0.5;
    case "broken":
      return -0.3;
    case "answer":
      return turn.hasAnswer ? 1 / (1 + turn.left) : turn.left === 0 ? 0.5 : 0;
  }
}

/**
 * The calls of a conversation with their tools' outputs: every message of a tool, by its name or by the call that it answers. Also the number
 * of calls that were made.
 */
export function toolResultsIn(completion: string | readonly Message[]): { readonly results: ToolResult[]; readonly calls: number } {
  const messages = typeof completion === "string" ? [] : completion;
  const nameOf = new Map<unknown, string>();
  let calls = 0;
  const results: ToolResult[] = [];
  for (const message of messages) {
    if (message.role === "assistant" && Array.isArray(message["tool_calls"]))
      for (const call of message["tool_calls"] as readonly unknown[]) {
        calls++;
        const name = isRecord(call) ? ((isRecord(call["function"]) ? call["function"] : call)["name"] as unknown) : undefined;
        if (isRecord(call) && typeof name === "string") nameOf.set(call["id"], name);
      }
    if (message.role !== "tool") continue;
    const name = typeof message["name"] === "string" ? message["name"] : nameOf.get(message["tool_call_id"]);
    if (name !== undefined && typeof message.content === "string") results.push({ name, output: message.content });
  }
  return { results, calls: Math.max(calls, results.length) };
}

export interface WithExpected {
  readonly expected: Expected;
}

const expectedCell: Check<Expected> = (cell) => {
  if (!isRecord(cell)) return "must be lists of expected outputs by the tool's name";
  const bad = Object.entries(cell).find(
    ([, outputs]) => !(Array.isArray(outputs) && outputs.every((one) => typeof one === "string" && partsOf(one).length > 0)),
  );
  return bad === undefined ? { value: cell as Expected } : `has no list of texts for "${bad[0]}"`;
};

/**
 * How well a conversation used its tools: F1 of the expectations met (unless said), precision or rate, from 0 to 1; all three are parts.
 * Column `expected`: lists of expected outputs by tool. A row that expects nothing is unscorable.
 *
 * Precision alone is won by never calling, rate alone by calling everything.
 *
 * Source: arXiv 2508.08791.
 */
export function toolUseMatch({
  by = "f1",
  name = "tool-use",
}: { readonly by?: "f1" | "precision" | "rate"; readonly name?: string } = {}): Reward<WithExpected> {
  return reward(
    name,
    { version: `1 ${by}`, columns: columns<WithExpected, WithExpected>({ expected: expectedCell }) },
    ({ completion, expected }): Score => {
      const count = Object.values(expected).reduce((total, outputs) => total + outputs.length, 0);
      if (count === 0) return unscorable("declined", "This row expects nothing of its tools.");
      const { results, calls } = toolResultsIn(completion);
      const met = expectationsMet(results, expected);
      const parts = toolUse(met, calls, count);
      return { value: parts[by], parts: { ...parts }, note: `${met} of ${count} met in ${calls} calls` };
    },
  );
}
