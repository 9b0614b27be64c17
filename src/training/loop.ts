import type { Engine, UpdateOptions } from "../engines/engine.ts";
import type { Json, Snapshot, Stateful } from "../statistics/snapshot.ts";
import type { TextSequence } from "../policies/policy.ts";
import { GuerdonError } from "../error.ts";
import { start, valueAt, type At, type Schedule } from "./schedule.ts";
import { step, type StepResult, type Term } from "./step.ts";

/** What a phase wants to be trained on in one step of the loop. */
export interface Work<X, N> {
  /** One list of terms for each optimizer update; empty: nothing to learn from, no update is made. */
  readonly updates: readonly (readonly Term<X>[])[];
  /** Whatever the phase wants to say in the report. */
  readonly notes: N;
  /** Written into `at.signals` for later steps. */
  readonly signals?: Readonly<Record<string, number>>;
}

/** A stretch of a run with one kind of data, one learning rate and one end. */
export interface Phase<X = TextSequence, N = unknown> {
  readonly name: string;
  /** Gets the data: draws rollouts, scores them, makes terms. May change what is in `state`, never the engine's weights. */
  readonly prepare: (at: At, signal?: AbortSignal) => Promise<Work<X, N>>;
  readonly learningRate: Schedule;
  readonly optimizer: Omit<UpdateOptions, "learningRate">;
  /** True when the phase is over. Asked before every step. */
  readonly until: (at: At) => boolean;
  /** Runs before the first step of the phase: freeze a reference, start with a fresh optimizer. Not run again on resume inside the phase. */
  readonly onEnter?: () => Promise<void>;
}

export interface LoopConfig<X, N> {
  readonly engine: Engine<X>;
  readonly phases: readonly Phase<X, N>[];
  /** What else outlives a step: curricula, buffers, references. */
  readonly state?: Readonly<Record<string, Stateful>>;
  /** What `save()` of an earlier run returned. */
  readonly resume?: Readonly<Record<string, Snapshot>>;
  readonly signal?: AbortSignal;
  /** Milliseconds from any origin, for the `seconds` signal. */
  readonly clock?: () => number;
}

/** One step of the loop, after its updates. */
export interface StepReport<N = unknown> {
  /** Where the run stood when the step began. */
  readonly at: At;
  readonly phase: string;
  readonly notes: N;
  /** One result an update, in order. */
  readonly updates: readonly StepResult[];
  readonly learningRate: number;
  /** Seconds in `prepare` and in the updates. */
  readonly seconds: { readonly prepare: number; readonly update: number };
  /** Everything needed to go on from here, by name. Valid until the next step's first update; throws "usage" afterwards. */
  save(): Promise<Readonly<Record<string, Snapshot>>>;
}

const loopVersion = 1;

/** The name under which the loop keeps its own place among the snapshots. */
const own = "loop";

/**
 * Runs phases one after another: prepare, then one `step` for each list of terms, then a report. All that the loop itself remembers is
 * one plain `At`; everything else lives in the engine and in `state`, so a run that is saved and resumed goes on as if it had never
 * stopped. Aborting the signal ends the loop with the error "interrupted", before a step's first update and never within its updates.
 */
export async function* loop<X = TextSequence, N = unknown>(config: LoopConfig<X, N>): AsyncGenerator<StepReport<N>, void> {
  const { engine, phases, state = {}, resume, signal, clock = () => performance.now() } = config;
  for (const name of [own, "engine"])
    if (name in state) throw new GuerdonError("internal", `The name "${name}" in \`state\` belongs to the loop; choose another.`);
  let at = resume === undefined ? start : await restore(engine, state, resume);
  // The report that may be saved: that of the step before, until weights change. What is in `state` may change a little earlier, while the
  // next step is being prepared; then `held` is what it was.
  let savable: At | null = null;
  let held: Readonly<Record<string, Snapshot>> | null = null;
  for (;;) {
    while (at.phase < phases.length && phases[at.phase]!.until(at))
      at = { ...at, phase: at.phase + 1, inPhase: 0, signals: { ...at.signals, seconds: 0 } };
    const phase = phases[at.phase];
    if (phase === undefined) return;
    await interruptible(signal);
    held = await snapshotAll(state);
    if (at.inPhase === 0) await phase.onEnter?.();

    const began = clock();
    const work = await phase.prepare(at, signal);
    await interruptible(signal);
    savable = null;
    const prepared = clock();
    const learningRate = valueAt(phase.learningRate, at);
    const updates: StepResult[] = [];
    for (const terms of work.updates) updates.push(await step(engine, terms, { ...phase.optimizer, learningRate }));
    const ended = clock();

    const next: At = {
      step: at.step + 1,
      phase: at.phase,
      inPhase: at.inPhase + 1,
      signals: { ...at.signals, ...work.signals, seconds: (at.signals["seconds"] ?? 0) + (ended - began) / 1000 },
    };
    savable = next;
    held = null;
    yield {
      at,
      phase: phase.name,
      notes: work.notes,
      updates,
      learningRate,
      seconds: { prepare: (prepared - began) / 1000, update: (ended - prepared) / 1000 },
      async save() {
        if (savable !== next)
          throw new GuerdonError(
            "usage",
            `The report of step ${next.step} can no longer be saved: the run has gone on. Save it before the next step is made.`,
          );
        const place: Snapshot = { version: loopVersion, json: next as unknown as Json, tensors: {} };
        return { [own]: place, engine: await engine.snapshot(), ...(held ?? (await snapshotAll(state))) };
      },
    };
    at = next;
  }
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new GuerdonError("interrupted", "The run was interrupted.", { cause: signal.reason });
}

/**
 * A place where a run may be stopped: lets timers, signal handlers and the rest of the program run once, since a step on the processor never
 * leaves the microtask queue by itself, then throws "interrupted" if the signal was aborted.
 */
export async function interruptible(signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return;
  await new Promise<void>((resolve) => (typeof setImmediate === "function" ? setImmediate(resolve) : setTimeout(resolve)));
  throwIfAborted(signal);
}

async function snapshotAll(parts: Readonly<Record<string, Stateful>>): Promise<Record<string, Snapshot>> {
  const out: Record<string, Snapshot> = {};
  for (const [name, part] of Object.entries(parts)) out[name] = await part.snapshot();
  return out;
}

async function restore(
  engine: Stateful,
  state: Readonly<Record<string, Stateful>>,
  saved: Readonly<Record<string, Snapshot>>,
): Promise<At> {
  const of = (name: string): Snapshot => {
    const snapshot = saved[name];
    if (snapshot !== undefined) return snapshot;
    throw new GuerdonError(
      "input",
      `The checkpoint has no part "${name}"; it has: ${Object.keys(saved).join(", ")}. It belongs to a run with other parts.`,
    );
  };
  const place = of(own);
  if (place.version !== loopVersion)
    throw new GuerdonError(
      "input",
      `The checkpoint's loop state has version ${place.version}; this version of guerdon reads version ${loopVersion}.`,
    );
  await engine.restore(of("engine"));
  for (const [name, part] of Object.entries(state)) await part.restore(of(name));
  return place.json as unknown as At;
}
