import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { onTestFinished } from "vitest";
import { serve, type RewardServer, type ServeOptions } from "../../src/server/index.ts";
import type { Score } from "../../src/index.ts";

export const rewards = resolve(import.meta.dirname, "rewards.ts");

/** A folder that goes with the test. */
export function temporary(): string {
  const path = mkdtempSync(join(tmpdir(), "guerdon-server-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Files by which a test and the reward `obedient` tell each other that something may happen, or has happened. */
export function sign() {
  const path = join(temporary(), "sign");
  return { path, give: () => writeFileSync(path, ""), isThere: () => existsSync(path) };
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // Parsed JSON of any shape, which the tests look into.
  readonly body: { readonly [key: string]: never } & {
    readonly scores?: readonly Score[];
    readonly error?: { readonly code: string; readonly message: string; readonly row?: number; readonly field?: string };
  };
}

export interface Client extends RewardServer {
  get(path: string, headers?: Record<string, string>): Promise<Reply>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** Scores answers to one prompt. */
  score(reward: string, completions: readonly string[]): Promise<readonly Score[]>;
}

/** A server of the rewards beside this file that ends with the test. */
export async function client(options: ServeOptions = {}, source?: Parameters<typeof serve>[0]): Promise<Client> {
  const one = await open(options, source);
  onTestFinished(() => one.close());
  return one;
}

/** The same, to be closed by the caller. */
export async function open(options: ServeOptions = {}, source: Parameters<typeof serve>[0] = rewards): Promise<Client> {
  const server = await serve(source, { port: 0, processes: 2, ...options });
  const call = async (path: string, init: RequestInit): Promise<Reply> => {
    const response = await fetch(server.url + path, init);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") === true;
    return { status: response.status, headers: response.headers, text, body: isJson ? (JSON.parse(text) as Reply["body"]) : {} };
  };
  const one: Client = {
    ...server,
    get: (path, headers = {}) => call(path, { headers }),
    post: (path, body, headers = {}) =>
      call(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    async score(reward, completions) {
      const { status, text, body } = await one.post("/v1/score", {
        reward,
        rows: completions.map((completion) => ({ prompt: "q", completion })),
      });
      if (status !== 200) throw new Error(text);
      return body.scores!;
    },
  };
  return one;
}
