import { z } from "zod";
import { GuerdonError } from "../../error.ts";
import { failureOf } from "../../policies/index.ts";
import type { Key } from "../../policies/index.ts";
import { limiter } from "../../policies/remote/limiter.ts";
import { backoff, pause } from "../../policies/remote/retry.ts";
import { redactor, secret } from "../../policies/remote/secret.ts";
import type { Secret } from "../../policies/remote/secret.ts";
import { baseAddress, shown, transport } from "../../policies/remote/transport.ts";
import type { Failure, Read } from "../../policies/remote/transport.ts";
import { stream } from "../../statistics/stream.ts";
import { answers, failed, requests, tryAgain } from "./protocol.ts";
import type { Answers, ComputeCall, Requests } from "./protocol.ts";

export interface TinkerClientOptions {
  /** The service's address, with or without `/api/v1`: `http://localhost:8000`. */
  readonly baseUrl: string;
  /** The key, or `{ env: "NAME" }`. Default: the environment variable TINKER_API_KEY where it is set; else none is sent. */
  readonly apiKey?: Key;
  /** HTTP requests for one call, the first included, before it is given up; 10 unless said (then a call survives about two minutes). */
  readonly tries?: number;
  /** The first pause between tries in milliseconds, which then doubles up to 30 s; 250 unless said. */
  readonly backoffMs?: number;
  /** Time for one try of a request, in milliseconds; 60,000 unless said. Waiting for a result is not limited by it. */
  readonly timeoutMs?: number;
  /** Between signs of life, in milliseconds; 10,000 unless said. */
  readonly heartbeatMs?: number;
  /** Results waited for at the same time; 64 unless said. */
  readonly concurrency?: number;
  /** Seed of the random part of the pauses. */
  readonly seed?: number;
}

/** Calls that answer at once. */
type DirectCall = Exclude<keyof Requests & keyof Answers, ComputeCall>;

/** A request that the service has taken. */
export interface Submitted<T> {
  /** The model that create_model makes. */
  readonly modelId: string | null;
  /** Its result; asks again until it is there. */
  readonly result: (signal?: AbortSignal) => Promise<T>;
}

export interface TinkerClient {
  /** The address as messages show it. */
  readonly address: string;
  /** A call that answers at once. */
  ask<C extends DirectCall>(call: C, body: Requests[C], signal?: AbortSignal): Promise<Answers[C]>;
  /** Hands in a compute call; resolves when the service has taken it. Send a model's requests one after another, in the order of their seq_id. */
  submit<C extends ComputeCall>(call: C, body: Requests[C], signal?: AbortSignal): Promise<Submitted<Answers[C]>>;
  /** Base models that the service offers. */
  models(signal?: AbortSignal): Promise<readonly string[]>;
  /**
   * Deletes a checkpoint by its address. One that is not there, or on a service that deletes nothing, is left at that.
   *
   * @throws GuerdonError "usage" for what is no address of a checkpoint
   */
  remove(path: string): Promise<void>;
  /** Opens the session on first use, and keeps it alive until `close`. */
  session(): Promise<string>;
  /** Numbers the session's models, and its sampling sessions, from 0. */
  next(kind: "model" | "sampling"): number;
  /** Ends the signs of life. */
  close(): void;
}

/** Whether a service said that it knows a model, session or result no more, as after a restart without its state. */
export const isLost = (error: unknown): boolean => failureOf(error)?.status === 404;

/** Statuses of a compute or direct call after which the same request, with the same seq_id, is sent again. */
const passing = (status: number): boolean => status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
/** Of retrieve_future 408 says "not yet", which is no failure and is not counted as one. */
const passingWhileWaiting = (status: number): boolean => status !== 408 && passing(status);

/** Servers hold a question for a result open, some for minutes; one that is open this long is given up and asked again. */
const longestQuestionMs = 120_000;
/** The first pause between two questions for a result, where the server answers "ask again" at once; later ones double. */
const firstPauseMs = 4;

