import { Refused } from "./refused.ts";
import { newSession, type SamplerRecord, type Store } from "./store.ts";
import type { Sampler } from "./wire.ts";

/** Weights to sample from, under a name. */
export interface SamplingSession {
  readonly id: string;
  readonly session: string;
  readonly from: Sampler;
  /** The checkpoint, where there is one. */
  readonly path: string | null;
  /** Of the request that made it. */
  readonly digest: string;
}

interface Session {
  readonly id: string;
  readonly created: string;
  heard: number;
  readonly samplers: Map<number, SamplingSession>;
  /** Why it takes no more requests, or null. */
  ended: string | null;
}

export interface Sessions {
  create(): Promise<string>;
  /** A sign of life. @throws Refused 404 for a session that no server knows; 410 for one that has ended */
  touch(id: string): void;
  end(id: string, why: string): void;
  /** Sessions that gave no sign of life for so long; they are over. */
  sweep(staleMs: number, isBusy: (id: string) => boolean): readonly string[];
  /** The sampling session of this number, made with `make` unless it is there. @throws Refused 409 where another one has the number */
  sampler(session: string, number: number, digest: string, make: (id: string) => Pick<SamplingSession, "from" | "path">): Promise<string>;
  /** @throws Refused 404 */
  samplerOf(id: string): SamplingSession;
  /** Of a session, in order. */
  samplersOf(id: string): readonly string[];
}

/** The sampling session's id follows from its session and number there, as a model's does. */
const samplerId = (session: string, number: number): string => `${session}:sample:${number}`;

export function sessions(
  store: Store,
  most: number,
  samplerFrom: (record: SamplerRecord) => Pick<SamplingSession, "from" | "path">,
): Sessions {
  const all = new Map<string, Session>();
  const samplers = new Map<string, SamplingSession>();
  for (const record of store.sessions) {
    const session: Session = { id: record.id, created: record.created, heard: performance.now(), samplers: new Map(), ended: null };
    for (const [number, kept] of record.samplers) {
      const id = samplerId(record.id, number);
      const sampler = { id, session: record.id, digest: JSON.stringify(kept), ...samplerFrom(kept) };
      session.samplers.set(number, sampler);
      samplers.set(id, sampler);
    }
    all.set(record.id, session);
  }
  const live = (id: string): Session => {
    const session = all.get(id);
    if (!session) throw new Refused(404, "There is no such session: create one.");
    if (session.ended !== null) throw new Refused(410, `This session is over: ${session.ended}.`);
    return session;
  };
  /** What outlives a restart; null for weights that are in memory only. */
  const recordOf = ({ from, path }: Pick<SamplingSession, "from" | "path">): SamplerRecord | null =>
    "base" in from ? { base: true } : path === null ? null : { path };
  const keep = (session: Session): Promise<void> =>
    store.putSession({
      id: session.id,
      created: session.created,
      samplers: [...session.samplers].flatMap(([number, sampler]): [number, SamplerRecord][] => {
        const record = recordOf(sampler);
        return record === null ? [] : [[number, record]];
      }),
    });

  return {
    async create() {
      const over = [...all.values()].filter(({ ended }) => ended !== null);
      const open = all.size - over.length;
      if (open >= most) throw new Refused(429, `There are ${open} sessions already; create this one later.`);
      // That a session has ended is told for a while.
      for (const { id, samplers: own } of over.slice(0, -most)) {
        for (const sampler of own.values()) samplers.delete(sampler.id);
        all.delete(id);
      }
      const session: Session = {
        id: newSession(),
        created: new Date().toISOString(),
        heard: performance.now(),
        samplers: new Map(),
        ended: null,
      };
      all.set(session.id, session);
      await keep(session);
      return session.id;
    },
    touch(id) {
      live(id).heard = performance.now();
    },
    end(id, why) {
      live(id).ended = why;
    },
    sweep(staleMs, isBusy) {
      const now = performance.now();
      const stale = [...all.values()].filter((one) => one.ended === null && now - one.heard > staleMs && !isBusy(one.id));
      for (const session of stale) session.ended = `it gave no sign of life for ${Math.round(staleMs / 1000)} s`;
      return stale.map(({ id }) => id);
    },
    async sampler(sessionId, number, digest, make) {
      const session = live(sessionId);
      const before = session.samplers.get(number);
      if (before && before.digest !== digest) throw new Refused(409, `Sampling session ${number} of this session is another one.`);
      if (before) return before.id;
      const id = samplerId(sessionId, number);
      const sampler = { id, session: sessionId, digest, ...make(id) };
      session.samplers.set(number, sampler);
      samplers.set(id, sampler);
      // One that leaves no record leaves the file as it is: flushing it takes longer than making the weights available.
      if (recordOf(sampler) !== null) await keep(session);
      return id;
    },
    samplerOf(id) {
      const found = samplers.get(id);
      if (!found) throw new Refused(404, "There is no such sampling session, or its weights were in memory only and are gone: create one.");
      live(found.session).heard = performance.now();
      return found;
    },
    samplersOf: (id) => [...live(id).samplers.values()].map((sampler) => sampler.id),
  };
}
