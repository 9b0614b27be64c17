import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { GuerdonError } from "../error.ts";
import type { Reward } from "../rewards/index.ts";
import { application } from "./app.ts";
import { onSourceChange } from "./changes.ts";
import { crew, type CrewOptions, type Scoring } from "./crew.ts";
import { inline } from "./inline.ts";
import { isLoopback, listen, patience, type Listening } from "./listening.ts";
import { metrics } from "./metrics.ts";
import { commonEndTokens } from "./special-tokens.ts";
import type { OfferedReward } from "./wire.ts";

export interface ServeOptions {
  /** 8400 unless said; 0 for any that is free. */
  readonly port?: number;
  /** 127.0.0.1 unless said. Other machines reach the server at "0.0.0.0" or "::"; then it wants a token. */
  readonly host?: string;
  /** Requests must then say `Authorization: Bearer <token>`. */
  readonly token?: string;
  /** Serves on addresses other than loopback without a token: whoever reaches the port may score. */
  readonly anonymous?: boolean;
  /** Deadline of a request, in milliseconds: a row that is not scored by then is null with the kind "timeout". 30,000 unless said. */
  readonly timeoutMs?: number;
  /** Where the protocol knows numbers only (/get_reward, /classify): a row that cannot be scored fails the request (503), or counts as 0. "fail" unless said. */
  readonly unscorable?: "fail" | 0;
  /** Loads the file anew whenever it changes. */
  readonly watch?: boolean;
  /** Processes that score; by default one fewer than there are cores, from 2 to 8. */
  readonly processes?: number;
  /** Calls of the reward's functions at the same time in each process; 32 unless said. */
  readonly concurrency?: number;
  /** A process that grows beyond so many MiB is ended. */
  readonly memoryMiB?: number;
  /** The most rows that are scored together; 64 unless said. */
  readonly batch?: number;
  /** How long a row waits for others to join it; 2 unless said. */
  readonly mergeMs?: number;
  /** The most rows that wait or are under way; further ones are refused with 429. 20,000 unless said. */
  readonly maxRows?: number;
  /** The most bytes of a request; 16 MiB unless said. */
  readonly maxBytes?: number;
  /** Texts that end an answer in /get_reward and /classify, beside those of common model families. */
  readonly endTokens?: readonly string[];
  /** Told of lost processes and reloads, a sentence each. */
  readonly onEvent?: (sentence: string) => void;
}

export interface RewardServer {
  readonly url: string;
  readonly port: number;
  /** What it offers now. */
  readonly rewards: () => readonly OfferedReward[];
  /** Takes no further requests, answers those under way (by their deadline), and ends. */
  close(): Promise<void>;
}

/**
 * Serves a reward over HTTP: `POST /v1/score`, `/get_reward` as OpenRLHF calls it, `/classify` as vLLM serves it, `GET /v1/rewards`,
 * `/healthz`, `/metrics`, `/openapi.json`.
 *
 * A reward given by its file (`"./reward.ts"`, `"./reward.ts#name"`) runs in processes of its own: one that hangs, throws or exits costs its
 * own row, which comes back as null with a reason, and not the server. Every request gets one answer, scores in the order of its rows.
 * Single rows of several requests are scored together. A reward given as an object runs in this thread.
 *
 * @throws GuerdonError "input" when the file cannot be loaded; "usage" for options out of range, or an address that others reach without a
 *   token; "io" when the port is taken
 */
