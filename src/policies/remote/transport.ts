import { GuerdonError } from "../../error.ts";
import type { Rng } from "../../statistics/stream.ts";
import type { Limiter, Turn } from "./limiter.ts";
import { backoff, pause, retryAfter, worthRetrying } from "./retry.ts";
import type { Redactor, Secret } from "./secret.ts";

/** Why a server gave no usable reply. */
export interface Failure {
  readonly kind:
    | "aborted" // the caller's signal
    | "timeout" // no whole reply in time
    | "connection" // refused, dropped, or ended in the middle of the reply
    | "status" // an HTTP status that is no success
    | "reply" // not JSON, not of the agreed shape, or cut
    | "too-large"; // more bytes than allowed
  readonly message: string;
  readonly status: number | null;
  /** The server's own words; empty when it had none. */
  readonly said: string;
  /** The request field that the server names as the trouble. */
  readonly field: string | null;
  /** HTTP requests that went out. */
  readonly tries: number;
}

/** Reads a reply's JSON. A problem ("has no choices") counts as a failure that may pass, and the request is sent again. */
export type Read<T> = (body: unknown) => { readonly value: T } | { readonly problem: string };

export type Outcome<T> =
  | { readonly value: T; readonly tries: number; readonly failure?: undefined }
  | { readonly failure: Failure; readonly tries: number };

export interface Call<T> {
  readonly method: "GET" | "POST" | "DELETE";
  /** Below the base address. */
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly read: Read<T>;
  /** An estimate of the tokens that it costs. */
  readonly tokens: number;
  /** Statuses after which this call is sent again; those of `worthRetrying` unless said. */
  readonly again?: (status: number) => boolean;
  /** What it turned out to cost, where the reply says so. */
  readonly counted?: (value: T) => number | null;
  readonly signal?: AbortSignal | undefined;
}

export interface TransportOptions {
  readonly base: URL;
  readonly headers: Readonly<Record<string, string | Secret>>;
  readonly redactor: Redactor;
  readonly limiter: Limiter;
  readonly rng: Rng;
  /** For one try, from the request to the last byte. */
  readonly timeoutMs: number;
  readonly tries: number;
  /** The first pause between tries; later ones double. */
  readonly backoffMs: number;
  /** A server that asks for a longer pause than this is a failure. */
  readonly longestPauseMs: number;
  readonly maximumBytes: number;
}

export type Transport = <T>(call: Call<T>) => Promise<Outcome<T>>;

/** Sends requests within the limits, and again after failures that may pass. Never throws for what a server does. */
export function transport(options: TransportOptions): Transport {
  const { base, redactor, limiter, rng, tries: most, backoffMs, longestPauseMs } = options;
  return async <T>(call: Call<T>): Promise<Outcome<T>> => {
    const address = addressOf(base, call.path);
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const fail = (one: Problem, tries: number): Outcome<T> => ({
      tries,
      failure: {
        kind: one.kind,
        status: one.status ?? null,
        field: one.field === undefined || one.field === null ? null : redactor.text(one.field),
        said: one.said ?? "",
        tries,
        message: redactor.text(`${shown(address)} ${one.what}${tries > 1 ? ` (${tries} tries)` : ""}.`),
      },
    });
    for (let tries = 1; ; tries++) {
      const turn = await limiter.take(call.tokens, call.signal);
      if (turn === null) return fail(aborted, tries - 1);
      const outcome = await once(options, call, address, body, turn);
      // Before the turn ends, or the next request would go out into the pause.
      if (!("value" in outcome) && outcome.again && (outcome.pauseMs ?? Infinity) <= longestPauseMs) limiter.hold(outcome.pauseMs!);
      turn.end();
      if ("value" in outcome) return { value: outcome.value, tries };
      if (!outcome.again || tries >= most) return fail(outcome, tries);
      if (outcome.pauseMs !== undefined && outcome.pauseMs > longestPauseMs)
        return fail({ ...outcome, what: `${outcome.what}, and asks to wait ${Math.ceil(outcome.pauseMs / 1000)} s` }, tries);
      const jitter = backoff(tries, backoffMs, rng);
      // Where the server names a time, coming back a little later and not all at once is what it needs.
      const wait = outcome.pauseMs === undefined ? jitter : outcome.pauseMs + Math.min(jitter, outcome.pauseMs / 4);
      if (!(await pause(wait, call.signal))) return fail(aborted, tries);
    }
  };
}

interface Problem {
  readonly kind: Failure["kind"];
  readonly what: string;
  readonly status?: number;
  readonly said?: string;
  readonly field?: string | null;
  readonly again?: boolean;
  readonly pauseMs?: number;
}

const aborted: Problem = { kind: "aborted", what: "was not waited for: the request was aborted" };

