import type { Message } from "./row.ts";

/** What a value of a data set is, as far as formats are told apart by it. */
export type Shape = "text" | "messages" | "texts" | "booleans" | "list" | "boolean" | "number" | "object" | "nothing";

const roles: ReadonlySet<unknown> = new Set(["system", "user", "assistant", "tool", "developer"]);

export function shapeOf(value: unknown): Shape {
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "string") return "text";
  if (typeof value === "boolean") return "boolean";
  if (typeof value === "number") return "number";
  if (!Array.isArray(value)) return "object";
  if (value.length > 0 && value.every((one) => typeof one === "object" && one !== null && "role" in one)) return "messages";
  if (value.every((one) => typeof one === "string")) return "texts";
  return value.every((one) => typeof one === "boolean") ? "booleans" : "list";
}

/** What is wrong with a list of messages; null when nothing is. */
export function messageProblem(messages: readonly unknown[]): string | null {
  for (const [i, message] of messages.entries()) {
    const { role, content, tool_calls: toolCalls } = message as Readonly<Record<string, unknown>>;
    if (!roles.has(role)) return `the message ${i + 1} has a role other than ${[...roles].join(", ")}`;
    const isCall = Array.isArray(toolCalls) && toolCalls.length > 0;
    if (typeof content !== "string" && !Array.isArray(content) && !(isCall && (content === undefined || content === null)))
      return `the message ${i + 1} has no content`;
  }
  return null;
}

/** Whether a value can be a prompt or a completion. */
export const isTextOrMessages = (value: unknown): value is string | readonly Message[] =>
  typeof value === "string" || shapeOf(value) === "messages";

/** The value at a path such as "reward_model.ground_truth"; a column of that very name comes first. */
export function valueAt(row: Readonly<Record<string, unknown>>, path: string): unknown {
  if (path in row || !path.includes(".")) return row[path];
  let value: unknown = row;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}
