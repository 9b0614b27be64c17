import type { Read } from "./transport.ts";

/** A token that a server reports, and the log-probability that the model gave it (null for the first token of an echoed prompt). */
export interface TokenLogProb {
  readonly token: string;
  readonly logProb: number | null;
}
/** A token of a sample, with the likeliest tokens in its place, in the server's order; empty when they were not asked for. */
export interface SampledToken extends TokenLogProb {
  readonly top: readonly (TokenLogProb & { readonly logProb: number })[];
}

/** One answer of a remote model. */
export interface Sample {
  /** What the model said, as it is: some servers leave `<think>...</think>` in it (see splitThinking). */
  readonly text: string;
  /** The reasoning, from servers that send it apart from the answer. */
  readonly reasoning: string | null;
  /** Why the model would not answer, from servers that say so apart from the answer. */
  readonly refusal: string | null;
  /** "length": cut at the token limit; "filter": removed by the provider; "other": the server did not say, or said something unknown. */
  readonly stop: "stop" | "length" | "tool" | "filter" | "other";
  /** The tokens with their log-probabilities; null when they were not asked for, or the server gives none. */
  readonly tokens: readonly SampledToken[] | null;
  /** Ids of the tokens, from servers that send them (vLLM with `return_token_ids`). */
  readonly ids: readonly number[] | null;
  readonly toolCalls: readonly { readonly name: string; readonly arguments: string }[];
}

/** What a reply says of its cost; null where it does not. */
export interface Counted {
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
}

export interface Reply {
  /** In the order of their `index`. */
  readonly samples: readonly Sample[];
  readonly counted: Counted;
}

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);
const wholeOrNull = (value: unknown): number | null => (Number.isInteger(value) && (value as number) >= 0 ? (value as number) : null);
const textOrNull = (value: unknown): string | null => (typeof value === "string" ? value : null);

/** Reads a reply of `/chat/completions` or `/completions`. */
export const readReply: Read<Reply> = (body) => {
  if (!isFields(body)) return { problem: "is not an object" };
  const { choices, usage, error } = body;
  // Some gateways send their errors with status 200.
  if (choices === undefined && error !== undefined)
    return {
      problem: `holds an error: ${isFields(error) ? (textOrNull(error["message"]) ?? "without a message") : JSON.stringify(error)}`,
    };
  if (!Array.isArray(choices)) return { problem: "has no list of choices" };
  if (choices.length === 0) return { problem: "has an empty list of choices" };
  const read: { readonly sample: Sample; readonly index: number }[] = [];
  for (const [place, choice] of choices.entries()) {
    const sample = isFields(choice) ? sampleOf(choice) : null;
    if (sample === null) return { problem: `has neither a message nor a text in choice ${place + 1}` };
    read.push({ sample, index: wholeOrNull((choice as Fields)["index"]) ?? place });
  }
  const count = (name: string): number | null => (isFields(usage) ? wholeOrNull(usage[name]) : null);
  return {
    value: {
      samples: read.sort((a, b) => a.index - b.index).map(({ sample }) => sample),
      counted: { promptTokens: count("prompt_tokens"), completionTokens: count("completion_tokens") },
    },
  };
};

function sampleOf(choice: Fields): Sample | null {
  const { message, text, finish_reason, logprobs, token_ids } = choice;
  const stop = stops[String(finish_reason)] ?? "other";
  const ids = Array.isArray(token_ids) && token_ids.every(Number.isInteger) ? (token_ids as number[]) : null;
  if (typeof text === "string")
    return { text, reasoning: null, refusal: null, stop, tokens: completionTokens(logprobs), ids, toolCalls: [] };
  if (!isFields(message)) return null;
  const { content, refusal, reasoning_content, reasoning, tool_calls } = message;
  const said = contentText(content);
  if (said === null) return null;
  return {
    text: said,
    reasoning: textOrNull(reasoning_content) ?? textOrNull(reasoning),
    refusal: refusal === "" ? null : textOrNull(refusal),
    stop,
    tokens: chatTokens(logprobs),
    ids,
    toolCalls: Array.isArray(tool_calls) ? tool_calls.flatMap(toolCall) : [],
  };
}

