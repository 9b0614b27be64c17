import type { Message } from "../../data/row.ts";
import { GuerdonError } from "../../error.ts";
import { stream } from "../../statistics/stream.ts";
import { adapted, nothingKnown, taught, type Body, type Capabilities } from "./capabilities.ts";
import { limiter } from "./limiter.ts";
import { replyCache } from "./reply-cache.ts";
import { readReply, type Reply, type Sample } from "./reply.ts";
import { redactor, secret, type Key, type Secret } from "./secret.ts";
import { baseAddress, shown, transport, type Failure, type Read } from "./transport.ts";
import { addUsage, answered, checkedPrice, failedTries, fromCache, nothingUsed, type Price, type Usage } from "./usage.ts";

export interface OpenAiOptions {
  /** The address above `/chat/completions`, for instance `http://localhost:8000/v1`. */
  readonly baseUrl: string;
  /** The model's name, as the server lists it. */
  readonly model: string;
  /** The key, or `{ env: "OPENAI_API_KEY" }` to read it from the environment. None is sent unless given. */
  readonly apiKey?: Key;
  /** Further headers; their values are treated as secrets. */
  readonly headers?: Readonly<Record<string, Key>>;
  /** Time for one try, from the request to the last byte, in milliseconds; 60,000 unless said. */
  readonly timeoutMs?: number;
  /** HTTP requests for one question, the first included; 5 unless said. */
  readonly tries?: number;
  /** The first pause between tries in milliseconds, which then doubles; 500 unless said. */
  readonly backoffMs?: number;
  /** The longest pause that a server may ask for before the question is given up, in milliseconds; 120,000 unless said. */
  readonly longestPauseMs?: number;
  /** Requests under way at the same time; 8 unless said. */
  readonly concurrency?: number;
  /** The most requests, and the most tokens sent and received, in any 60 seconds; no limit unless said. */
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  /** The most bytes of one reply; 64 MiB unless said. */
  readonly maximumBytes?: number;
  /** What a million tokens cost, for `usage().cost`. */
  readonly price?: Price;
  /** A folder in which complete answers are kept: the same question is then answered from there, at no cost, in this run and later ones. */
  readonly cache?: string;
  /** Seed of the random part of the pauses. */
  readonly seed?: number;
}

export interface SampleOptions {
  /** Samples; 1 unless said. As many come back, whatever the server makes of `n`. */
  readonly n?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly maxTokens?: number;
  readonly stop?: string | readonly string[];
  /** Sent with the first request; where a question takes several, later ones count up from it, so that samples differ. */
  readonly seed?: number;
  /** Asks for the log-probabilities of the sampled tokens, and of this many of the likeliest in their place, 0 to 20. */
  readonly logProbs?: number;
  /** Fields that only some servers know (`top_k`, `min_p`, `chat_template_kwargs`, `return_token_ids`), sent as they are. */
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}
export interface ChatOptions extends SampleOptions {
  /** Asks that the answer is JSON of this schema. */
  readonly jsonSchema?: { readonly name: string; readonly schema: object };
  readonly tools?: readonly object[];
}
export interface CompleteOptions extends SampleOptions {
  /** Puts the prompt, with its tokens, before the answer. With `maxTokens: 0` and `logProbs` this scores a given text. */
  readonly echo?: boolean;
}

export interface Sampled {
  readonly samples: readonly Sample[];
  readonly usage: Usage;
  /** What was asked for and not given, because the server refuses or ignores it. */
  readonly without: readonly ("seed" | "logProbs" | "jsonSchema")[];
}

/** A model behind a server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, Ollama, a hosted service. */
export interface RemoteModel {
  readonly model: string;
  /** The server's address as messages show it, without a query. */
  readonly address: string;
  /**
   * Asks `/chat/completions`.
   * @throws GuerdonError "io" when no usable answer came (`failureOf` says why), "interrupted" when the signal was aborted
   */
  chat(messages: readonly Message[], options?: ChatOptions): Promise<Sampled>;
  /** Asks `/completions`, with a prompt as text or as token ids. @throws as `chat` does */
  complete(prompt: string | ArrayLike<number>, options?: CompleteOptions): Promise<Sampled>;
  /** Posts to another path of the server, within the same limits. @throws as `chat` does */
  post<T>(path: string, body: Body, read: Read<T>, signal?: AbortSignal): Promise<T>;
  /** Names of the models that the server lists. @throws as `chat` does */
  models(signal?: AbortSignal): Promise<readonly string[]>;
  /** What has been learned of the server so far. */
  capabilities(): Capabilities;
  /** What was spent so far, by all calls together. */
  usage(): Usage;
}

