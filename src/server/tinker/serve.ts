import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { GuerdonError } from "../../error.ts";
import { isLoopback, listen, patience, type Listening } from "../listening.ts";
import { application } from "./app.ts";
import { service } from "./service.ts";
import { snapshotsOfSession } from "./snapshots.ts";

export interface ServeEngineOptions {
  /** 8500 unless said; 0 for any that is free. */
  readonly port?: number;
  /** 127.0.0.1 unless said. Other machines reach the server at "0.0.0.0" or "::"; then it wants a key. */
  readonly host?: string;
  /** Requests must then say `X-API-Key: <key>`. */
  readonly key?: string;
  /** The name that requests call the model by; the folder's own unless said. */
  readonly name?: string;
  /** Where checkpoints are kept, and what the server needs to go on after a restart. "guerdon-engine" unless said. */
  readonly data?: string;
  /** Threads that compute; 1 unless said. More than one pays for models above about 100,000 weights. */
  readonly threads?: number;
  /** The most bytes of a request; 16 MiB unless said. */
  readonly maxBytes?: number;
  /** Models in memory at a time; 16 unless said. */
  readonly maxModels?: number;
  /** Requests of one model that wait; further ones are refused with 429. 1,000 unless said. */
  readonly maxWaiting?: number;
  /** Sequences that wait to be drawn; further ones are refused with 429. 20,000 unless said. */
  readonly maxSequences?: number;
  /** Seconds without a sign of life after which a session is over and its models leave the memory; 300 unless said. */
  readonly staleSeconds?: number;
  /** Seconds that results are kept; 600 unless said. */
  readonly keepSeconds?: number;
  /** Longest that a request for a result is held when there is none yet, in milliseconds; 20,000 unless said. */
  readonly waitMs?: number;
  /** Told what goes wrong, a sentence each. */
  readonly onEvent?: (sentence: string) => void;
}

export interface EngineServer {
  readonly url: string;
  readonly port: number;
  /** The name that requests call the model by. */
  readonly model: string;
  /** Takes no further requests, lets the computation that runs come to its end, and ends. */
  close(): Promise<void>;
}

/**
 * Serves the training protocol that the hosted Tinker service and SkyRL speak, with the local engine: sessions, adapters on one base model,
 * forward and backward passes, optimizer steps, sampling and checkpoints. Numbers are computed in a thread of their own.
 *
 * @param folder of a model, as `readModel` reads it
 * @throws GuerdonError "input" or "unsupported" when the model cannot be read; "usage" for options out of range, or an address that others
 *   reach without a key; "io" when the port is taken or the data folder cannot be used
 */
export async function serveEngine(folder: string, options: ServeEngineOptions = {}): Promise<EngineServer> {
  const { host = "127.0.0.1", key = null, onEvent = () => undefined } = options;
  const refuse = (what: string) => new GuerdonError("usage", `serveEngine: ${what}`);
  const whole = (name: keyof ServeEngineOptions, usual: number, least: number, most = 2 ** 31 - 1): number => {
    const value = options[name] ?? usual;
    if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most)
      throw refuse(`${name} must be a whole number from ${least} to ${most}, not ${String(value)}.`);
    return value;
  };
  if (key === "") throw refuse("the key is empty.");
  if (key === null && !isLoopback(host)) throw refuse(`${host} can be reached from other machines: give a key (--token-env NAME).`);
  const path = resolve(folder);
  if (!existsSync(path)) throw new GuerdonError("input", `There is no folder ${folder} to read a model from.`);
  const name = options.name ?? basename(path);
  const port = whole("port", 8500, 0, 65_535);
  const maxBytes = whole("maxBytes", 16 * 2 ** 20, 1024);
  const maxModels = whole("maxModels", 16, 1);
  const running = await service({
    folder: path,
    name,
    data: resolve(options.data ?? "guerdon-engine"),
    threads: options.threads === undefined ? null : whole("threads", 1, 1, 256),
    limits: {
      staleMs: whole("staleSeconds", 300, 1) * 1000,
      keepMs: whole("keepSeconds", 600, 1) * 1000,
      keepCount: 20_000,
      keepBytes: 256 * 2 ** 20,
      sessions: 1000,
      models: maxModels,
      waiting: whole("maxWaiting", 1000, 1),
      bytes: 512 * 2 ** 20,
      sequences: whole("maxSequences", 20_000, 1),
      snapshots: snapshotsOfSession * maxModels,
    },
    onEvent,
  });
  const app = application({ service: running, folder: path, key, maxBytes, waitMs: whole("waitMs", 20_000, 0), onEvent });
  let listening: Listening;
  try {
    listening = await listen(app.fetch, host, port);
  } catch (cause) {
    await running.close();
    throw cause;
  }
  let ending: Promise<void> | null = null;
  return {
    url: listening.url,
    port: listening.port,
    model: name,
    close: () =>
      (ending ??= (async () => {
        const closed = listening.end();
        await running.close();
        await Promise.race([closed, patience(1000)]);
        listening.cut();
        await closed;
      })()),
  };
}
