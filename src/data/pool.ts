import { GuerdonError } from "../error.ts";
import type { Peer } from "./host.ts";
import type { FromPeer, ToPeer } from "./peer.ts";

/** What a job came to. `ended` is a peer that died with the job; `threw` the job's own throw; `start` a peer that could not be had. */
export type JobOutcome<Value> =
  | { readonly kind: "done"; readonly value: Value }
  | { readonly kind: "timeout" | "memory" | "ended" | "threw" | "aborted" | "start"; readonly reason: string };

export interface PoolOptions {
  /** Starts one peer, whose module answers with `answerJobs`. */
  readonly start: () => Promise<Peer>;
  /** The most peers at a time. */
  readonly size: number;
  /** How long a peer may take until it is ready; 60,000 ms unless said. */
  readonly startMs?: number;
  /** Peers kept ready beyond those that may work, to take the place of those that are killed; 0 unless said. */
  readonly spare?: number;
}

export interface JobOptions {
  /** From the moment at which a peer begins; waiting for a free one does not count. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Pool<Job, Value> {
  /** Runs a job on the next free peer. Never rejects: whatever goes wrong is a typed outcome, the peer is replaced and the next job runs. */
  run(job: Job, options: JobOptions): Promise<JobOutcome<Value>>;
  /** Starts peers ahead of the first jobs; resolves when that many are ready. @throws GuerdonError "io" when they cannot be started */
  warm(count?: number): Promise<void>;
  /** Process ids of its living peers, for peers that are processes. */
  pids(): number[];
  /** Ends every peer; jobs under way or waiting end as aborted. */
  close(): Promise<void>;
}

interface Waiting {
  readonly job: unknown;
  readonly timeoutMs: number;
  readonly settle: (outcome: JobOutcome<never> | { kind: "done"; value: unknown }) => void;
}
interface Member {
  peer: Peer | null;
  state: "starting" | "idle" | "busy" | "gone";
  current: (Waiting & { id: number; timer: ReturnType<typeof setTimeout> }) | null;
}

