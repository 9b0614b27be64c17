import { thisHost } from "../../data/host.ts";
import { GuerdonError } from "../../error.ts";
import type { FromComputer, JobName, Jobs, ToComputer } from "./wire.ts";

/** A job failed: by the fault of who asked for it, or of this server. */
export class JobFailed extends Error {
  readonly user: boolean;
  constructor(message: string, user: boolean) {
    super(message);
    this.user = user;
  }
}

/** The computing thread as seen from the server. */
export interface Compute {
  /** @throws JobFailed */
  run<K extends JobName>(name: K, job: Jobs[K]["job"]): Promise<Jobs[K]["result"]>;
  /** Why it can do no more, or null. */
  lost(): string | null;
  close(): Promise<void>;
}

/** Starts the thread that computes. */
export async function startCompute(onLoss: (reason: string) => void): Promise<Compute> {
  const host = await thisHost();
  const peer = await host.start(new URL("./computer-peer.ts", import.meta.url), { kind: "worker" });
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  let ids = 0;
  let reason: string | null = null;
  let closing = false;
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
    if ("error" in said) asked?.reject(new JobFailed(said.error.message, said.error.user));
    else asked?.resolve(said.result);
  });
  void peer.ended.then((end) => {
    reason = closing ? "the server is ending" : `the computing thread ended: ${end.reason}`;
    for (const id of waiting.keys()) settled(id)?.reject(new JobFailed(reason, false));
    if (!closing) onLoss(reason);
  });
  return {
    run(name, job) {
      if (reason !== null) return Promise.reject(new JobFailed(reason, false));
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
    lost: () => reason,
    async close() {
      closing = true;
      await peer.kill();
    },
  };
}
