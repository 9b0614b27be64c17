import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as send } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseSafetensors } from "../../../src/arrays/index.ts";
import { tinkerEngine } from "../../../src/engines/index.ts";
import type { TinkerEngine, TinkerOptions } from "../../../src/engines/index.ts";
import { readAdapter } from "../../../src/policies/adapter-files.ts";
import { readModel, readTokenizer } from "../../../src/policies/index.ts";
import type { LoraConfig, TransformerPolicy } from "../../../src/policies/index.ts";
import { readOptional } from "../../../src/policies/folder.ts";
import { serveEngine } from "../../../src/server/tinker/serve.ts";
import type { ServeEngineOptions } from "../../../src/server/tinker/serve.ts";
import type { HostTensor } from "../../../src/statistics/snapshot.ts";
import { stream } from "../../../src/statistics/stream.ts";
import { tinyModel } from "../../server/tinker/model.ts";

export const rank = 4;
/** The adapter that our server makes of a rank, for the same model in the local engine. */
export const lora: LoraConfig = {
  rank,
  alpha: 32,
  targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
};

/** Our own server on a tiny model, and ways to look at what it has on its disk. */
export interface Service {
  readonly url: string;
  readonly folder: string;
  /** The same model and adapter for the local engine. */
  readonly policy: TransformerPolicy;
  readonly parameters: Record<string, HostTensor>;
  /** An engine on it, through another address if given. */
  engine(options?: Partial<TinkerOptions>): Promise<TinkerEngine>;
  /** The adapter's numbers as they are now. */
  adapter(engine: TinkerEngine): Promise<Record<string, HostTensor>>;
  /** A file of a checkpoint: its tensors. */
  tensors(path: string, file: string): Promise<Readonly<Record<string, HostTensor>>>;
  /** Stops the server and starts it again at the same address and on the same data. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export async function service({ seed = 5, ...options }: ServeEngineOptions & { readonly seed?: number } = {}): Promise<Service> {
  const model = await tinyModel();
  const data = mkdtempSync(join(tmpdir(), "guerdon-service-"));
  let server = await serveEngine(model.folder, { port: 0, data, name: "tiny", waitMs: 500, threads: 1, ...options });
  // The address that stays over restarts: a port that is given back, even for a moment, may be another test's.
  const front = await passage(() => server.port);
  const { url } = front;
  const tokenizer = await readTokenizer(model.folder);
  const { policy, parameters } = await readModel(model.folder, { lora, seed });
  const folderOf = (path: string): string => {
    const [id, kind, name] = path.replace("tinker://", "").split("/") as [string, string, string];
    return join(data, "models", id.replaceAll(":", "."), kind, name);
  };
  let saves = 0;
  return {
    url,
    folder: model.folder,
    policy,
    parameters,
    engine: (more = {}) =>
      tinkerEngine({ baseUrl: url, apiKey: "tml-test-key", model: "tiny", lora: { rank, seed }, tokenizer, backoffMs: 2, ...more }),
    adapter: async (engine) =>
      (await readAdapter(folderOf(await engine.saveForSampling(`look-${++saves}`)), policy.architecture)).parameters,
    async tensors(path, file) {
      const bytes = await readOptional(folderOf(path), file);
      return parseSafetensors(bytes!).tensors;
    },
    async restart() {
      await server.close();
      server = await serveEngine(model.folder, { port: 0, data, name: "tiny", waitMs: 500, threads: 1, ...options });
    },
    async close() {
      await server.close();
      await front.close();
      policy.dispose();
      model.remove();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** A port of 127.0.0.1 whose connections lead to another one, which may change. */
async function passage(to: () => number): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createTcpServer((near) => {
    const far = connect(to(), "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const)
      one.on("error", () => other.destroy()).on("close", () => other.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

export type Fault = "lost" | "unanswered" | "late" | "doubled" | "busy" | "failing" | "truncated";

export interface Proxy {
  readonly url: string;
  /** How often each fault was injected. */
  readonly injected: Readonly<Record<Fault, number>>;
  /** Changes the answers that pass through, from now on. */
  alter(change: ((call: string, body: string) => string) | null): void;
  /** Changes the requests that pass through, from now on. */
  alterRequests(change: ((call: string, body: string) => string) | null): void;
  close(): Promise<void>;
}

/**
 * Stands before a server and breaks a share of the requests: lost on their way, or only their answers; answered late; handed over twice;
 * refused with 429 (in storms of several) or 503; answers cut in the middle of the body. Which ones follows from the seed and the order
 * of arrival.
 */
export async function faultyProxy(target: string, { share, seed }: { readonly share: number; readonly seed: number }): Promise<Proxy> {
  const kinds: Fault[] = ["lost", "unanswered", "late", "doubled", "busy", "failing", "truncated"];
  const injected = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<Fault, number>;
  const { hostname, port } = new URL(target);
  const rng = stream(seed, "faults");
  let storm = 0;
  let change: ((call: string, body: string) => string) | null = null;
  let changeRequest: ((call: string, body: string) => string) | null = null;
  const fault = (): Fault | null => {
    if (storm > 0) {
      storm--;
      return "busy";
    }
    if (rng() >= share) return null;
    const kind = kinds[Math.floor(rng() * kinds.length)]!;
    if (kind === "busy") storm = Math.floor(rng() * 4);
    return kind;
  };
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const given = Buffer.concat(parts);
      const body = changeRequest ? Buffer.from(changeRequest(request.url ?? "", given.toString())) : given;
      const forward = (): Promise<{ status: number; type: string; body: Buffer }> =>
        new Promise((resolve, reject) => {
          const headers = { ...request.headers, host: `${hostname}:${port}`, "content-length": body.length };
          const outgoing = send({ hostname, port, path: request.url, method: request.method, headers }, (answer) => {
            const chunks: Buffer[] = [];
            answer.on("data", (part: Buffer) => chunks.push(part));
            answer.on("error", reject);
            answer.on("end", () =>
              resolve({
                status: answer.statusCode ?? 500,
                type: answer.headers["content-type"] ?? "application/json",
                body: Buffer.concat(chunks),
              }),
            );
          });
          outgoing.on("error", reject);
          outgoing.end(body);
        });
      const kind = fault();
      if (kind !== null) injected[kind]++;
      void (async () => {
        if (kind === "lost") return void request.socket.destroy();
        if (kind === "busy") return void response.writeHead(429, { "retry-after-ms": "3" }).end('{"detail":"too many requests"}');
        if (kind === "failing") return void response.writeHead(503).end("upstream connect error");
        const answers = [forward(), ...(kind === "doubled" ? [forward()] : [])];
        const answer = (await Promise.all(answers)).at(-1)!;
        if (change) answer.body = Buffer.from(change(request.url ?? "", answer.body.toString()));
        if (kind === "unanswered") return void request.socket.destroy();
        if (kind === "late") await new Promise((resolve) => setTimeout(resolve, 40));
        response.writeHead(answer.status, { "content-type": answer.type, "content-length": answer.body.length });
        if (kind !== "truncated") return void response.end(answer.body);
        response.write(answer.body.subarray(0, answer.body.length >> 1));
        setTimeout(() => request.socket.destroy(), 2);
      })().catch(() => request.socket.destroy());
    });
  });
  // No faults but those of the plan: the server cuts no kept connection, which might meet the next request.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    injected,
    alter: (to) => void (change = to),
    alterRequests: (to) => void (changeRequest = to),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
