import { GuerdonError } from "../error.ts";

/** Where a run stands. Schedules and phase ends are pure functions of this, so that a resumed run takes the same decisions. */
export interface At {
  /** Steps taken in the whole run. */
  readonly step: number;
  /** Number of the phase, from 0. */
  readonly phase: number;
  /** Steps taken in this phase. */
  readonly inPhase: number;
  /**
   * Numbers that steps leave behind for later decisions. `seconds` is always there: seconds of training in this phase (evaluation and
   * writing of checkpoints not counted). It is measured, so whatever reads it cannot be repeated bit by bit.
   */
  readonly signals: Readonly<Record<string, number>>;
}

export const start: At = { step: 0, phase: 0, inPhase: 0, signals: { seconds: 0 } };

/** A number, or a number for each step. */
export type Schedule = number | ((at: At) => number);

export const valueAt = (schedule: Schedule, at: At): number => (typeof schedule === "number" ? schedule : schedule(at));

/** How long a phase lasts: a number of steps, or seconds of training (for comparisons under equal time). */
export type Budget = { readonly steps: number } | { readonly seconds: number };

/** Share of a phase that is over, in [0, 1]; `after` steps at its beginning do not count (only where the budget is in steps). */
export function progress(budget: Budget, at: At, after = 0): number {
  const share =
    "steps" in budget
      ? (at.inPhase - after) / Math.max(1, budget.steps - after)
      : (at.signals["seconds"] ?? 0) / Math.max(1e-9, budget.seconds);
  return Math.min(1, Math.max(0, share));
}

/** Whether a phase is over. */
export const finished = (budget: Budget, at: At): boolean =>
  "steps" in budget ? at.inPhase >= budget.steps : (at.signals["seconds"] ?? 0) >= budget.seconds;

/** A learning rate as data, so that it can be printed: up linearly, then down along a line or a cosine. */
export interface Rate {
  readonly peak: number;
  /** Steps on the way up: the first step runs at peak / up. 0: starts at the peak. */
  readonly up: number;
  /** Share of the peak that is left at the end of the phase; 1 is a constant rate. */
  readonly floor: number;
  readonly shape: "linear" | "cosine";
}

/** The schedule that a `Rate` describes in a phase of a given length. A number is a constant rate. */
export function schedule(rate: number | Rate, budget: Budget): Schedule {
  if (typeof rate === "number") return rate;
  const { peak, up, floor, shape } = rate;
  return (at) => {
    if (at.inPhase < up) return (peak * (at.inPhase + 1)) / up;
    const past = progress(budget, at, up);
    const left = shape === "linear" ? 1 - past : (1 + Math.cos(Math.PI * past)) / 2;
    return peak * (floor + (1 - floor) * left);
  };
}

/** A number that goes along a line while a phase lasts: `from` at its beginning, `to` at its end. A number stays what it is. */
export type Ramp = number | { readonly from: number; readonly to: number };

/** @param past share of the phase that is over, in [0, 1] */
export const rampAt = (ramp: Ramp, past: number): number => (typeof ramp === "number" ? ramp : ramp.from + (ramp.to - ramp.from) * past);

/**
 * A number that goes up once along a line from `floor` to `peak`, and then down along half a cosine, again and again from the peak (cosine with
 * hard restarts). After `steps` steps of the phase it stays at `floor`.
 *
 * @param o.up steps on the way up
 * @param o.cycles equal ways down that fill the steps after it
 */
export function cosineRestarts(o: {
  readonly steps: number;
  readonly up: number;
  readonly cycles: number;
  readonly peak: number;
  readonly floor: number;
}): Schedule {
  const { steps, up, cycles, peak, floor } = o;
  if (!(cycles >= 1 && up >= 0 && up < steps))
    throw new GuerdonError("usage", `cosineRestarts: ${cycles} cycles do not fit into ${steps} steps with ${up} on the way up.`);
  return ({ inPhase }) => {
    if (inPhase >= steps) return floor;
    const down = ((cycles * (inPhase - up)) / (steps - up)) % 1;
    const height = inPhase < up ? inPhase / up : (1 + Math.cos(Math.PI * down)) / 2;
    return floor + (peak - floor) * height;
  };
}
