import type { StateSequence } from "../../policies/policy.ts";
import { below, normal, shuffled } from "../../statistics/stream.ts";
import type { Rng } from "../../statistics/stream.ts";
import { GuerdonError } from "../../error.ts";
import type { Split, Task } from "../environment.ts";
import { finiteTasks } from "./finite.ts";
import type { Finite } from "./finite.ts";
import { bandit, lock, prefixTree } from "./processes.ts";

/**
 * What a walk is worth: a number, with one for each action (its steps) and further ones that a method may read (`Scored.parts`) where there
 * are such.
 */
export type Worth =
  | number
  | { readonly value: number; readonly steps?: readonly number[]; readonly parts?: Readonly<Record<string, number>> };

/** A finite process with something to be good at: what `practise` (training/) trains a softmax policy on. */
export interface Exercise {
  readonly name: string;
  readonly process: Finite;
  readonly maxActions: number;
  draw(split: Split, rng: Rng): Task<number>;
  tasks(split: Split): readonly Task<number>[];
  score(walk: StateSequence, task: Task<number>, rng: Rng): Worth;
  hint?(task: Task<number>, share: number, rng: Rng): Task<number>;
}

/**
 * A process with a score for each walk.
 *
 * @param score what a walk is worth; `rng` is for rewards that are drawn
 * @param tasks default: all of the process
 */
export function exercise(process: Finite, score: Exercise["score"], tasks: readonly Task<number>[] = finiteTasks(process)): Exercise {
  return {
    name: process.name,
    process,
    maxActions: process.horizon,
    draw: (_, rng) => tasks[below(rng, tasks.length)]!,
    tasks: () => tasks,
    score,
  };
}

/**
 * Answers of `length` symbols, each worth a hidden number that depends on its place and on the symbol before it (standard normal numbers),
 * for a policy that sees the whole prefix.
 *
 * @returns the process, all answers as walks, and the reward of a symbol after a prefix
 */
export function hiddenRewards({ length, symbols, rng }: { readonly length: number; readonly symbols: number; readonly rng: Rng }): {
  readonly process: Finite;
  readonly answers: readonly StateSequence[];
  readonly reward: (state: number, action: number) => number;
} {
  const process = prefixTree({ length, symbols });
  const hidden = Float64Array.from({ length: length * symbols * symbols }, () => normal(rng));
  const depth = new Int32Array(process.states);
  for (let s = 1; s < process.states; s++) depth[s] = depth[Math.floor((s - 1) / symbols)]! + 1;
  const answers = Array.from({ length: symbols ** length }, (_, n) => {
    const actions = Int32Array.from({ length }, (__, t) => Math.floor(n / symbols ** t) % symbols);
    const states = new Int32Array(length);
    for (let t = 1; t < length; t++) states[t] = process.next(states[t - 1]!, actions[t - 1]!, rng);
    return { states, actions };
  });
  const before = (state: number): number => (state === 0 ? 0 : (state - 1) % symbols);
  return { process, answers, reward: (state, action) => hidden[(depth[state]! * symbols + before(state)) * symbols + action]! };
}

/**
 * A lock whose code gives itself away in part: a walk is worth 1 when all its symbols are right, else 0. A hint is the beginning of the
 * code: the hinted task starts behind it, so no action of a walk is ever a part of a hint.
 *
 * @param o.rng draws the codes
 */
export function prefixLock(o: {
  readonly tasks: number;
  readonly length: number;
  readonly symbols: number;
  readonly rng: Rng;
}): Exercise & {
  readonly codes: readonly Int32Array[];
  readonly hint: NonNullable<Exercise["hint"]>;
  /** The chance of the whole code without a hint, mean over tasks, where `probs(state)` are the probabilities of the symbols. */
  readonly chance: (probs: (state: number) => ArrayLike<number>) => number;
} {
  const { tasks, length, symbols, rng } = o;
  const plain = lock({ tasks, length, symbols });
  const codes = Array.from({ length: tasks }, () => Int32Array.from({ length }, () => below(rng, symbols)));
  // The prompt of a task is the state it starts in: its first position, or the first one that the hint leaves open.
  const process: Finite = { ...plain, name: "prefix lock", tasks: plain.states, start: (state) => state };
  const all = Array.from({ length: tasks }, (_, task): Task<number> => ({ id: String(task), prompt: task * length }));
  const right = ({ states, actions }: StateSequence): boolean =>
    actions.every((symbol, j) => symbol === codes[Math.floor(states[j]! / length)]![states[j]! % length]);
  return {
    ...exercise(process, (walk) => (right(walk) ? 1 : 0), all),
    codes,
    chance: (probs) =>
      codes.reduce((sum, code, task) => sum + code.reduce((p, symbol, t) => p * probs(task * length + t)[symbol]!, 1), 0) / tasks,
    hint(task, share) {
      const given = Math.min(length - 1, Math.round(share * length));
      return { ...task, id: `${task.id} hint ${given}`, prompt: Math.floor(task.prompt / length) * length + given };
    },
  };
}

