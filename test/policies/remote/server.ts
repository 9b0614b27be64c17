import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
  readonly at: number;
}
/** What the server does with a request. */
export type Behaviour = (response: ServerResponse, request: Seen) => void;

export interface FakeServer extends AsyncDisposable {
  readonly url: string;
  readonly seen: readonly Seen[];
  /** Behaviours of the next requests, in order. */
  next(...behaviours: Behaviour[]): void;
  /** The behaviour when none is queued. */
  always(behaviour: Behaviour): void;
}

/** A server on 127.0.0.1 that speaks what a test tells it to. */
export async function fakeServer(usually: Behaviour = says("ok")): Promise<FakeServer> {
  const seen: Seen[] = [];
  const queue: Behaviour[] = [];
  let otherwise = usually;
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => (text += chunk));
    request.on("end", () => {
      const one: Seen = {
        method: request.method ?? "",
        path: request.url ?? "",
        headers: request.headers,
        body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>),
        at: performance.now(),
      };
      seen.push(one);
      (queue.shift() ?? otherwise)(response, one);
    });
  });
  // Kept connections end when the client ends them: one that the server cuts may meet the next request, which then goes out twice.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    next: (...behaviours) => void queue.push(...behaviours),
    always: (behaviour) => void (otherwise = behaviour),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const json =
  (body: unknown, status = 200, headers: Record<string, string> = {}): Behaviour =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  };

export const choice = (content: string | null, more: Record<string, unknown> = {}, message: Record<string, unknown> = {}) => ({
  index: 0,
  message: { role: "assistant", content, ...message },
  finish_reason: "stop",
  logprobs: null,
  ...more,
});
export const reply = (choices: readonly object[], usage: unknown = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }) => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "m",
  choices: choices.map((one, index) => ({ ...one, index })),
  usage,
});
/** As many choices as texts. */
export const says = (...texts: string[]): Behaviour => json(reply(texts.map((text) => choice(text))));
/** As many choices as `n` asks for. */
export const obeysN =
  (text: (i: number, request: Seen) => string): Behaviour =>
  (response, request) =>
    json(reply(Array.from({ length: (request.body["n"] as number | undefined) ?? 1 }, (_, i) => choice(text(i, request)))))(
      response,
      request,
    );

export const fails = (
  status: number,
  message: string,
  headers: Record<string, string> = {},
  error: Record<string, unknown> = {},
): Behaviour => json({ error: { message, type: "server_error", param: null, code: null, ...error } }, status, headers);

export const raw =
  (text: string, type = "application/json", status = 200, headers: Record<string, string> = {}): Behaviour =>
  (response) => {
    response.writeHead(status, { "content-type": type, ...headers });
    response.end(text);
  };
export const page = (status: number): Behaviour =>
  raw(
    "<!DOCTYPE html><html><head><title>502 Bad Gateway</title><style>p{color:red}</style></head><body><h1>Bad gateway</h1></body></html>",
    "text/html",
    status,
  );
/** Closes the connection without a word. */
export const hangsUp: Behaviour = (response) => void response.socket?.destroy();
/** Announces more bytes than it sends. */
export const breaksOff: Behaviour = (response) => {
  response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
  response.write('{"choices": [{"index": 0, "mess');
  setTimeout(() => response.socket?.destroy(), 5);
};
/** JSON that ends in the middle, in a response that ends well. */
export const cut: Behaviour = raw('{"choices": [{"index": 0, "message": {"role": "assistant", "content": "4');
export const silent: Behaviour = () => undefined;
export const after =
  (milliseconds: number, then: Behaviour): Behaviour =>
  (response, request) =>
    void setTimeout(() => then(response, request), milliseconds);
/** Never stops sending. */
export const endless: Behaviour = (response) => {
  response.writeHead(200, { "content-type": "application/json" });
  const chunk = " ".repeat(65_536);
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on("drain", more);
  response.on("error", () => response.destroy());
  more();
};
/** Sends a byte now and then, for ever. */
export const drips: Behaviour = (response) => {
  response.writeHead(200, { "content-type": "application/json" });
  const timer = setInterval(() => response.write(" "), 10);
  response.on("close", () => clearInterval(timer));
};

/** Log-probabilities as chat completions write them: one entry for each token, with its alternatives. */
export const logprobs = (...tokens: (readonly [token: string, logprob: number, top: Readonly<Record<string, number>>])[]) => ({
  content: tokens.map(([token, logprob, top]) => ({
    token,
    logprob,
    bytes: null,
    top_logprobs: Object.entries(top).map(([other, value]) => ({ token: other, logprob: value, bytes: null })),
  })),
});
