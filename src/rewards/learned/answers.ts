import { GuerdonError } from "../../error.ts";
import type { Message } from "../../data/row.ts";
import type { ControlSequence, TextSequence } from "../../policies/policy.ts";
import type { FeatureSequence } from "../../policies/scorer.ts";
import type { Tokenizer } from "../../policies/tokenizer.ts";
import { quoted } from "../grade.ts";
import { finalText } from "../reward.ts";

/*
 * How an answer becomes the row of a model. Fitting and scoring use the same functions, so that a reward sees answers as it learnt them.
 */

/**
 * A feature vector as a row.
 *
 * @param where names it in errors, for instance "pair 3: chosen"
 * @throws GuerdonError "input" unless it is a list of finite numbers
 */
export function featureRow(values: unknown, where: string): FeatureSequence {
  return { features: numbers(values, where, "features") };
}

/** A control episode as a row: observations and actions as flat lists of numbers. Throws as `featureRow` does. */
export function controlRow(row: { readonly observations?: unknown; readonly actions?: unknown }, where: string): ControlSequence {
  return { observations: numbers(row.observations, where, "observations"), actions: numbers(row.actions, where, "actions") };
}

function numbers(values: unknown, where: string, what: string): Float32Array {
  if (!Array.isArray(values) && !(values instanceof Float32Array) && !(values instanceof Float64Array))
    throw new GuerdonError("input", `${where}: ${what} must be a list of numbers, not ${quoted(values)}.`);
  const bad = Array.from<unknown>(values).findIndex((value) => typeof value !== "number" || !Number.isFinite(Math.fround(value)));
  if (bad >= 0)
    throw new GuerdonError("input", `${where}: number ${bad + 1} of the ${what} is ${quoted(values[bad])}, not a finite number.`);
  if (values.length === 0) throw new GuerdonError("input", `${where}: the ${what} are empty.`);
  return Float32Array.from(values as ArrayLike<number>);
}

/** An answer's text as tokens, and where its steps end. */
export interface TextAnswer {
  readonly row: TextSequence;
  /** Number of actions up to the end of each step. */
  readonly ends: readonly number[];
}

/**
 * A question and its answer as tokens. The tokenizer's end token, where it has one, closes the answer and belongs to its last step. Steps
 * are encoded one by one.
 *
 * @param answer text, a list of messages of which the last assistant message counts, or the texts of its steps
 * @throws GuerdonError "input" for an answer without tokens, or without text
 */
export function textAnswer(
  tokenizer: Tokenizer,
  prompt: string | readonly Message[],
  answer: string | readonly Message[] | { readonly steps: readonly string[] },
  where: string,
): TextAnswer {
  const steps = typeof answer === "object" && "steps" in answer ? answer.steps : [finalText(answer)];
  const pieces = steps.map((text, k) => {
    if (typeof text !== "string") throw new GuerdonError("input", `${where}: the answer has no assistant message with text.`);
    const ids = [...encoded(where, () => tokenizer.encode(text))];
    if (k === steps.length - 1 && tokenizer.end !== null) ids.push(tokenizer.end);
    if (ids.length === 0) throw new GuerdonError("input", `${where}: ${steps.length > 1 ? `step ${k + 1}` : "the answer"} has no tokens.`);
    return ids;
  });
  if (pieces.length === 0) throw new GuerdonError("input", `${where}: the answer has no steps.`);
  let end = 0;
  return {
    row: { prompt: encoded(where, () => tokenizer.encodePrompt(prompt)), actions: Int32Array.from(pieces.flat()) },
    ends: pieces.map((ids) => (end += ids.length)),
  };
}

/** What a tokenizer refuses, with the name of the row. */
function encoded(where: string, encode: () => Int32Array): Int32Array {
  try {
    return encode();
  } catch (cause) {
    if (!(cause instanceof GuerdonError)) throw cause;
    throw new GuerdonError(cause.code, `${where}: ${cause.message}`, { cause });
  }
}
