import type { Message } from "../../data/row.ts";
import { GuerdonError } from "../../error.ts";
import { failureOf, type RemoteModel, type SampleOptions } from "../../policies/remote/client.ts";
import type { Failure } from "../../policies/remote/transport.ts";
import { splitThinking, type Sample } from "../../policies/remote/reply.ts";
import type { Usage } from "../../policies/remote/usage.ts";
import type { CallContext } from "../calls.ts";
import { quoted, type ScoreError } from "../grade.ts";
import { labelProbabilities, type LabelProbabilities } from "./probabilities.ts";
import { shortHash, type Prompt } from "./prompt.ts";

/** What all judges take. */
export interface JudgeOptions {
  /** Who judges: `openAi({ baseUrl, model })`. Its `cache` makes repeated judgements free. */
  readonly model: RemoteModel;
  /** How reports call it. */
  readonly name?: string;
  /** A prompt of your own (`await readPrompt("judge.md")`); begin with a copy of the one in `src/rewards/judge/prompts`. */
  readonly prompt?: Prompt;
  /** Judgements asked for each; 1 unless said. */
  readonly votes?: number;
  /** Judgements that must be readable, or else there is no grade; all of them unless said. */
  readonly minimumVotes?: number;
  /** 0 for one vote and 1 for several unless said; null sends none, for servers that refuse it. */
  readonly temperature?: number | null;
  /** The most tokens of one judgement, reasoning included; 1,024 unless said. */
  readonly maxTokens?: number;
  /** Seed of the votes, where the server takes one; 0 unless said. */
  readonly seed?: number;
  /** "probabilities" reads the model's probabilities of the possible verdicts instead of one verdict; needs log-probabilities. */
  readonly from?: "answer" | "probabilities";
}

export interface Settings {
  readonly model: RemoteModel;
  readonly prompt: Prompt | null;
  readonly votes: number;
  readonly minimumVotes: number;
  readonly from: "answer" | "probabilities";
  readonly sampling: SampleOptions & { readonly seed: number };
  /** Changes with everything that may change a judgement. */
  readonly version: (more: unknown) => string;
}

/** @throws GuerdonError "usage" for options out of range */
export function judgeSettings(judge: string, options: JudgeOptions, promptVersion: string): Settings {
  const { model, prompt = null, votes = 1, minimumVotes = votes, maxTokens, seed = 0, from = "answer" } = options;
  const temperature = options.temperature === undefined ? (votes > 1 ? 1 : 0) : options.temperature;
  const refuse = (what: string): never => {
    throw new GuerdonError("usage", `${judge}: ${what}.`);
  };
  if (!(Number.isInteger(votes) && votes >= 1)) refuse(`votes must be a whole number of at least 1, not ${votes}`);
  if (!(Number.isInteger(minimumVotes) && minimumVotes >= 1 && minimumVotes <= votes))
    refuse(`minimumVotes must be a whole number from 1 to votes (${votes}), not ${minimumVotes}`);
  if (temperature !== null && !(temperature >= 0 && temperature <= 2))
    refuse(`temperature must be from 0 to 2 or null, not ${temperature}`);
  if (from === "probabilities" && votes > 1) refuse("votes add nothing to probabilities: leave one of the two out");
  const sampling = {
    maxTokens: maxTokens ?? (from === "probabilities" ? 16 : 1024),
    ...(temperature === null ? {} : { temperature }),
    seed,
  };
  return {
    model,
    prompt,
    votes,
    minimumVotes,
    from,
    sampling,
    version: (more) =>
      `1-${shortHash(JSON.stringify([judge, model.model, prompt?.text ?? promptVersion, votes, minimumVotes, from, sampling, more]))}`,
  };
}

/** One judgement: what the judge said, or why there is nothing to go by. */
export type Judgement<T> = { readonly verdict: T; readonly error?: undefined } | { readonly error: ScoreError };

/** What a judge is asked to answer with. */
export interface Form<T> {
  readonly name: string;
  readonly schema: object;
  /** The same in words, for the prompt's {{format}}; it is needed where a server ignores schemas. */
  readonly words: string;
  /** The verdict, or what is wrong with the object ("rating must be ..."). */
  readonly read: (fields: Readonly<Record<string, unknown>>) => { readonly verdict: T } | { readonly problem: string };
}

/**
 * Asks for `votes` judgements of the same messages. A reply that cannot be read is sent back once, with what is wrong with it; what stays
 * unreadable, refused, filtered, cut or unanswered is an error of that judgement, never a verdict.
 */
export async function judge<T>(
  { model, votes, sampling }: Settings,
  messages: readonly Message[],
  form: Form<T>,
  context: CallContext,
): Promise<readonly Judgement<T>[]> {
  const ask = async (asked: readonly Message[], n: number): Promise<readonly Sample[] | ScoreError> => {
    try {
      const jsonSchema = { name: form.name, schema: form.schema };
      const { samples, usage } = await model.chat(asked, { ...sampling, n, jsonSchema, signal: context.signal });
      context.spend(amounts(usage));
      return samples;
    } catch (cause) {
      return errorOf(cause, context);
    }
  };
  const samples = await ask(messages, votes);
  if (isError(samples)) return Array.from({ length: votes }, () => ({ error: samples }));
  return Promise.all(
    samples.map(async (sample): Promise<Judgement<T>> => {
      const first = readForm(sample, form);
      if (!("problem" in first)) return first;
      const problem = `That could not be read: ${first.problem}. Give the same judgement again, in the form asked for.\n\n${form.words}`;
      const repaired = await ask(
        [...messages, { role: "assistant", content: sample.text.slice(-8000) }, { role: "user", content: problem }],
        1,
      );
      if (isError(repaired)) return { error: repaired };
      const second = readForm(repaired[0]!, form);
      if (!("problem" in second)) return second;
      return {
        error: {
          kind: "unparsable",
          message: `The judge's reply could not be read, and neither could its second one: ${second.problem}. It said ${quoted(repaired[0]!.text)}.`,
        },
      };
    }),
  );
}