const stops: Readonly<Record<string, Sample["stop"]>> = {
  stop: "stop",
  length: "length",
  tool_calls: "tool",
  function_call: "tool",
  content_filter: "filter",
};

/** A message's content: a text, null (refusals, tool calls), or a list of parts. Null for anything else. */
function contentText(content: unknown): string | null {
  if (typeof content === "string") return content;
  if (content === null || content === undefined) return "";
  if (!Array.isArray(content)) return null;
  return content.map((part) => (isFields(part) ? (textOrNull(part["text"]) ?? "") : "")).join("");
}

function toolCall(call: unknown): { name: string; arguments: string }[] {
  const inner = isFields(call) ? call["function"] : null;
  if (!isFields(inner) || typeof inner["name"] !== "string") return [];
  const given = inner["arguments"];
  return [{ name: inner["name"], arguments: typeof given === "string" ? given : JSON.stringify(given ?? {}) }];
}

/** `{ content: [{ token, logprob, top_logprobs }] }`; null when absent, null, or not readable as a whole: half a list would mislead. */
function chatTokens(logprobs: unknown): SampledToken[] | null {
  const content = isFields(logprobs) ? logprobs["content"] : null;
  if (!Array.isArray(content) || content.length === 0) return null;
  const tokens: SampledToken[] = [];
  for (const one of content) {
    const token = tokenOf(one);
    if (token === null) return null;
    const others: unknown = (one as Fields)["top_logprobs"];
    tokens.push({
      ...token,
      top: Array.isArray(others) ? others.flatMap((other) => tokenOf(other) ?? []) : [],
    });
  }
  return tokens;
}

function tokenOf(one: unknown): (TokenLogProb & { readonly logProb: number }) | null {
  if (!isFields(one) || typeof one["token"] !== "string") return null;
  const logProb = one["logprob"];
  return typeof logProb === "number" && Number.isFinite(logProb) ? { token: one["token"], logProb } : null;
}

/** `{ tokens, token_logprobs, top_logprobs: [{ token: logprob }] }`, as the older endpoint writes them. */
function completionTokens(logprobs: unknown): SampledToken[] | null {
  if (!isFields(logprobs)) return null;
  const { tokens, token_logprobs, top_logprobs } = logprobs;
  if (!Array.isArray(tokens) || !Array.isArray(token_logprobs) || tokens.length === 0 || tokens.length !== token_logprobs.length)
    return null;
  const read: SampledToken[] = [];
  for (const [i, token] of tokens.entries()) {
    const logProb: unknown = token_logprobs[i];
    if (typeof token !== "string" || !(logProb === null || (typeof logProb === "number" && Number.isFinite(logProb)))) return null;
    const others: unknown = Array.isArray(top_logprobs) ? top_logprobs[i] : null;
    const top = isFields(others) ? Object.entries(others).map(([name, value]) => ({ token: name, logprob: value })) : [];
    read.push({ token, logProb, top: top.flatMap((other) => tokenOf(other) ?? []) });
  }
  return read;
}

/**
 * Parts the reasoning that a model wrote into its answer from the answer: what is before `</think>` (with or without the opening tag,
 * which some chat templates write themselves). An answer that was cut while thinking has reasoning only.
 */
export function splitThinking(text: string): { readonly reasoning: string | null; readonly text: string } {
  const end = text.lastIndexOf("</think>");
  if (end >= 0)
    return {
      reasoning: text
        .slice(0, end)
        .replace(/^\s*<think>/, "")
        .trim(),
      text: text.slice(end + "</think>".length).trim(),
    };
  return /^\s*<think>/.test(text) ? { reasoning: text.replace(/^\s*<think>/, "").trim(), text: "" } : { reasoning: null, text };
}