/**
 * Prompts that share what they need: prompt i has a vector f_i (not negative, length 1) and a difficulty d_i, and the policy answers it
 * right with probability sigmoid(weights . f_i - d_i), so what is learnt on one prompt helps with others. `features` and `base` are the
 * options of the softmax policy; action 1 is the right answer.
 *
 * @param o.easiest difficulties are uniform between this and `hardest`
 * @param o.rng draws vectors and difficulties
 */
export function logitPool(o: {
  readonly tasks: number;
  readonly dimension: number;
  readonly easiest: number;
  readonly hardest: number;
  readonly rng: Rng;
}): Exercise & {
  readonly features: (state: number, action: number) => ArrayLike<number>;
  readonly base: (state: number, action: number) => number;
  /** The chance of a right answer, mean over tasks, where `probs(task)` are the probabilities of the answers. */
  readonly chance: (probs: (task: number) => ArrayLike<number>) => number;
} {
  const { tasks, dimension, easiest, hardest, rng } = o;
  if (!(Number.isInteger(dimension) && dimension >= 1))
    throw new GuerdonError("usage", `logitPool: dimension must be a whole number of at least 1, not ${dimension}.`);
  const vectors = Array.from({ length: tasks }, () => {
    const vector = Float64Array.from({ length: dimension }, () => Math.abs(normal(rng)));
    const size = Math.hypot(...vector);
    return vector.map((x) => x / size);
  });
  const difficulties = vectors.map(() => easiest + (hardest - easiest) * rng());
  const wrong = new Float64Array(dimension);
  return {
    ...exercise({ ...bandit({ tasks, actions: 2 }), name: "logit pool" }, ({ actions }) => actions[0]!),
    features: (state, action) => (action === 1 ? vectors[state]! : wrong),
    base: (state, action) => (action === 1 ? -difficulties[state]! : 0),
    chance: (probs) => vectors.reduce((sum, _, task) => sum + probs(task)[1]!, 0) / tasks,
  };
}

/**
 * An answer of `length` symbols that is right, worth 1, when a few of its positions hold the right symbol; the others do not matter. With a
 * table of logits (one softmax a position) the chance of a right answer is a product, and nothing need be sampled to measure it.
 *
 * @param o.hidden number of positions that matter
 * @param o.rng draws which, and their symbols
 */
export function hiddenSymbols(o: {
  readonly length: number;
  readonly symbols: number;
  readonly hidden: number;
  readonly rng: Rng;
}): Exercise & {
  /** The right symbol of each position that matters. */
  readonly right: ReadonlyMap<number, number>;
  readonly isRight: (actions: ArrayLike<number>) => boolean;
  /** The chance of a right answer. */
  readonly chance: (probs: (position: number) => ArrayLike<number>) => number;
  /** All symbols^length answers. */
  readonly answers: () => readonly Int32Array[];
} {
  const { length, symbols, hidden, rng } = o;
  if (!(Number.isInteger(hidden) && hidden >= 1 && hidden <= length))
    throw new GuerdonError("usage", `hiddenSymbols: hidden must be a whole number from 1 to the length (${length}), not ${hidden}.`);
  const positions = shuffled(
    Array.from({ length }, (_, position) => position),
    rng,
  ).slice(0, hidden);
  const right = new Map(positions.map((position) => [position, below(rng, symbols)]));
  const isRight = (actions: ArrayLike<number>): boolean => [...right].every(([position, symbol]) => actions[position] === symbol);
  return {
    ...exercise({ ...lock({ tasks: 1, length, symbols }), name: "hidden symbols" }, ({ actions }) => (isRight(actions) ? 1 : 0)),
    right,
    isRight,
    chance: (probs) => [...right].reduce((product, [position, symbol]) => product * probs(position)[symbol]!, 1),
    answers: () =>
      Array.from({ length: symbols ** length }, (_, number) =>
        Int32Array.from({ length }, (__, position) => Math.floor(number / symbols ** position) % symbols),
      ),
  };
}
