import { GuerdonError } from "../../error.ts";
import type { StateSequence } from "../../policies/policy.ts";
import { drawOutcome } from "./finite.ts";
import type { Finite, Outcome } from "./finite.ts";

const whole = (name: string, value: number, least = 1): void => {
  if (!Number.isInteger(value) || value < least)
    throw new GuerdonError("usage", `${name} must be a whole number of at least ${least}, not ${value}.`);
};

/** One choice among `actions` answers for each task. State = task. */
export function bandit(o: { readonly tasks: number; readonly actions: number }): Finite {
  whole("bandit: tasks", o.tasks);
  whole("bandit: actions", o.actions);
  return { name: "bandit", tasks: o.tasks, states: o.tasks, actions: o.actions, horizon: 1, start: (task) => task, next: () => -1 };
}

/**
 * An answer of `length` symbols; the policy sees the task and the position, not what it wrote (a prefix lock: with a reward
 * only for one hidden string, a uniform policy finds it with probability symbols^-length). State = task * length + position.
 */
export function lock(o: { readonly tasks: number; readonly length: number; readonly symbols: number }): Finite {
  const { tasks, length, symbols } = o;
  whole("lock: tasks", tasks);
  whole("lock: length", length);
  whole("lock: symbols", symbols);
  return {
    name: "lock",
    tasks,
    states: tasks * length,
    actions: symbols,
    horizon: length,
    start: (task) => task * length,
    next: (state) => ((state + 1) % length === 0 ? -1 : state + 1),
  };
}

/**
 * An answer of `length` symbols by a policy that sees everything it wrote, as a language model does: one state a prefix. State 0 is the
 * empty prefix, and symbol `a` after state `s` leads to s * symbols + 1 + a.
 */
export function prefixTree(o: { readonly length: number; readonly symbols: number }): Finite {
  const { length, symbols } = o;
  whole("prefixTree: length", length);
  whole("prefixTree: symbols", symbols);
  let states = 0;
  for (let depth = 0; depth < length; depth++) states += symbols ** depth;
  return {
    name: "prefixTree",
    tasks: 1,
    states,
    actions: symbols,
    horizon: length,
    start: () => 0,
    next(state, action) {
      const next = state * symbols + 1 + action;
      return next < states ? next : -1;
    },
  };
}

/** The three actions of `stepTask`. */
export const stepActions = { useful: 0, filler: 1, stop: 2 } as const;

/**
 * Reasoning in miniature: at each step a useful step, a filler step or a stop; task i succeeds if at least needs[i] useful steps came
 * before a stop within the horizon. The policy sees the task and its progress. State = task * horizon + useful steps so far.
 */
export function stepTask(o: { readonly needs: readonly number[]; readonly horizon: number }): Finite & {
  /** Whether a walk stopped in time with enough useful steps. A walk that was cut failed. */
  succeeded(walk: StateSequence): boolean;
} {
  const { needs, horizon } = o;
  whole("stepTask: horizon", horizon);
  whole("stepTask: number of needs", needs.length);
  return {
    name: "stepTask",
    tasks: needs.length,
    states: needs.length * horizon,
    actions: 3,
    horizon,
    start: (task) => task * horizon,
    // The last state of a task has horizon - 1 useful steps; one more can only be the walk's last action.
    next: (state, action) =>
      action === stepActions.stop ? -1 : action === stepActions.filler ? state : (state + 1) % horizon === 0 ? -1 : state + 1,
    succeeded({ states, actions }) {
      const last = states.at(-1);
      return last !== undefined && actions.at(-1) === stepActions.stop && last % horizon >= needs[Math.floor(last / horizon)]!;
    },
  };
}

/** Wraps outcomes into the two functions of a process that may draw. */
const drawing = (outcomes: (state: number, action: number) => readonly Outcome[]): Pick<Finite, "next" | "outcomes"> => ({
  next: (state, action, rng) => drawOutcome(outcomes(state, action), rng),
  outcomes,
});

/**
 * A corridor of `length` rooms: action 0 goes left (the first room's left is itself), action 1 goes right. Entering the last room ends the walk.
 *
 * @param o.start first room, default 0
 * @param o.slip probability of the opposite move, default 0
 */
export function chain(o: { readonly length: number; readonly horizon: number; readonly start?: number; readonly slip?: number }): Finite {
  const { length, horizon, start = 0, slip = 0 } = o;
  whole("chain: length", length, 2);
  whole("chain: horizon", horizon);
  if (!(start >= 0 && start < length - 1))
    throw new GuerdonError("usage", `chain: start must be a room from 0 to ${length - 2}, not ${start}.`);
  const move = (state: number, action: number): number => (action === 0 ? Math.max(0, state - 1) : state + 2 === length ? -1 : state + 1);
  return {
    name: "chain",
    tasks: 1,
    states: length - 1,
    actions: 2,
    horizon,
    start: () => start,
    ...drawing((state, action) =>
      slip === 0
        ? [[move(state, action), 1]]
        : [
            [move(state, action), 1 - slip],
            [move(state, 1 - action), slip],
          ],
    ),
  };
}

/**
 * A grid of cells, state = row * width + column. Actions: 0 up, 1 right, 2 down, 3 left; a move into a wall or off the grid stays.
 * Entering the goal ends the walk.
 *
 * @param o.start one first cell a task
 * @param o.slip probability that the move is one of the four at random instead, default 0
 */
export function grid(o: {
  readonly width: number;
  readonly height: number;
  readonly horizon: number;
  readonly start: readonly number[];
  readonly goal: number;
  readonly walls?: readonly number[];
  readonly slip?: number;
}): Finite {
  const { width, height, horizon, start, goal, slip = 0 } = o;
  whole("grid: width", width);
  whole("grid: height", height);
  whole("grid: horizon", horizon);
  whole("grid: number of starts", start.length);
  const states = width * height;
  const walls = new Set(o.walls);
  for (const cell of [...start, goal])
    if (!Number.isInteger(cell) || cell < 0 || cell >= states || walls.has(cell))
      throw new GuerdonError(
        "usage",
        `grid: cell ${cell} is off the ${width} x ${height} grid or a wall; starts and the goal must be free cells.`,
      );
  const dx = [0, 1, 0, -1];
  const dy = [-1, 0, 1, 0];
  const move = (state: number, action: number): number => {
    const x = (state % width) + dx[action]!;
    const y = Math.floor(state / width) + dy[action]!;
    const to = y * width + x;
    if (x < 0 || x >= width || y < 0 || y >= height || walls.has(to)) return state;
    return to === goal ? -1 : to;
  };
  return {
    name: "grid",
    tasks: start.length,
    states,
    actions: 4,
    horizon,
    start: (task) => start[task]!,
    ...drawing((state, action) =>
      slip === 0
        ? [[move(state, action), 1]]
        : [[move(state, action), 1 - slip], ...[0, 1, 2, 3].map((a): Outcome => [move(state, a), slip / 4])],
    ),
  };
}
