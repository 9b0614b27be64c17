import type { Capabilities } from "./capabilities.ts";
import { failureOf, type RemoteModel, type Sampled } from "./client.ts";
import { splitThinking } from "./reply.ts";

/** What a server was found to do, by asking it. */
export interface Probe {
  readonly address: string;
  readonly model: string;
  /** Names of the models that it lists; null when it lists none. */
  readonly models: readonly string[] | null;
  /** Whether `/chat/completions` answered; else why not. */
  readonly chat: true | string;
  readonly n: Capabilities["n"];
  readonly seed: Capabilities["seed"];
  readonly logProbs: Capabilities["logProbs"];
  /** The most alternatives to a token that came back; 0 without log-probabilities. */
  readonly topLogProbs: number;
  /** Whether the reported tokens, joined, are the text. Null without tokens. */
  readonly tokensSpellText: boolean | null;
  /** "kept": an answer held to a schema obeyed it. */
  readonly jsonSchema: "kept" | "ignored" | "refused" | "unknown";
  /** Where reasoning goes: into a field of its own, into the text between think tags, or nowhere. */
  readonly reasoning: "field" | "tags" | "none";
  readonly limit: Capabilities["limit"];
  /** Whether replies say what they cost. */
  readonly usage: boolean;
  /** Whether `/completions` answered, whether it echoed the prompt with log-probabilities, and whether it took token ids. */
  readonly completions: boolean;
  readonly echo: boolean;
  readonly tokenPrompts: boolean;
}

/**
 * Finds out what a server can do, with about six small requests. What is learned stays with the client: later requests leave out what the
 * server refused.
 *
 * @throws GuerdonError "io" when neither `/chat/completions` nor `/completions` answers, "interrupted" when aborted
 */
export async function probe(model: RemoteModel, signal?: AbortSignal): Promise<Probe> {
  const stop = signal === undefined ? {} : { signal };
  /** What came, or the error of a server; anything else is thrown. */
  const attempt = async <T>(work: Promise<T>): Promise<T | Error> => {
    try {
      return await work;
    } catch (error) {
      const failure = failureOf(error);
      if (failure === null || failure.kind === "aborted") throw error;
      return error as Error;
    }
  };
  const listed = await attempt(model.models(signal));
  const chat = await attempt(
    model.chat([{ role: "user", content: "Reply with the word yes." }], { n: 2, seed: 1, logProbs: 20, maxTokens: 64, ...stop }),
  );
  const schema = { type: "object", properties: { probe: { type: "integer" } }, required: ["probe"], additionalProperties: false };
  const held =
    chat instanceof Error
      ? null
      : await attempt(
          model.chat([{ role: "user", content: "Which number is next: 1, 2, 3?" }], {
            jsonSchema: { name: "probe", schema },
            maxTokens: 256,
            ...stop,
          }),
        );
  const text = await attempt(model.complete("1 2 3", { maxTokens: 1, ...stop }));
  if (chat instanceof Error && text instanceof Error) throw chat;
  const echoed = text instanceof Error ? null : await attempt(model.complete("1 2 3", { maxTokens: 1, echo: true, logProbs: 1, ...stop }));
  const ids = text instanceof Error ? null : await attempt(model.complete([1, 2, 3], { maxTokens: 1, ...stop }));
  const known = model.capabilities();
  const samples = chat instanceof Error ? [] : chat.samples;
  const tokens = samples.flatMap((sample) => (sample.tokens === null ? [] : [{ text: sample.text, tokens: sample.tokens }]));
  return {
    address: model.address,
    model: model.model,
    models: listed instanceof Error ? null : listed,
    chat: chat instanceof Error ? chat.message : true,
    n: known.n,
    seed: known.seed,
    logProbs: known.logProbs,
    topLogProbs: Math.max(0, ...tokens.flatMap((one) => one.tokens.map(({ top }) => top.length))),
    tokensSpellText: tokens.length === 0 ? null : tokens.every((one) => one.tokens.map(({ token }) => token).join("") === one.text),
    jsonSchema: keeping(held),
    reasoning: samples.some(({ reasoning }) => reasoning !== null)
      ? "field"
      : samples.some((sample) => splitThinking(sample.text).reasoning !== null)
        ? "tags"
        : "none",
    limit: known.limit,
    usage: model.usage().requests > model.usage().uncounted,
    completions: !(text instanceof Error),
    echo: isAnswer(echoed) && echoed.samples.some((sample) => sample.text.startsWith("1 2 3") && sample.tokens !== null),
    tokenPrompts: isAnswer(ids),
  };
}

const isAnswer = (outcome: Sampled | Error | null): outcome is Sampled => outcome !== null && !(outcome instanceof Error);

/** Whether an answer that was to be `{ "probe": whole number }` is. */
function keeping(held: Sampled | Error | null): Probe["jsonSchema"] {
  if (!isAnswer(held)) return "unknown";
  if (held.without.includes("jsonSchema")) return "refused";
  const { text } = splitThinking(held.samples[0]!.text);
  return /^\s*\{\s*"probe"\s*:\s*-?\d+\s*\}\s*$/.test(text) ? "kept" : "ignored";
}