async function once<T>(
  { headers, redactor, timeoutMs, maximumBytes }: TransportOptions,
  { method, read, again, counted, signal }: Call<T>,
  address: URL,
  body: string | undefined,
  turn: Turn,
): Promise<{ readonly value: T } | Problem> {
  const stop = new AbortController();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    stop.abort();
  }, timeoutMs);
  const give = (): void => stop.abort();
  signal?.addEventListener("abort", give);
  try {
    const response = await fetch(address, {
      method,
      headers: {
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, typeof value === "string" ? value : value.reveal()])),
      },
      ...(body === undefined ? {} : { body }),
      // A followed redirect may turn POST into GET, or carry the key somewhere else.
      redirect: "manual",
      signal: stop.signal,
    });
    const text = await textOf(response, maximumBytes);
    if (text === null)
      return { kind: "too-large", status: response.status, what: `sent more than ${maximumBytes.toLocaleString("en-US")} bytes` };
    if (!response.ok) return statusProblem(response, text, redactor, again);
    let json: unknown;
    try {
      json = response.status === 204 ? null : redactor.json(text);
    } catch {
      const type = response.headers.get("content-type")?.split(";")[0]?.trim() || "no content type";
      return { kind: "reply", status: 200, again: true, what: `answered with what is not JSON (${type}): ${excerpt(redactor.text(text))}` };
    }
    const outcome = read(json);
    if ("problem" in outcome) return { kind: "reply", status: 200, again: true, what: `sent a reply that ${outcome.problem}` };
    const tokens = counted?.(outcome.value);
    if (typeof tokens === "number") turn.spent(tokens);
    return outcome;
  } catch (cause) {
    if (late) return { kind: "timeout", again: true, what: `gave no whole answer within ${timeoutMs} ms` };
    if (signal?.aborted) return aborted;
    return { kind: "connection", again: true, what: connectionTrouble(cause) };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", give);
  }
}

/** The whole body as text, or null when there is more of it than allowed. */
async function textOf(response: Response, maximumBytes: number): Promise<string | null> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let text = "";
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.byteLength;
    if (bytes > maximumBytes) {
      await reader.cancel();
      return null;
    }
    text += decoder.decode(value, { stream: true });
  }
}

function statusProblem(response: Response, text: string, redactor: Redactor, again?: (status: number) => boolean): Problem {
  const { status, headers } = response;
  const to = headers.get("location");
  // A browser shows a redirect as status 0.
  if ((status >= 300 && status < 400) || response.type === "opaqueredirect")
    return {
      kind: "status",
      status,
      what: `answered with a redirect (HTTP ${status || "3xx"}), which is not followed; give the address it leads to as baseUrl${to === null ? "" : `: ${to.split("?")[0]}`}`,
    };
  const said = errorOf(text);
  const pauseMs = retryAfter(headers, Date.now());
  return {
    kind: "status",
    status,
    field: said.field,
    // Cleaned before it is cut: half a key is still half a key.
    said: redactor.text(said.message).slice(0, 2000),
    again: again ? again(status) : worthRetrying(status, said.code),
    ...(pauseMs === null ? {} : { pauseMs }),
    what: `answered HTTP ${status}${said.message === "" ? "" : `: ${excerpt(redactor.text(said.message))}`}`,
  };
}

/** What an error body says, in the shapes of OpenAI, vLLM (the same, without the outer object) and FastAPI; else its text. */
function errorOf(text: string): { readonly message: string; readonly code: string | null; readonly field: string | null } {
  const nothing = { message: plain(text), code: null, field: null };
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return nothing;
  }
  if (typeof body !== "object" || body === null) return nothing;
  const inner: unknown = "error" in body ? body.error : body;
  if (typeof inner === "string") return { ...nothing, message: inner };
  if (typeof inner !== "object" || inner === null) return nothing;
  const fields = inner as Readonly<Record<string, unknown>>;
  const word = (name: string): string | null => (typeof fields[name] === "string" ? fields[name] : null);
  const detail = fields["detail"];
  const message = word("message") ?? (typeof detail === "string" ? detail : detail === undefined ? text : JSON.stringify(detail));
  return { message, code: word("code") ?? word("type"), field: word("param") };
}

/** The words of a text that may be a web page. */
const plain = (text: string): string =>
  /<html|<!doctype/i.test(text.slice(0, 1000))
    ? text
        .slice(0, 20_000)
        .replace(/<(script|style)[\s\S]*?<\/\1>/gi, " ")
        .replace(/<[^>]*>/g, " ")
    : text;

/** One short line without control characters, which could steer a terminal. */
const excerpt = (text: string): string => {
  const line = plain(text.slice(0, 50_000))
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, " ")
    .trim();
  return line === "" ? "nothing" : line.length > 200 ? `${line.slice(0, 197)}...` : line.replace(/\.$/, "");
};

function connectionTrouble(cause: unknown): string {
  const inner: unknown = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause;
  const first: unknown = inner instanceof AggregateError ? inner.errors[0] : inner;
  const code = first instanceof Error && "code" in first ? String(first.code) : "";
  if (code === "ECONNREFUSED") return "refused the connection: nothing listens there";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "cannot be found: no such host";
  // Browsers do not say why: no server, or one that does not allow requests from pages of another origin.
  if (code === "" && typeof document === "object") return "could not be reached from this page";
  return `dropped the connection before the reply was complete (${code || (first instanceof Error ? first.message : String(first))})`;
}

/** An address below the base, with the base's query. */
function addressOf(base: URL, path: string): URL {
  const address = new URL(base);
  address.pathname = `${base.pathname.replace(/\/$/, "")}/${path.replace(/^\//, "")}`;
  return address;
}

/** An address as messages show it: a query may hold a key. */
export const shown = (address: URL): string => `${address.origin}${address.pathname}`;

/** The base address that a user gave. @throws GuerdonError "usage" when it is none, or has a key in it */
export function baseAddress(text: string): URL {
  let base: URL;
  try {
    base = new URL(text);
  } catch {
    throw new GuerdonError("usage", "baseUrl is not an address. Give one such as http://localhost:8000/v1.");
  }
  if (base.protocol !== "http:" && base.protocol !== "https:")
    throw new GuerdonError("usage", `baseUrl must begin with http:// or https://, not ${base.protocol}`);
  if (base.username !== "" || base.password !== "")
    throw new GuerdonError("usage", `The baseUrl of ${base.host} has a user name or password in it. Give keys as apiKey or headers.`);
  return base;
}