export async function serve(source: string | Reward<never>, options: ServeOptions = {}): Promise<RewardServer> {
  const settings = resolved(options);
  const { host, port, timeoutMs, onEvent } = settings;
  const counters = metrics();
  const crewOptions = (path: string): CrewOptions => ({
    ...settings,
    source: path,
    ...(options.memoryMiB === undefined ? {} : { memoryMiB: options.memoryMiB }),
    onLoss(how) {
      counters.count("guerdon_lost_processes_total", {});
      onEvent(`A process of the reward was lost: ${how}`);
    },
  });
  if (options.watch === true && typeof source !== "string")
    throw new GuerdonError("usage", "serve: watch needs a file, not a reward object.");
  let scoring: Scoring = typeof source === "string" ? await crew(crewOptions(source)) : inline(source, settings);
  let isDraining = false;
  const app = application({
    ...settings,
    scoring: () => scoring,
    metrics: counters,
    isDraining: () => isDraining,
    version: (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version,
  });

  let listening: Listening;
  try {
    listening = await listen(app.fetch, host, port);
  } catch (cause) {
    await scoring.close();
    throw cause;
  }

  let reloading: Promise<void> = Promise.resolve();
  let retired: Promise<unknown> = Promise.resolve();
  const reload = async (path: string): Promise<void> => {
    if (isDraining) return;
    try {
      const next = await crew(crewOptions(path));
      const before = scoring;
      scoring = next;
      counters.count("guerdon_reloads_total", { outcome: "done" });
      onEvent(`Reloaded ${path}: ${named(next.offer.rewards)}`);
      retired = Promise.all([retired, before.idle().then(() => before.close())]);
    } catch (cause) {
      counters.count("guerdon_reloads_total", { outcome: "failed" });
      onEvent(`The changed file cannot be used; what was there before goes on. ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  };
  const stopWatching =
    options.watch === true && typeof source === "string"
      ? onSourceChange(source.replace(/#[^#]*$/, ""), () => void (reloading = reloading.then(() => reload(source))))
      : () => undefined;

  let ending: Promise<void> | null = null;
  return {
    url: listening.url,
    port: listening.port,
    rewards: () => scoring.offer.rewards,
    close: () =>
      (ending ??= (async () => {
        isDraining = true;
        stopWatching();
        const closed = listening.end();
        await reloading;
        await Promise.race([scoring.idle(), patience(timeoutMs + 1000)]);
        await Promise.all([scoring.close(), retired]);
        // Answers that are being written get a moment; connections that only idle, or never read, do not hold up the end.
        await Promise.race([closed, patience(1000)]);
        listening.cut();
        await closed;
      })()),
  };
}

/** For people: the names of rewards. */
export const named = (rewards: readonly OfferedReward[]): string => rewards.map(({ name }) => name).join(", ");

function resolved(options: ServeOptions) {
  const { host = "127.0.0.1", port = 8400, token = null, anonymous = false, unscorable = "fail", endTokens = [] } = options;
  const refuse = (what: string): never => {
    throw new GuerdonError("usage", `serve: ${what}`);
  };
  const whole = (
    name: "port" | "timeoutMs" | "processes" | "concurrency" | "batch" | "mergeMs" | "maxRows" | "maxBytes",
    usual: number,
    least: number,
    most = 2 ** 31 - 1,
  ): number => {
    const value = options[name] ?? usual;
    if (!Number.isInteger(value) || value < least || value > most)
      refuse(`${name} must be a whole number from ${least} to ${most}, not ${value}.`);
    return value;
  };
  if (token === "") refuse("the token is empty.");
  if (token === null && !anonymous && !isLoopback(host))
    refuse(`${host} can be reached from other machines: give a token (--token-env NAME), or say that anybody may score (--anonymous).`);
  return {
    host,
    port: whole("port", port, 0, 65_535),
    token,
    unscorable,
    timeoutMs: whole("timeoutMs", 30_000, 1),
    processes: whole("processes", Math.min(8, Math.max(2, availableParallelism() - 1)), 1, 1024),
    concurrency: whole("concurrency", 32, 1),
    batch: whole("batch", 64, 1),
    mergeMs: whole("mergeMs", 2, 0, 10_000),
    maxRows: whole("maxRows", 20_000, 1),
    maxBytes: whole("maxBytes", 16 * 2 ** 20, 1),
    endTokens: [...commonEndTokens, ...endTokens],
    onEvent: options.onEvent ?? (() => undefined),
  };
}