/** What the runner's account shows of a request; the cost is in the currency of the price. */
const amounts = ({ requests, cached, tries, promptTokens, completionTokens, cost }: Usage): Readonly<Record<string, number>> => ({
  requests,
  cached,
  tries,
  promptTokens,
  completionTokens,
  ...(cost === null ? {} : { cost }),
});

/** Asks for one reply and reads the probabilities of the labels from it. */
export async function judgeByProbabilities(
  { model, sampling }: Settings,
  messages: readonly Message[],
  labels: readonly string[],
  context: CallContext,
): Promise<Judgement<LabelProbabilities>> {
  let sample: Sample;
  try {
    const { samples, usage } = await model.chat(messages, { ...sampling, logProbs: 20, signal: context.signal });
    context.spend(amounts(usage));
    sample = samples[0]!;
  } catch (cause) {
    return { error: errorOf(cause, context) };
  }
  const stopped = withheld(sample);
  // One word is enough: what comes behind it may be cut.
  if (stopped !== null && sample.stop !== "length") return { error: stopped };
  const unparsable = (message: string): { readonly error: ScoreError } => ({ error: { kind: "unparsable", message } });
  if (sample.tokens === null) return unparsable(`${model.address} gives no log-probabilities for ${model.model}. Use from: "answer".`);
  const verdict = labelProbabilities(sample.tokens, labels);
  if (verdict !== null) return { verdict };
  return unparsable(
    `In no place of the judge's reply have ${labels.join(", ")} half of the probability together. It said ${quoted(sample.text)}.`,
  );
}

/** Why there is no whole reply, or null. */
function withheld({ refusal, stop, text }: Sample): ScoreError | null {
  if (refusal !== null) return { kind: "declined", message: `The judge refused: ${quoted(refusal)}.` };
  if (stop === "filter") return { kind: "declined", message: "The judge's reply was withheld by its provider's content filter." };
  if (stop === "length")
    return {
      kind: "unparsable",
      message: `The judge's reply was cut at its token limit: raise maxTokens. It ends with ${quoted(text.slice(-60))}.`,
    };
  return null;
}

function readForm<T>(sample: Sample, form: Form<T>): Judgement<T> | { readonly problem: string } {
  // Even when a cut or filtered reply holds a readable object: it may be one that the judge quoted on the way to its verdict.
  const stopped = withheld(sample);
  if (stopped !== null) return { error: stopped };
  const fields = lastObject(splitThinking(sample.text).text);
  return fields === null ? { problem: "there is no JSON object at its end" } : form.read(fields);
}

/**
 * The JSON object at the end of a text: alone, in a code fence, or after words. Only at the end, because a judge may quote the answer on
 * the way to its verdict, and with it an object that the answer's author wrote to be taken for one.
 */
export function lastObject(text: string): Readonly<Record<string, unknown>> | null {
  const tail = text.slice(-20_000).replace(/[\s`.*]+$/, "");
  if (!tail.endsWith("}")) return null;
  let start = tail.lastIndexOf("{");
  for (let starts = 0; start >= 0 && starts < 500; starts++) {
    const found = objectOf(tail.slice(start));
    if (found !== null) return found;
    start = start === 0 ? -1 : tail.lastIndexOf("{", start - 1);
  }
  return null;
}

function objectOf(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null; // not an object from here to there
  }
}

/** What a failed request means for the grade; its tries are put on the account. @throws whatever is no failure of a server */
function errorOf(cause: unknown, context: CallContext): ScoreError {
  const failure = failureOf(cause);
  if (failure === null) throw cause;
  context.spend({ tries: failure.tries });
  return { kind: kindOf(failure), message: `The judge could not be asked: ${failure.message}` };
}

export const kindOf = ({ kind }: Failure): ScoreError["kind"] =>
  kind === "timeout" || kind === "aborted" ? kind : kind === "reply" || kind === "too-large" ? "unparsable" : "threw";

/** The readable judgements, when there are enough, else why not: the first error, and how many there were. */
export function enough<T>(judgements: readonly Judgement<T>[], minimum: number): readonly T[] | ScoreError {
  const verdicts = judgements.flatMap((one) => (one.error === undefined ? [one.verdict] : []));
  if (verdicts.length >= minimum) return verdicts;
  const first = judgements.find((one) => one.error !== undefined)!.error!;
  return judgements.length === 1
    ? first
    : {
        kind: first.kind,
        message: `${verdicts.length} of ${judgements.length} judgements can be used, and ${minimum} are needed. ${first.message}`,
      };
}

export const isError = (value: unknown): value is ScoreError => typeof value === "object" && value !== null && "kind" in value;