/**
 * A client of a Tinker-compatible training service (protocol.ts).
 *
 * - Dropped connections, cut or unreadable answers, HTTP 408, 429 and 5xx are sent again with growing, jittered pauses and the same body,
 *   hence the same seq_id, by which the service tells a repetition from a new request. `retry-after` is obeyed.
 * - HTTP 410 for a result submits the request again, as often as it would be tried. Other statuses are errors with the service's own words.
 * - A sign of life goes out every 10 s on a line of its own, however long other calls take or have to wait.
 * - The key is in no error and no answer.
 *
 * Errors are GuerdonError "io" (`failureOf` gives status and words), "interrupted" when a signal was aborted.
 *
 * @throws GuerdonError "usage" for an address that is none or holds a key, or a missing environment variable
 */
export function tinkerClient(options: TinkerClientOptions): TinkerClient {
  const { timeoutMs = 60_000, tries = 10, backoffMs = 250, heartbeatMs = 10_000, concurrency = 64, seed = 0 } = options;
  const base = baseAddress(options.baseUrl);
  if (!/\/api\/v1\/?$/.test(base.pathname)) base.pathname = `${base.pathname.replace(/\/$/, "")}/api/v1`;
  const longestPauseMs = 2 * backoffMs;
  const key = keyOf(options.apiKey);
  const rng = stream(seed, "tinker pauses", shown(base));
  const line = (under: number, timeout: number, most: number) =>
    transport({
      base,
      headers: key === null ? {} : { "x-api-key": key },
      redactor: redactor(key === null ? [] : [key]),
      limiter: limiter({ concurrency: under, requestsPerMinute: Infinity, tokensPerMinute: Infinity }),
      rng,
      timeoutMs: timeout,
      tries: most,
      backoffMs,
      longestPauseMs: 120_000,
      maximumBytes: 2 ** 30,
    });
  // Three lines, so that neither a long wait for results nor a pause that the server asks for holds up the others.
  const work = line(16, timeoutMs, tries);
  const waiting = line(concurrency, longestQuestionMs, tries);
  const signs = line(1, Math.min(timeoutMs, heartbeatMs), 1);

  const post = async <T>(
    on: typeof work,
    call: string,
    body: object,
    read: Read<T>,
    again: (status: number) => boolean,
    signal?: AbortSignal,
  ): Promise<T> => {
    const outcome = await on<T>({
      method: "POST",
      path: call,
      body: body as Readonly<Record<string, unknown>>,
      tokens: 0,
      read,
      again,
      signal,
    });
    if (outcome.failure === undefined) return outcome.value;
    throw errorOf(call, outcome.failure);
  };

  const answerOf: { readonly [C in keyof Answers]: z.ZodType<Answers[C]> } = answers;
  const ask: TinkerClient["ask"] = (call, body, signal) => post(work, call, checked(call, body), reader(answerOf[call]), passing, signal);

  const submit = async <C extends ComputeCall>(call: C, body: Requests[C], signal?: AbortSignal): Promise<Submitted<Answers[C]>> => {
    const wanted = checked(call, body);
    const send = () => post(work, call, wanted, reader(answers.pending), passing, signal);
    let taken = await send();
    const result = reader(answerOf[call]);
    const question: Read<"wait" | { readonly failed: string } | { readonly value: Answers[C] }> = (body) => {
      if (tryAgain.safeParse(body).success) return { value: "wait" };
      const refused = failed.safeParse(body);
      if (refused.success) return { value: { failed: refused.data.error } };
      const outcome = result(body);
      return "value" in outcome ? { value: outcome } : outcome;
    };
    return {
      modelId: taken.model_id ?? null,
      result: async (signal) => {
        let dropped = 0;
        for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
          const began = performance.now();
          try {
            const answer = await post(waiting, "retrieve_future", { request_id: taken.request_id }, question, passingWhileWaiting, signal);
            if (answer !== "wait") {
              if ("failed" in answer) throw refusedWith(call, answer.failed);
              return answer.value;
            }
          } catch (cause) {
            const failure = failureOf(cause);
            // The result was dropped: the same request, with the same seq_id, finds it or makes it again.
            if (failure?.status === 410 && ++dropped < tries) taken = await send();
            else if (failure?.status !== 408 && failure?.kind !== "timeout") throw cause;
          }
          // A server that held the question open has made us wait already.
          if (performance.now() - began > longestPauseMs) pauseMs = firstPauseMs;
          if (!(await pause(backoff(1, pauseMs, rng), signal)))
            throw new GuerdonError("interrupted", `Waiting for ${call} was interrupted.`, { cause: signal?.reason });
        }
      },
    };
  };

  const numbers = { model: 0, sampling: 0 };
  let session: Promise<string> | null = null;
  let timer: ReturnType<typeof setInterval> | undefined;
  const open = async (): Promise<string> => {
    const opened = await ask("create_session", { tags: [], user_metadata: null, sdk_version: "guerdon", type: "create_session" });
    if (opened.error_message) throw refusedWith("create_session", opened.error_message);
    timer = setInterval(() => {
      // A sign that is lost is followed by the next one; that a session has ended shows in the call that needs it.
      void signs({
        method: "POST",
        path: "session_heartbeat",
        body: { session_id: opened.session_id, type: "session_heartbeat" },
        tokens: 0,
        read: reader(answers.session_heartbeat),
        again: () => false,
      });
    }, heartbeatMs);
    // Signs of life must not keep a program alive that is done.
    (timer as { unref?: () => void }).unref?.();
    return opened.session_id;
  };

  return {
    address: shown(base),
    ask,
    submit,
    async models(signal) {
      const outcome = await work({
        method: "GET",
        path: "get_server_capabilities",
        tokens: 0,
        read: reader(answers.get_server_capabilities),
        again: passing,
        signal,
      });
      if (outcome.failure !== undefined) throw errorOf("get_server_capabilities", outcome.failure);
      return outcome.value.supported_models.flatMap(({ model_name: name }) => (name ? [name] : []));
    },
    async remove(path) {
      const [, run, checkpoint] = /^tinker:\/\/([^/]+)\/([^/]+\/[^/]+)$/.exec(path) ?? [];
      if (run === undefined) throw new GuerdonError("usage", `${path} is not the address of a checkpoint: tinker://<model>/weights/<name>`);
      const call = `training_runs/${run}/checkpoints/${checkpoint}`;
      const { failure } = await work({ method: "DELETE", path: call, tokens: 0, read: () => ({ value: null }), again: passing });
      if (failure !== undefined && failure.status !== 404 && failure.status !== 405) throw errorOf(`the deletion of ${path}`, failure);
    },
    session() {
      session ??= open().catch((cause: unknown) => {
        session = null;
        throw cause;
      });
      return session;
    },
    next: (kind) => numbers[kind]++,
    close() {
      clearInterval(timer);
    },
  };
}

