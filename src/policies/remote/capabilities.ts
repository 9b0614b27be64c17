import type { Failure } from "./transport.ts";

/** What a server was found to do with the optional parts of a request; "unknown" until one was sent. */
export interface Capabilities {
  /** Several samples in one request. "ignored": one comes back, and the client asks again. */
  readonly n: "unknown" | "yes" | "ignored" | "refused";
  /** "refused": samples cannot be repeated. */
  readonly seed: "unknown" | "accepted" | "refused";
  /** "ignored": the request is taken, and the reply has none. */
  readonly logProbs: "unknown" | "yes" | "ignored" | "refused";
  /** The most alternatives to a token that the server takes; 20 is the most that the protocol knows. */
  readonly topLogProbs: number;
  /** Answers held to a JSON schema by `response_format`. "accepted" does not mean that the server keeps to it. */
  readonly jsonSchema: "unknown" | "accepted" | "refused";
  /** What the server calls the limit of an answer's tokens. */
  readonly limit: "max_tokens" | "max_completion_tokens";
}

export const nothingKnown: Capabilities = {
  n: "unknown",
  seed: "unknown",
  logProbs: "unknown",
  topLogProbs: 20,
  jsonSchema: "unknown",
  limit: "max_tokens",
};

/** A request's body, as far as servers disagree about it. */
export type Body = Readonly<Record<string, unknown>>;

/** The body without what this server is known to refuse. `/completions` keeps the older forms: logprobs is a number there. */
export function adapted(body: Body, known: Capabilities): Body {
  const { n, seed, logprobs, top_logprobs, response_format, max_tokens, ...rest } = body;
  const tops = typeof top_logprobs === "number" ? Math.min(top_logprobs, known.topLogProbs) : undefined;
  return {
    ...rest,
    ...(n === undefined || n === 1 || known.n === "refused" ? {} : { n }),
    ...(seed === undefined || known.seed === "refused" ? {} : { seed }),
    ...(logprobs === undefined || known.logProbs === "refused"
      ? {}
      : {
          logprobs: typeof logprobs === "number" ? Math.min(logprobs, known.topLogProbs) : logprobs,
          ...(tops === undefined ? {} : { top_logprobs: tops }),
        }),
    ...(response_format === undefined || known.jsonSchema === "refused" ? {} : { response_format }),
    ...(max_tokens === undefined ? {} : { [known.limit]: max_tokens }),
  };
}

/**
 * What a refusal (HTTP 400 or 422) teaches: the optional field that it names, among those that were sent. Null when it names none, and the
 * refusal is about something that cannot be left out.
 */
export function taught(failure: Failure, sent: Body): Partial<Capabilities> | null {
  if (failure.kind !== "status" || (failure.status !== 400 && failure.status !== 422)) return null;
  const message = failure.said;
  const names = (field: string, words: RegExp): boolean => field in sent && (failure.field === field || words.test(message));
  if (names("max_tokens", /max_completion_tokens/) && !/too large|context length|exceed/i.test(message))
    return { limit: "max_completion_tokens" };
  if (names("response_format", /response_format|json_schema|structured output|guided/i)) return { jsonSchema: "refused" };
  const asked = typeof sent["top_logprobs"] === "number" ? sent["top_logprobs"] : sent["logprobs"];
  if ((names("top_logprobs", /top_logprobs/i) || names("logprobs", /logprobs/i)) && typeof asked === "number") {
    const most = Math.max(-1, ...[...message.matchAll(/\b\d+\b/g)].map(Number).filter((count) => count < asked && count >= 1));
    if (most > 0 && /at most|\bmax\b|maximum|less than|<=|between|exceed|up to|limit/i.test(message)) return { topLogProbs: most };
  }
  if (names("top_logprobs", /top_logprobs/i) || names("logprobs", /logprobs|log probabilities/i)) return { logProbs: "refused" };
  if (names("seed", /\bseed\b/i)) return { seed: "refused" };
  if (names("n", /["'`]n["'`]|\bn (?:must|should|is|>|=|!=|<)|\bparameter:? n\b|\bmultiple (?:choices|completions|samples)/i))
    return { n: "refused" };
  return null;
}