/** Peers that take one job at a time, killed and replaced when they are too late or die. @throws GuerdonError "usage" for a size below 1 */
export function pool<Job, Value>({ start, size, startMs = 60_000, spare = 0 }: PoolOptions): Pool<Job, Value> {
  if (!Number.isInteger(size) || size < 1) throw new GuerdonError("usage", `A pool needs a size of at least 1, not ${size}.`);
  const members = new Set<Member>();
  const queue: Waiting[] = [];
  const watchers = new Set<() => void>();
  let nextId = 0;
  let closed = false;
  let failure = "";

  const changed = (): void => {
    for (const watcher of watchers) watcher();
  };

  function retire(member: Member): Promise<void> {
    member.state = "gone";
    members.delete(member);
    return member.peer?.kill() ?? Promise.resolve();
  }

  /** Ends the job of a member that is no longer good for another one. The answer waits until the peer is really gone. */
  function fail(member: Member, outcome: JobOutcome<never>): void {
    const { current } = member;
    member.current = null;
    if (current) clearTimeout(current.timer);
    void retire(member).then(() => {
      current?.settle(outcome);
      dispatch();
      changed();
    });
    dispatch();
  }

  function begin(member: Member, waiting: Waiting): void {
    const id = nextId++;
    const { timeoutMs } = waiting;
    // The timer also keeps this process alive until the answer is there: peers do not.
    const timer = setTimeout(() => fail(member, { kind: "timeout", reason: `it took longer than ${timeoutMs} ms` }), timeoutMs);
    member.current = { ...waiting, id, timer };
    member.state = "busy";
    try {
      member.peer!.post({ id, job: waiting.job } satisfies ToPeer);
    } catch (cause) {
      // What cannot be cloned is the caller's mistake and harms no peer.
      clearTimeout(timer);
      member.current = null;
      member.state = "idle";
      waiting.settle({ kind: "threw", reason: `the job cannot be sent: ${cause instanceof Error ? cause.message : String(cause)}` });
    }
  }

  function hear(member: Member, message: FromPeer): void {
    if (member.state === "gone") return;
    if ("ready" in message) {
      if (member.state === "starting") member.state = "idle";
      return dispatch();
    }
    if (message.id === -1) {
      failure = "error" in message ? message.error : "";
      return void retire(member).then(() => (giveUp(failure), changed()));
    }
    const { current } = member;
    if (current === null || message.id !== current.id) return;
    clearTimeout(current.timer);
    member.current = null;
    member.state = "idle";
    if ("error" in message) current.settle({ kind: "threw", reason: message.error });
    else {
      current.settle({ kind: "done", value: message.value });
      if (message.last) void retire(member);
    }
    dispatch();
  }

  /** No peer is left, nor one that still starts, so those that wait would wait in vain. */
  function giveUp(reason: string): void {
    if (members.size > 0) return;
    for (const { settle } of queue.splice(0)) settle({ kind: "start", reason });
  }

  async function add(): Promise<void> {
    const member: Member = { peer: null, state: "starting", current: null };
    members.add(member);
    const timer = setTimeout(() => {
      if (member.state !== "starting") return;
      failure = `it was not ready within ${startMs} ms`;
      void retire(member).then(() => (giveUp(failure), changed()));
    }, startMs);
    try {
      const peer = await start();
      member.peer = peer;
      if ((member.state as Member["state"]) === "gone") return await peer.kill();
      void peer.ended.then(({ kind, reason }) => {
        clearTimeout(timer);
        if (member.state === "gone") return;
        if (member.state === "starting") {
          failure = reason;
          members.delete(member);
          member.state = "gone";
          giveUp(failure);
          changed();
        } else fail(member, { kind: kind === "memory" ? "memory" : "ended", reason });
      });
      peer.listen((message) => {
        hear(member, message as FromPeer);
        if (member.state !== "starting") clearTimeout(timer);
        changed();
      });
    } catch (cause) {
      clearTimeout(timer);
      members.delete(member);
      member.state = "gone";
      failure = cause instanceof Error ? cause.message : String(cause);
      giveUp(failure);
      changed();
    }
  }

  function dispatch(): void {
    if (closed) return;
    let busy = [...members].filter(({ state }) => state === "busy").length;
    for (const member of members) {
      if (queue.length === 0 || busy >= size) break;
      if (member.state !== "idle") continue;
      begin(member, queue.shift()!);
      busy = [...members].filter(({ state }) => state === "busy").length;
    }
    const ready = [...members].filter(({ state }) => state === "starting" || state === "idle").length;
    // Spares come last: while the first peers start, another one would only slow them down.
    const working = [...members].some(({ state }) => state !== "starting");
    const wanted = Math.min(size - busy, queue.length) + (working ? spare : 0);
    for (let i = ready; i < wanted && members.size < size + spare; i++) void add();
  }

  return {
    run: (job, { timeoutMs, signal }) =>
      new Promise((resolve) => {
        if (closed) return resolve({ kind: "aborted", reason: "the pool is closed" });
        if (signal?.aborted) return resolve({ kind: "aborted", reason: "it was cancelled" });
        const stop = (): void => {
          const at = queue.indexOf(waiting);
          const aborted = { kind: "aborted", reason: "it was cancelled" } as const;
          if (at >= 0) {
            queue.splice(at, 1);
            return waiting.settle(aborted);
          }
          const member = [...members].find(({ current }) => current?.settle === waiting.settle);
          if (member) fail(member, aborted);
        };
        const waiting: Waiting = {
          job,
          timeoutMs,
          settle(outcome) {
            signal?.removeEventListener("abort", stop);
            resolve(outcome as JobOutcome<Value>);
          },
        };
        signal?.addEventListener("abort", stop);
        queue.push(waiting);
        dispatch();
      }),
    warm: (count = size) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const ready = [...members].filter(({ state }) => state === "idle" || state === "busy").length;
          if (ready >= Math.min(count, size)) resolve();
          else if (![...members].some(({ state }) => state === "starting"))
            reject(new GuerdonError("io", `Only ${ready} of ${Math.min(count, size)} peers could be started: ${failure}.`));
          else return;
          watchers.delete(look);
        };
        watchers.add(look);
        for (let i = members.size; i < Math.min(count, size); i++) void add();
        look();
      }),
    pids: () => [...members].map(({ peer }) => peer?.pid).filter((pid) => pid !== undefined),
    async close() {
      closed = true;
      for (const { settle } of queue.splice(0)) settle({ kind: "aborted", reason: "the pool was closed" });
      await Promise.all(
        [...members].map(async (member) => {
          const { current } = member;
          member.current = null;
          if (current) clearTimeout(current.timer);
          await retire(member);
          current?.settle({ kind: "aborted", reason: "the pool was closed" });
        }),
      );
    },
  };
}
