import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { vi } from "vitest";
import { serveEngine, type EngineServer, type ServeEngineOptions } from "../../../src/server/index.ts";

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // Parsed JSON of any shape, which the tests look into.
  readonly body: { readonly [key: string]: never } & {
    readonly detail?: string;
    readonly request_id?: string;
    readonly session_id?: string;
    readonly model_id?: string;
    readonly path?: string;
    readonly metrics?: Readonly<Record<string, number>>;
    readonly loss_fn_outputs?: readonly { readonly logprobs: { readonly data: readonly number[] } }[];
    readonly sequences?: readonly {
      readonly tokens: readonly number[];
      readonly logprobs: readonly number[];
      readonly stop_reason: string;
    }[];
    readonly prompt_logprobs?: readonly (number | null)[];
  };
}

/** A server for tests, and what is sent to it. */
export interface Client extends EngineServer {
  readonly events: string[];
  get(call: string, headers?: Record<string, string>): Promise<Reply>;
  post(call: string, body: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** Sends a compute call and waits for its result. */
  run(call: string, body: unknown): Promise<Reply>;
  /** The result of a call that was taken. */
  result(taken: Reply): Promise<Reply>;
  session(): Promise<string>;
  /** Makes a model in a session of its own: its id. */
  adapter(lora?: object): Promise<string>;
}

export function folder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "guerdon-engine-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export async function open(model: string, data: string, options: ServeEngineOptions = {}): Promise<Client> {
  const events: string[] = [];
  const server = await serveEngine(model, {
    port: 0,
    data,
    waitMs: 2000,
    maxModels: 100,
    onEvent: (event) => events.push(event),
    ...options,
  });
  const call = async (path: string, init: RequestInit): Promise<Reply> => {
    const response = await fetch(`${server.url}/api/v1/${path}`, init);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") === true;
    return { status: response.status, headers: response.headers, body: isJson ? (JSON.parse(text) as Reply["body"]) : {} };
  };
  const client: Client = {
    ...server,
    events,
    get: (path, headers = {}) => call(path, { headers }),
    post: (path, body, headers = {}) =>
      call(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    async run(path, body) {
      const taken = await client.post(path, body);
      return taken.status === 200 ? client.result(taken) : taken;
    },
    async result({ body: { request_id } }) {
      for (;;) {
        const reply = await client.post("retrieve_future", { request_id });
        if (reply.status !== 408) return reply;
      }
    },
    session: async () => (await client.post("create_session", { tags: [], sdk_version: "test" })).body.session_id!,
    async adapter(lora = { rank: 4, seed: 1 }) {
      const body = { session_id: await client.session(), model_seq_id: 0, base_model: server.model, lora_config: lora };
      return (await client.run("create_model", body)).body.model_id!;
    },
  };
  return client;
}

/** Tokens as a row to train on: each predicts the next. */
export const datum = (tokens: readonly number[], columns: Readonly<Record<string, readonly number[]>> = {}) => ({
  model_input: { chunks: [{ type: "encoded_text", tokens: tokens.slice(0, -1) }] },
  loss_fn_inputs: {
    target_tokens: { data: tokens.slice(1), dtype: "int64" },
    ...Object.fromEntries(Object.entries(columns).map(([name, data]) => [name, { data, dtype: "float32" }])),
  },
});

export const forward = (model_id: string, seq_id: number | null, data: readonly unknown[], loss_fn = "cross_entropy") => ({
  model_id,
  seq_id,
  forward_input: { data, loss_fn },
});
export const backward = (
  model_id: string,
  seq_id: number | null,
  data: readonly unknown[],
  loss_fn = "cross_entropy",
  loss_fn_config?: Readonly<Record<string, number>>,
) => ({ model_id, seq_id, forward_backward_input: { data, loss_fn, ...(loss_fn_config && { loss_fn_config }) } });
export const step = (model_id: string, seq_id: number | null, adam_params: object = { learning_rate: 0.01 }) => ({
  model_id,
  seq_id,
  adam_params,
});
export const logProbs = ({ body }: Reply): number[] => body.loss_fn_outputs!.flatMap((output) => output.logprobs.data);

/** Lets `act` have the next job of this name before the computing thread gets it. One at a time; `act` may ask for another. */
export function intercept(job: string, act: (thread: Worker, send: () => void) => void): void {
  const spy = vi.spyOn(Worker.prototype, "postMessage").mockImplementation(function (this: Worker, message: unknown) {
    spy.mockRestore();
    const send = (): void => this.postMessage(message);
    if ((message as { readonly name?: string }).name === job) return act(this, send);
    send();
    intercept(job, act);
  });
}

/** Holds the next job of this name back until it is released. */
export function hold(job: string): { readonly reached: Promise<void>; release(): void } {
  const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  intercept(job, (_, send) => {
    reached.resolve();
    void released.promise.then(send);
  });
  return { reached: reached.promise, release: released.resolve };
}
