import type { Message } from "../data/row.ts";
import type { Task } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import type { TextSequence } from "./policy.ts";

/** Text to token ids and back. */
export interface Tokenizer {
  /** Number of ids; all ids are below it. */
  readonly vocabulary: number;
  /** The id that ends an answer, or null. */
  readonly end: number | null;
  /** Further ids that end one, for models with several (a turn's end and a document's). */
  readonly stops?: readonly number[];
  encode(text: string): Int32Array;
  decode(ids: ArrayLike<number>): string;
  /** A prompt as the policy is shown it: a chat template for messages, special tokens where the model wants them. */
  encodePrompt(prompt: string | readonly Message[]): Int32Array;
}

/** Every id that ends an answer: those of the tokenizer, and further ones. */
export const endings = ({ end, stops = [] }: Pick<Tokenizer, "end" | "stops">, further: readonly number[] = []): number[] => [
  ...new Set([...(end === null ? [] : [end]), ...stops, ...further]),
];

/**
 * The row that a language model begins a task with: its prompt, without actions.
 *
 * @throws GuerdonError "input" when the task's prompt is no text and no messages, or has no tokens
 */
export function shownPrompt(tokenizer: Pick<Tokenizer, "encodePrompt">, { id, prompt }: Task): TextSequence {
  if (typeof prompt !== "string" && !isMessages(prompt))
    throw new GuerdonError("input", `Task ${id}: a language model needs a prompt that is a string or a list of messages.`);
  const tokens = tokenizer.encodePrompt(prompt);
  if (tokens.length === 0) throw new GuerdonError("input", `Task ${id}: the prompt has no tokens.`);
  return { prompt: tokens, actions: new Int32Array(0) };
}

const isMessages = (prompt: unknown): prompt is readonly Message[] =>
  Array.isArray(prompt) && prompt.every((m) => typeof m === "object" && m !== null && typeof m.content === "string");

/**
 * A tokenizer whose tokens are whitespace-separated symbols; ids follow the given order. `<eos>`, if among the symbols, ends an answer.
 * Messages are joined by spaces, since these vocabularies have no roles.
 *
 * @param symbols all symbols, each once, none with whitespace
 * @throws GuerdonError "input" for a symbol or id that is not in the list
 */
export function symbolTokenizer(symbols: readonly string[]): Tokenizer {
  const ids = new Map<string, number>();
  for (const symbol of symbols) {
    if (symbol === "" || /\s/.test(symbol))
      throw new GuerdonError("usage", `symbolTokenizer: ${JSON.stringify(symbol)} is empty or has whitespace.`);
    if (ids.has(symbol)) throw new GuerdonError("usage", `symbolTokenizer: the symbol ${JSON.stringify(symbol)} is given twice.`);
    ids.set(symbol, ids.size);
  }
  const encode = (text: string): Int32Array => {
    const words = text.split(/\s+/).filter((word) => word !== "");
    return Int32Array.from(words, (word, i) => {
      const id = ids.get(word);
      if (id === undefined)
        throw new GuerdonError(
          "input",
          `Symbol ${i + 1} of ${JSON.stringify(text)} is ${JSON.stringify(word)}, which is not in the vocabulary of ${symbols.length} symbols.`,
        );
      return id;
    });
  };
  return {
    vocabulary: symbols.length,
    end: ids.get("<eos>") ?? null,
    encode,
    decode: (tokens) =>
      Array.from(tokens, (id) => {
        const symbol = symbols[id];
        if (symbol === undefined) throw new GuerdonError("input", `Token id ${id} is outside the vocabulary of ${symbols.length} symbols.`);
        return symbol;
      }).join(" "),
    encodePrompt: (prompt) => encode(typeof prompt === "string" ? prompt : prompt.map((message) => message.content).join(" ")),
  };
}