/** Why a call to a server failed, from the error that it threw; null for other errors. */
export function failureOf(error: unknown): Failure | null {
  const cause: unknown = error instanceof GuerdonError ? error.cause : null;
  return typeof cause === "object" && cause !== null && "kind" in cause && "tries" in cause ? (cause as Failure) : null;
}

/**
 * A client for a model behind an OpenAI-compatible server.
 *
 * - Failures that may pass (timeouts, dropped connections, cut or unreadable replies, HTTP 408, 409, 429 and 5xx) are tried again with
 *   growing, jittered pauses; `retry-after` is obeyed, by all requests of the client.
 * - Optional fields that a server refuses (seed, n, log-probabilities, JSON schema, the name of the token limit) are learned from its
 *   refusal, once, and left out from then on; `without` and `capabilities` say so.
 * - Keys are in no error, log, cache file or answer.
 *
 * @throws GuerdonError "usage" for options out of range, an address that is none or holds a key, a missing environment variable
 */
export function openAi(options: OpenAiOptions): RemoteModel {
  const { model, apiKey, headers = {}, seed = 0, cache: folder } = options;
  if (typeof model !== "string" || model === "") throw new GuerdonError("usage", "openAi: model must be the name of a model.");
  const settings = checkedSettings(options);
  const base = baseAddress(options.baseUrl);
  const price = checkedPrice(options.price);
  const key = apiKey === undefined ? null : secret(apiKey);
  const given = Object.keys(headers).find(
    (name) => !/^[\w!#$%&'*+.^`|~-]+$/.test(name) || (apiKey !== undefined && name.toLowerCase() === "authorization"),
  );
  if (given !== undefined)
    throw new GuerdonError("usage", `openAi: ${JSON.stringify(given)} is no name of a header, or is the one that apiKey is sent in.`);
  const hidden = Object.entries(headers).map(([name, value]) => [name, secret(value)] as const);
  const authorization: Record<string, Secret> = key === null ? {} : { authorization: secret(`Bearer ${key.reveal()}`) };
  const queries = [...base.searchParams.values()].filter((value) => value.length >= 16 && /^[\x21-\x7e]+$/.test(value)).map(secret);
  const send = transport({
    ...settings,
    base,
    headers: { ...Object.fromEntries(hidden), ...authorization },
    redactor: redactor([...(key === null ? [] : [key]), ...hidden.map(([, value]) => value), ...queries]),
    limiter: limiter(settings),
    rng: stream(seed, "remote pauses", shown(base), model),
  });
  const cache = folder === undefined ? null : replyCache(folder);
  const underWay = new Map<string, Promise<Sampled>>();
  let known = nothingKnown;
  let total = nothingUsed(price);
  const spend = (usage: Usage): Usage => {
    total = addUsage(total, usage);
    return usage;
  };

  /** One request that is answered, whatever the server refuses to be asked. */
  async function ask(path: string, body: Body, signal: AbortSignal | undefined): Promise<{ reply: Reply; usage: Usage }> {
    let tries = 0;
    // What a refusal seems to say counts only when leaving the field out helps.
    let lesson: Partial<Capabilities> = {};
    for (;;) {
      const tentative = { ...known, ...lesson };
      const sent = adapted(body, tentative);
      const outcome = await send({
        method: "POST",
        path,
        body: sent,
        read: readReply,
        tokens: estimate(sent),
        counted: ({ counted: { promptTokens, completionTokens } }) =>
          promptTokens === null || completionTokens === null ? null : promptTokens + completionTokens,
        signal,
      });
      tries += outcome.tries;
      if (outcome.failure === undefined) {
        known = { ...known, ...lesson, ...shownBy(sent, outcome.value) };
        return { reply: outcome.value, usage: spend(answered(outcome.value.counted, tries, price)) };
      }
      const next = taught(outcome.failure, sent);
      if (next === null) {
        spend(failedTries(tries, price));
        throw errorOf(outcome.failure);
      }
      lesson = { ...lesson, ...next };
    }
  }

  async function sample(path: string, body: Body, options: SampleOptions): Promise<Sampled> {
    if (cache === null) return fresh(path, body, options);
    const { n = 1, seed: first, logProbs, signal } = options;
    const key = await cache.key({ address: shown(base), path, body, n, seed: first, logProbs });
    const again = (samples: readonly Sample[]): Sampled => ({
      samples,
      usage: spend(fromCache(price)),
      without: without(body, options, known, samples),
    });
    // Rows that are there twice are asked about once, and fail together, unless the first to ask gave up by itself.
    for (let twin = underWay.get(key); twin !== undefined; twin = underWay.get(key)) {
      try {
        const { samples } = await twin;
        if (complete(samples)) return again(samples);
        break;
      } catch (cause) {
        if (failureOf(cause)?.kind !== "aborted" || signal?.aborted) throw cause;
      }
    }
    const asking = (async (): Promise<Sampled> => {
      const stored = await cache.get(key);
      if (stored !== null && stored.length === n) return again(stored);
      const sampled = await fresh(path, body, options);
      if (complete(sampled.samples)) await cache.put(key, sampled.samples);
      return sampled;
    })();
    underWay.set(key, asking);
    try {
      return await asking;
    } finally {
      if (underWay.get(key) === asking) underWay.delete(key);
    }
  }

  async function fresh(path: string, body: Body, options: SampleOptions): Promise<Sampled> {
    const { n = 1, seed: first, signal } = options;
    const samples: Sample[] = [];
    let usage = nothingUsed(price);
    const more = async (count: number, from: number): Promise<readonly Sample[]> => {
      const seeded = first === undefined ? body : { ...body, seed: first + from };
      const { reply, usage: spent } = await ask(path, count === 1 ? seeded : { ...seeded, n: count }, signal);
      usage = addUsage(usage, spent);
      return reply.samples.slice(0, count);
    };
    while (samples.length < n) {
      const have = samples.length;
      const missing = n - have;
      if (missing > 1 && (known.n === "ignored" || known.n === "refused"))
        samples.push(...(await Promise.all(Array.from({ length: missing }, (_, i) => more(1, have + i)))).flat());
      else samples.push(...(await more(missing, have)));
    }
    return { samples, usage, without: without(body, options, known, samples) };
  }

  async function call<T>(method: "GET" | "POST", path: string, body: Body | undefined, read: Read<T>, signal?: AbortSignal): Promise<T> {
    const tokens = body === undefined ? 0 : estimate(body);
    const outcome = await send({ method, path, ...(body === undefined ? {} : { body }), read, tokens, signal });
    spend(failedTries(outcome.tries, price));
    if (outcome.failure !== undefined) throw errorOf(outcome.failure);
    return outcome.value;
  }

  return {
    model,
    address: shown(base),
    capabilities: () => known,
    usage: () => total,
    async chat(messages, asked = {}) {
      const { jsonSchema, tools, logProbs } = asked;
      return sample(
        "chat/completions",
        {
          model,
          messages,
          ...common(asked),
          ...(logProbs === undefined ? {} : { logprobs: true, top_logprobs: logProbs }),
          ...(tools === undefined ? {} : { tools }),
          ...(jsonSchema === undefined
            ? {}
            : {
                response_format: { type: "json_schema", json_schema: { name: jsonSchema.name, strict: true, schema: jsonSchema.schema } },
              }),
        },
        asked,
      );
    },
    async complete(prompt, asked = {}) {
      const { echo, logProbs } = asked;
      return sample(
        "completions",
        {
          model,
          prompt: typeof prompt === "string" ? prompt : Array.from(prompt),
          ...common(asked),
          ...(echo === undefined ? {} : { echo }),
          ...(logProbs === undefined ? {} : { logprobs: logProbs }),
        },
        asked,
      );
    },
    post: (path, body, read, signal) => call("POST", path, body, read, signal),
    models: (signal) => call("GET", "models", undefined, readModels, signal),
  };
}

function common({ n = 1, temperature, topP, maxTokens, stop, seed, logProbs, extra = {} }: SampleOptions): Body {
  const refuse = (what: string): never => {
    throw new GuerdonError("usage", `A remote sample: ${what}.`);
  };
  if (!Number.isInteger(n) || n < 1) refuse(`n must be a whole number of at least 1, not ${n}`);
  if (logProbs !== undefined && !(Number.isInteger(logProbs) && logProbs >= 0 && logProbs <= 20))
    refuse(`logProbs must be a whole number from 0 to 20, not ${logProbs}`);
  for (const [name, value] of Object.entries({ temperature, topP, maxTokens, seed }))
    // JSON would send null for what is not finite, and the server would take its own default.
    if (value !== undefined && !(Number.isFinite(value) && (name === "seed" || value >= 0)))
      refuse(`${name} must be a number of at least 0, not ${value}`);
  return {
    ...extra,
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    ...(stop === undefined ? {} : { stop }),
  };
}

/** About four characters to a token, and as much answer as is allowed. */
function estimate({ messages, prompt, input, max_tokens, max_completion_tokens, n }: Body): number {
  const size = Array.isArray(prompt) ? prompt.length : JSON.stringify(messages ?? prompt ?? input ?? "").length / 4;
  const answer = (max_tokens ?? max_completion_tokens ?? 0) as number;
  return Math.ceil(size) + answer * ((n as number | undefined) ?? 1);
}

/** What an answered request shows of the server. */
function shownBy(sent: Body, { samples }: Reply): Partial<Capabilities> {
  const asked = sent["n"];
  const said = samples.some(({ text }) => text !== "");
  return {
    ...(typeof asked === "number" ? { n: samples.length === 1 ? "ignored" : "yes" } : {}),
    ...("seed" in sent ? { seed: "accepted" } : {}),
    ...("response_format" in sent ? { jsonSchema: "accepted" } : {}),
    ...("logprobs" in sent && said ? { logProbs: samples.some(({ tokens }) => tokens !== null) ? "yes" : "ignored" } : {}),
  };
}

/** Whether asking again could not give more: an answer that was cut or filtered may come out whole next time. */
const complete = (samples: readonly Sample[]): boolean => samples.every(({ stop }) => stop === "stop" || stop === "tool");

function without(body: Body, { seed, logProbs }: SampleOptions, known: Capabilities, samples: readonly Sample[]): Sampled["without"] {
  return [
    ...(seed !== undefined && known.seed === "refused" ? (["seed"] as const) : []),
    ...(logProbs !== undefined && samples.some(({ tokens }) => tokens === null) ? (["logProbs"] as const) : []),
    ...("response_format" in body && known.jsonSchema === "refused" ? (["jsonSchema"] as const) : []),
  ];
}

const readModels: Read<readonly string[]> = (body) => {
  const data: unknown = typeof body === "object" && body !== null && "data" in body ? body.data : null;
  if (!Array.isArray(data)) return { problem: "has no list of models" };
  return {
    value: data.flatMap((one: unknown) =>
      typeof one === "object" && one !== null && "id" in one && typeof one.id === "string" ? [one.id] : [],
    ),
  };
};

const errorOf = (failure: Failure): GuerdonError =>
  new GuerdonError(failure.kind === "aborted" ? "interrupted" : "io", failure.message, { cause: failure });

function checkedSettings(options: OpenAiOptions) {
  const settings = {
    timeoutMs: options.timeoutMs ?? 60_000,
    tries: options.tries ?? 5,
    backoffMs: options.backoffMs ?? 500,
    longestPauseMs: options.longestPauseMs ?? 120_000,
    concurrency: options.concurrency ?? 8,
    requestsPerMinute: options.requestsPerMinute ?? Infinity,
    tokensPerMinute: options.tokensPerMinute ?? Infinity,
    maximumBytes: options.maximumBytes ?? 64 * 2 ** 20,
  };
  for (const [name, value] of Object.entries(settings)) {
    const whole = name === "tries" || name === "concurrency";
    if (whole ? !(Number.isInteger(value) && value >= 1) : !(value > 0))
      throw new GuerdonError("usage", `openAi: ${name} must be ${whole ? "a whole number of at least 1" : "above 0"}, not ${value}.`);
  }
  return settings;
}