function keyOf(given: Key | undefined): Secret | null {
  if (given !== undefined) return secret(given);
  const found = typeof process === "object" ? process.env?.["TINKER_API_KEY"] : undefined;
  return found === undefined || found.trim() === "" ? null : secret(found.trim());
}

/** The body as it is sent. A request that does not fit the protocol is our mistake, and is not sent. */
function checked<C extends keyof Requests>(call: C, body: Requests[C]): object {
  const parsed = requests[call].safeParse(body);
  if (!parsed.success) throw new GuerdonError("internal", `${call}: ${z.prettifyError(parsed.error)}`);
  return body;
}

const reader =
  <T>(schema: z.ZodType<T>): Read<T> =>
  (body) => {
    const parsed = schema.safeParse(body);
    return parsed.success
      ? { value: parsed.data }
      : { problem: `is not as the protocol has it (${z.prettifyError(parsed.error).replaceAll(/\s+/g, " ").slice(0, 300)})` };
  };

function errorOf(call: string, failure: Failure): GuerdonError {
  if (failure.kind === "aborted") return new GuerdonError("interrupted", `${call} was interrupted.`, { cause: failure });
  const { status, said, message } = failure;
  if (status === 401 || status === 403)
    return new GuerdonError("io", `${message} Give the service's key as apiKey, or in the environment variable TINKER_API_KEY.`, {
      cause: failure,
    });
  if (status === 404)
    return new GuerdonError(
      "io",
      `${message} If the service was restarted without its state, or the session ended, go on from the last checkpoint.`,
      { cause: failure },
    );
  // All of the server's words, where the transport's message has the first of them.
  if (said === "") return new GuerdonError("io", message, { cause: failure });
  return new GuerdonError("io", `The training service refused ${call} (HTTP ${status}): ${said}`, { cause: failure });
}

/** A refusal that came as an answer counts as HTTP 400: some services send one, some the other. */
const refusedWith = (call: string, said: string): GuerdonError =>
  errorOf(call, { kind: "status", status: 400, said, message: said, field: null, tries: 1 });
