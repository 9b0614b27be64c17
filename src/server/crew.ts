import { thisHost, type Peer, type PeerEnd } from "../data/host.ts";
import type { Row } from "../data/row.ts";
import { GuerdonError } from "../error.ts";
import type { Score } from "../rewards/index.ts";
import { beatMs, type FromScorer, type Offer, type ScoringLimits, type ToScorer } from "./wire.ts";

/** Rows that are asked for together. Those of a unit that is whole, a group's, are never scored apart. */
export interface Work {
  readonly reward: number;
  readonly rows: readonly Row[];
  readonly whole: boolean;
  /** On the clock of performance.now(). */
  readonly deadline: number;
  /** Called exactly once for each row. */
  readonly onScore: (index: number, score: Score) => void;
}

/** Where rows are scored. */
export interface Scoring {
  readonly offer: Offer;
  /** Rows that wait or are under way. */
  rows(): number;
  /** Processes that could score now. */
  ready(): number;
  submit(work: Work): void;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
  /** Ends it; what is under way comes back unscorable. */
  close(): Promise<void>;
}

export interface CrewOptions extends ScoringLimits {
  /** The user's file, as `--reward` names it. */
  readonly source: string;
  readonly processes: number;
  /** The most rows in one message. */
  readonly batch: number;
  /** How long a row waits for others to join it. */
  readonly mergeMs: number;
  readonly memoryMiB?: number;
  /** Told when a process has ended on its own or had to be killed. */
  readonly onLoss: (how: string) => void;
}

/** A piece of work as it waits: some of its rows, all of them at first. */
interface Unit {
  readonly work: Work;
  /** Places of its rows in the work. */
  readonly places: readonly number[];
  /** Times that it had a process to itself, after it was in one that was lost. */
  readonly tries: number;
}
interface UnderWay {
  readonly unit: Unit;
  readonly place: number;
}
interface Member {
  readonly peer: Peer;
  state: "starting" | "ready" | "gone";
  readonly rows: Map<number, UnderWay>;
  /** Takes no more work, or only that of one suspect. */
  reserved: boolean;
  suspect: Unit | null;
  /** When it was last heard of, or was given work while it had none. */
  heard: number;
}

/**
 * Rows that a process may hold at a time: enough that it never waits. Where processes are lost it is halved with each, down to the least,
 * and grows again by a row for so many that are scored: then fewer rows are lost together.
 */
const held = { most: 256, least: 4, regrowth: 32 };
const sweepMs = 25;
/** A process's own report of a deadline says more than ours: it gets so long. */
const graceMs = 60;
/** How long a file may take to load. */
const startMs = 60_000;
/** After a process could not even be started. */
const restartMs = 1000;
const isSame = (a: Offer, b: Offer): boolean => JSON.stringify(a) === JSON.stringify(b);
const unscorable = (kind: "timeout" | "threw" | "aborted", message: string): Score => ({ value: null, error: { kind, message } });

/**
 * Processes that score rows and may be lost at any point. Unlike the peers of a pool, each has many rows under way, so that a reward that
 * waits (for a judge, say) does not hold up the others.
 *
 * Every row gets exactly one score, by its deadline. When a process ends, or says nothing for too long, it is replaced, and the rows that
 * it held are scored again one at a time, each with a process to itself: so a row that hangs or kills the reward costs the others a moment,
 * and itself becomes unscorable.
 *
 * @throws GuerdonError "input" when the file cannot be loaded, with its reason; "io" when no process can be started
 */
