import { thisHost, type Host } from "../../data/host.ts";
import { GuerdonError } from "../../error.ts";
import type { BaseModel, FromComputer, JobName, Jobs, ToComputer } from "./wire.ts";

/** A job failed: by the fault of who asked for it, or of this server. */
export class JobFailed extends Error {
  readonly user: boolean;
  constructor(message: string, user: boolean) {
    super(message);
    this.user = user;
  }
}

/** Why a thread can be used no more: it is gone with all it held, or it has no memory left, and what it holds can still be read. */
export interface Fault {
  readonly kind: "ended" | "full";
  readonly reason: string;
}

/** The computing thread as seen from the server. */
export interface Compute {
  readonly base: BaseModel;
  /** @throws JobFailed */
  run: Run;
  fault(): Fault | null;
  /** Puts a new thread, which holds the base model alone, in the place of one with a fault. @throws JobFailed when none can be had */
  restart(): Promise<void>;
  close(): Promise<void>;
}

type Run = <K extends JobName>(name: K, job: Jobs[K]["job"]) => Promise<Jobs[K]["result"]>;

interface Thread {
  readonly run: Run;
  fault(): Fault | null;
  end(): Promise<void>;
}

/**
 * Starts the thread that computes, with a base model.
 *
 * @param onFault told once of each thread that can be used no more
 * @throws JobFailed when the model cannot be opened
 */
export async function startCompute(open: Jobs["open"]["job"], onFault: () => void): Promise<Compute> {
  const host = await thisHost();
  const opened = async (): Promise<readonly [Thread, BaseModel]> => {
    const thread = await startThread(host, onFault);
    try {
      return [thread, await thread.run("open", open)];
    } catch (cause) {
      await thread.end();
      throw cause;
    }
  };
  const [first, base] = await opened();
  let thread = first;
  return {
    base,
    run: (name, job) => thread.run(name, job),
    fault: () => thread.fault(),
    async restart() {
      await thread.end();
      const [next, { fingerprint }] = await opened();
      if (fingerprint !== base.fingerprint) {
        await next.end();
        throw new JobFailed(`${open.folder} holds another model now`, false);
      }
      thread = next;
    },
    close: () => thread.end(),
  };
}

async function startThread(host: Host, onFault: () => void): Promise<Thread> {
  const peer = await host.start(new URL("./computer-peer.ts", import.meta.url), { kind: "worker" });
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  let ids = 0;
  let fault: Fault | null = null;
  let ending = false;
  // A worker alone does not keep the process alive, and somebody waits for its answer.
  let awake: NodeJS.Timeout | null = null;
  const settled = (id: number) => {
    const found = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0 && awake) {
      clearInterval(awake);
      awake = null;
    }
    return found;
  };
  peer.listen((message) => {
    const said = message as FromComputer;
    const asked = settled(said.id);
    if ("result" in said) return asked?.resolve(said.result);
    const { message: reason, user, full } = said.error;
    if (full && !fault) {
      fault = { kind: "full", reason };
      onFault();
    }
    asked?.reject(new JobFailed(reason, user));
  });
  void peer.ended.then((end) => {
    const before = fault;
    const reason = ending ? "The server is ending." : `The computing thread ended: ${end.reason}.`;
    fault = { kind: "ended", reason: before?.reason ?? reason };
    for (const id of waiting.keys()) settled(id)?.reject(new JobFailed(fault.reason, false));
    if (!ending && !before) onFault();
  });
  return {
    run(name, job) {
      if (fault?.kind === "ended") return Promise.reject(new JobFailed(fault.reason, false));
      const id = ids++;
      awake ??= setInterval(() => undefined, 60_000);
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve: resolve as (result: unknown) => void, reject });
        try {
          peer.post({ id, name, job } as ToComputer);
        } catch (cause) {
          settled(id);
          reject(new GuerdonError("internal", `The job ${name} cannot be handed over.`, { cause }));
        }
      });
    },
    fault: () => fault,
    async end() {
      ending = true;
      await peer.kill();
    },
  };
}
