import { thisHost, type StartOptions } from "../../../data/host.ts";
import { pool, type Pool } from "../../../data/pool.ts";
import { GuerdonError } from "../../../error.ts";

/** A kind of sandbox: which module runs in it, how, and how many at a time. */
export interface SandboxKind {
  readonly name: string;
  readonly module: URL;
  readonly start: StartOptions;
  readonly size?: number;
  /** The package that it needs, for the sentence that says how to get it. */
  readonly needs?: string;
  /** Sandboxes kept ready to replace those that are killed, for kinds that are slow to start. */
  readonly spare?: number;
}

const pools = new Map<string, Pool<never, unknown>>();

/** The one pool of a kind in this process, made when it is first asked for. */
function poolOf<Job, Value>(kind: SandboxKind): Pool<Job, Value> {
  const made =
    pools.get(kind.name) ??
    pool<never, unknown>({
      start: async () => (await thisHost()).start(kind.module, kind.start),
      size: kind.size ?? sandboxSize(),
      spare: kind.spare ?? 0,
    });
  pools.set(kind.name, made);
  return made as unknown as Pool<Job, Value>;
}

/** As many sandboxes as there are processors, but not more than eight. */
const sandboxSize = (): number => Math.max(1, Math.min(8, globalThis.navigator?.hardwareConcurrency ?? 2));

/** What a job in a sandbox came to, where there was a sandbox. */
export type SandboxOutcome<Value> =
  | { readonly kind: "done"; readonly value: Value }
  | { readonly kind: "timeout" | "memory" | "ended" | "threw"; readonly reason: string };

/** Time after its own limit for a sandbox to say so itself, before it is killed. */
const graceMs = 500;

/**
 * Runs a job in a sandbox of this kind. A sandbox that dies with the job is no verdict the first time, because the machine may have ended it;
 * when a second one dies with it too, the job brings sandboxes down.
 *
 * @throws GuerdonError "missing-dependency" when the package is not installed; "io" when no sandbox can be started; "interrupted"
 */
export async function inSandbox<Job, Value>(
  kind: SandboxKind,
  job: Job,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<SandboxOutcome<Value>> {
  const sandboxes = poolOf<Job, Value>(kind);
  const options = { timeoutMs: timeoutMs + graceMs, signal };
  let outcome = await sandboxes.run(job, options);
  if (outcome.kind === "ended") outcome = await sandboxes.run(job, options);
  if (outcome.kind === "start") {
    if (kind.needs && /Cannot find (package|module)/i.test(outcome.reason))
      throw new GuerdonError("missing-dependency", `This needs ${kind.needs}: npm install ${kind.needs}`);
    throw new GuerdonError("io", `No sandbox for ${kind.name} could be started: ${outcome.reason}.`);
  }
  if (outcome.kind === "timeout") return { kind: "timeout", reason: `it took longer than ${timeoutMs} ms` };
  if (outcome.kind === "aborted") throw new GuerdonError("interrupted", `A sandbox for ${kind.name} was stopped: ${outcome.reason}.`);
  return outcome as SandboxOutcome<Value>;
}

/** Process ids of the sandboxes that run now, for those that are processes. */
export const sandboxPids = (): number[] => [...pools.values()].flatMap((one) => one.pids());

/**
 * Ends all sandboxes. They never keep a program alive and never outlive it, so this is only for freeing their memory early; the next use
 * starts new ones.
 */
export async function closeSandboxes(): Promise<void> {
  const open = [...pools.values()];
  pools.clear();
  await Promise.all(open.map((one) => one.close()));
}