export async function crew(options: CrewOptions): Promise<Scoring> {
  const { source, processes, batch, mergeMs, timeoutMs, concurrency, onLoss } = options;
  const host = await thisHost();
  const stallMs = Math.max(2.5 * beatMs, timeoutMs / 4);
  const members = new Set<Member>();
  const waiting: Unit[] = [];
  const suspects: Unit[] = [];
  const idlers = new Set<() => void>();
  let offer: Offer | null = null;
  let rows = 0;
  let waitingRows = 0;
  let nextId = 0;
  let closed = false;
  let timer: NodeJS.Timeout | null = null;
  let restart: NodeJS.Timeout | null = null;
  let starting = 0;
  let hold: number = held.most;
  let failure = "";
  let lastSweep = performance.now();

  function settle({ work }: Unit, place: number, score: Score): void {
    rows--;
    work.onScore(place, score);
    if (rows > 0) return;
    for (const idler of idlers) idler();
    idlers.clear();
  }

  async function add(): Promise<Offer> {
    starting++;
    const peer = await host
      .start(new URL("./reward-peer.ts", import.meta.url), {
        kind: "process",
        trusted: true,
        ...(options.memoryMiB === undefined ? {} : { memoryMiB: options.memoryMiB }),
      })
      .finally(() => starting--);
    const member: Member = { peer, state: "starting", rows: new Map(), reserved: false, suspect: null, heard: performance.now() };
    if (closed) {
      await peer.kill();
      throw new GuerdonError("io", "The server is closed.");
    }
    members.add(member);
    return new Promise<Offer>((resolve, reject) => {
      // Also keeps this process alive meanwhile: peers do not.
      const slow = setTimeout(() => {
        void lose(member, "it was not ready in time");
        reject(new GuerdonError("io", `${source} was not loaded within ${startMs / 1000} seconds.`));
      }, startMs);
      void peer.ended.then(() => clearTimeout(slow));
      peer.listen((message) => {
        const said = message as FromScorer;
        member.heard = performance.now();
        if (member.state === "gone") return;
        if ("ids" in said) return receive(member, said.ids, said.scores);
        if ("alive" in said) return release(member);
        if ("offer" in said) {
          clearTimeout(slow);
          if (offer !== null && !isSame(offer, said.offer)) {
            const changed = `${source} has changed since it was first loaded, so a process that is started now would score by other rules`;
            void lose(member, changed);
            reject(new GuerdonError("input", `${changed}: start the server again, or use --watch.`));
            return;
          }
          member.state = "ready";
          failure = "";
          resolve(said.offer);
          dispatch();
        } else if ("failed" in said) {
          void lose(member, said.failed);
          reject(new GuerdonError("input", said.failed));
        }
      });
      void peer.ended.then((end) => {
        if (member.state === "gone") return;
        const wasStarting = member.state === "starting";
        void lose(member, end.reason, end.kind);
        if (wasStarting) reject(new GuerdonError("io", `A process for ${source} could not be started: ${end.reason}.`));
        else replace();
      });
      peer.post({ open: source, limits: { timeoutMs, concurrency } } satisfies ToScorer);
    });
  }

  /** Keeps the number of processes, without haste where the last one could not be started. */
  function replace(): void {
    if (closed) return;
    while (members.size + starting < processes && restart === null)
      add().catch((cause: unknown) => {
        const said = failure;
        failure = cause instanceof Error ? cause.message : String(cause);
        if (closed || restart !== null) return;
        if (failure !== said) onLoss(failure);
        restart = setTimeout(() => {
          restart = null;
          replace();
        }, restartMs);
      });
  }

  /** A process that is no longer good for anything: what it held goes back. */
  async function lose(member: Member, reason: string, kind: PeerEnd["kind"] = "killed"): Promise<void> {
    const wasReady = member.state === "ready";
    member.state = "gone";
    members.delete(member);
    const lost = [...member.rows.values()];
    member.rows.clear();
    if (wasReady && !closed) {
      hold = Math.max(held.least, hold / 2);
      onLoss(reason);
    }
    const alone = member.suspect !== null;
    for (const [unit, places] of Map.groupBy(lost, ({ unit }) => unit)) {
      const remaining = places.map(({ place }) => place);
      if (closed)
        for (const place of remaining) settle(unit, place, unscorable("aborted", "The server was stopped before this row was scored."));
      // Alone with the process that it hangs in, in a hurry: later again, with all the time that it has.
      else if (alone && kind === "killed" && unit.tries === 1) suspects.push({ ...unit, places: remaining, tries: 2 });
      else if (alone || (unit.work.whole && lost.length === remaining.length && kind !== "killed"))
        for (const place of remaining) settle(unit, place, blame(reason, kind));
      else if (unit.work.whole) suspects.push({ work: unit.work, places: remaining, tries: 1 });
      else for (const place of remaining) suspects.push({ work: unit.work, places: [place], tries: unit.tries === 0 ? 1 : 2 });
    }
    dispatch();
    await member.peer.kill();
  }

  function blame(reason: string, kind: PeerEnd["kind"]): Score {
    if (kind === "killed") return unscorable("timeout", `The reward did not come back within ${timeoutMs} ms; its process was killed.`);
    return unscorable("threw", `The reward ended the process that it ran in: ${reason}.`);
  }

  function kill(member: Member, reason: string): void {
    void lose(member, reason);
    void member.peer.ended.then(replace);
  }

  function receive(member: Member, ids: readonly number[], scores: readonly Score[]): void {
    for (let i = 0; i < ids.length; i++) {
      const under = member.rows.get(ids[i]!);
      // Nothing: its deadline came first.
      if (under === undefined) continue;
      member.rows.delete(ids[i]!);
      settle(under.unit, under.place, scores[i]!);
    }
    hold = Math.min(held.most, hold + ids.length / held.regrowth);
    if (member.rows.size === 0) member.reserved = false;
    if (member.rows.size === 0) member.suspect = null;
    if (isDue()) dispatch();
  }

  /** Whether something waits, and not only for others to join it. */
  const isDue = (): boolean => suspects.length > 0 || (waiting.length > 0 && (waitingRows >= batch || timer === null));

  function send(member: Member, units: readonly Unit[]): void {
    const ids: number[] = [];
    const given: Row[] = [];
    if (member.rows.size === 0) member.heard = performance.now();
    for (const unit of units)
      for (const place of unit.places) {
        const id = nextId++;
        member.rows.set(id, { unit, place });
        ids.push(id);
        given.push(unit.work.rows[place]!);
      }
    try {
      member.peer.post({ reward: units[0]!.work.reward, ids, rows: given } satisfies ToScorer);
    } catch (cause) {
      // A row that is nested too deeply, for one. It is found by sending each alone.
      for (const id of ids) member.rows.delete(id);
      for (const unit of units)
        if (units.length > 1 || (unit.places.length > 1 && !unit.work.whole))
          for (const place of unit.places) send(member, [{ ...unit, places: [place] }]);
        else {
          const what = cause instanceof Error ? cause.message : String(cause);
          for (const place of unit.places) settle(unit, place, unscorable("threw", `The row cannot be handed to the reward: ${what}.`));
        }
      if (member.rows.size > 0) return;
      member.reserved = false;
      member.suspect = null;
    }
  }

  /** A suspect that waits for something and lets its process live: others may come in, once. */
  function release(member: Member): void {
    if (member.suspect?.tries !== 1 || member.suspect.work.whole) return;
    member.suspect = null;
    member.reserved = false;
    dispatch();
  }

  const least = (among: readonly Member[]): Member | undefined =>
    among.reduce<Member | undefined>((best, one) => (best === undefined || one.rows.size < best.rows.size ? one : best), undefined);

  function dispatch(): void {
    if (closed) return;
    const ready = [...members].filter(({ state }) => state === "ready");
    while (suspects.length > 0) {
      const free = ready.find((member) => member.rows.size === 0);
      if (free === undefined) {
        // One process runs dry for them; the others go on.
        const next = ready.some(({ reserved }) => reserved) ? undefined : least(ready);
        if (next) next.reserved = true;
        break;
      }
      const unit = suspects.shift()!;
      free.reserved = true;
      free.suspect = unit;
      send(free, [unit]);
    }
    while (waiting.length > 0) {
      const member = least(ready.filter((one) => !one.reserved && one.rows.size < hold));
      if (member === undefined) break;
      const [first] = waiting;
      const most = Math.min(batch, Math.ceil(hold - member.rows.size));
      const units: Unit[] = [];
      let count = 0;
      // A whole unit goes alone; others join while they ask for the same reward.
      while (waiting.length > 0 && count < most) {
        const unit = waiting[0]!;
        if (units.length > 0 && (unit.work.whole || first!.work.whole || unit.work.reward !== first!.work.reward)) break;
        const room = unit.work.whole ? Infinity : most - count;
        const places = unit.places.slice(0, room);
        units.push(places.length === unit.places.length ? unit : { ...unit, places });
        if (places.length === unit.places.length) waiting.shift();
        else waiting[0] = { ...unit, places: unit.places.slice(room) };
        count += places.length;
      }
      waitingRows -= count;
      send(member, units);
    }
  }

  /** A process with one row may take all the time that the row has, unless others could be waiting for it in vain. */
  function mayBeSilent({ rows: under, suspect }: Member): boolean {
    const [first] = under.values();
    const isOne = under.size === 1 || (first!.unit.work.whole && under.size === first!.unit.places.length);
    return isOne && (suspect?.tries === 2 || suspects.length + waiting.length === 0);
  }

  /** Deadlines and silences. */
  function sweep(): void {
    const now = performance.now();
    // This process itself may have been held up: for so long it heard nobody.
    const deaf = Math.max(0, now - lastSweep - sweepMs);
    lastSweep = now;
    if (rows === 0) return;
    const why = failure === "" ? "the server is busy, or the reward hangs" : `no process can be started (${failure})`;
    const late = (unit: Unit, place: number): void =>
      settle(unit, place, unscorable("timeout", `No answer within ${timeoutMs} ms: ${why}.`));
    for (const queue of [waiting, suspects])
      for (let i = queue.length - 1; i >= 0; i--) {
        const unit = queue[i]!;
        if (unit.work.deadline > now) continue;
        queue.splice(i, 1);
        if (queue === waiting) waitingRows -= unit.places.length;
        for (const place of unit.places) {
          if (unit.tries === 0) late(unit, place);
          else settle(unit, place, blame("", "killed"));
        }
      }
    for (const member of members) {
      if (member.rows.size === 0) continue;
      const silent = now - member.heard - deaf;
      const overdue = [...member.rows].filter(([, { unit }]) => unit.work.deadline + graceMs <= now);
      for (const [id, { unit, place }] of overdue) {
        member.rows.delete(id);
        settle(unit, place, unscorable("timeout", `The reward gave no answer within ${timeoutMs} ms.`));
      }
      if (overdue.length > 0 && member.rows.size === 0) {
        member.reserved = false;
        member.suspect = null;
      }
      const limit = overdue.length > 0 ? Math.min(2.5 * beatMs, timeoutMs / 2) : mayBeSilent(member) ? Infinity : stallMs;
      if (silent > limit) kill(member, `it said nothing for ${Math.round(silent)} ms`);
    }
    if (isDue()) dispatch();
  }

  offer = await add();
  const others = Array.from({ length: processes - 1 }, () => add());
  for (const other of others) other.catch(() => replace());
  // After the messages that have come meanwhile.
  const sweeper = setInterval(() => setImmediate(sweep), sweepMs);

  return {
    offer,
    rows: () => rows,
    ready: () => [...members].filter(({ state }) => state === "ready").length,
    submit(work) {
      if (work.rows.length === 0) return;
      if (closed) {
        rows += work.rows.length;
        for (const place of work.rows.keys())
          settle({ work, places: [], tries: 0 }, place, unscorable("aborted", "The server is stopped."));
        return;
      }
      rows += work.rows.length;
      waitingRows += work.rows.length;
      waiting.push({ work, places: [...work.rows.keys()], tries: 0 });
      if (waitingRows >= batch) {
        dispatch();
        return;
      }
      timer ??= setTimeout(() => {
        timer = null;
        dispatch();
      }, mergeMs);
    },
    idle: () => (rows === 0 ? Promise.resolve() : new Promise((resolve) => idlers.add(resolve))),
    async close() {
      closed = true;
      clearInterval(sweeper);
      if (restart) clearTimeout(restart);
      const aborted = unscorable("aborted", "The server was stopped before this row was scored.");
      for (const unit of [...waiting.splice(0), ...suspects.splice(0)]) for (const place of unit.places) settle(unit, place, aborted);
      await Promise.all([...members].map((member) => lose(member, "the server was stopped")));
    },
  };
}
