import type { Compute } from "./compute.ts";

/** Sampling sessions of one session on weights that are in memory only. */
export const snapshotsOfSession = 8;

/** Weights that are in memory only, under the ids of the sampling sessions that draw from them. */
export interface Snapshots {
  has(id: string): boolean;
  /** Keeps a model's weights as they are now; the oldest go where there are too many. */
  take(id: string, session: string, model: string): Promise<void>;
  endSession(session: string): void;
  /** The thread that had them is gone. */
  clear(): void;
}

/** @param most of all sessions together */
export function snapshots(compute: Pick<Compute, "run">, most: number, onEvent: (sentence: string) => void): Snapshots {
  const all = new Set<string>();
  /** Ids begin with their session's. */
  const of = (session: string): readonly string[] => [...all].filter((id) => id.startsWith(session));

  function drop(id: string): void {
    all.delete(id);
    void compute.run("drop", { snapshot: id }).catch(() => onEvent(`${id} could not be forgotten.`));
  }

  return {
    has: (id) => all.has(id),
    async take(id, session, model) {
      // Before it is there, so that the end of its session finds it.
      all.add(id);
      try {
        await compute.run("snapshot", { model, name: id });
      } catch (cause) {
        all.delete(id);
        throw cause;
      }
      // A session's own go first, so that one that trains fast takes no other's.
      const own = of(session);
      if (own.length > snapshotsOfSession) drop(own[0]!);
      else if (all.size > most) drop(all.values().next().value!);
    },
    endSession: (session) => of(session).forEach(drop),
    clear: () => all.clear(),
  };
}
