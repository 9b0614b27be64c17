import { GuerdonError } from "../../error.ts";
import { below, type Rng } from "../../statistics/stream.ts";
import type { TextEnvironment, TextTask } from "../environment.ts";
import { beginning } from "./beginning.ts";
import { requireBothSplits, splitOf } from "./held-out.ts";
import { numberSymbols } from "./symbols.ts";

export type Operation = "+" | "-" | "*" | "/";

export interface CountdownOptions {
  /** How many numbers a task gives, 2 to 5. */
  readonly count?: number;
  /** Numbers are drawn from 1 to this, with repetition; at most 99. */
  readonly highest?: number;
  readonly operations?: readonly Operation[];
}

/** What an answer is checked against. `begun`: the beginning that a hint gave away, which the answer goes on from. */
export interface CountdownReference {
  readonly numbers: readonly number[];
  readonly target: number;
  readonly begun?: string;
}

/** Every intermediate result is a whole number from 1 to this: each number is one token of two digits at most. */
const ceiling = 99;
const allOperations: readonly Operation[] = ["+", "-", "*", "/"];

/** One equation: `a operation b = result`. */
interface Move {
  readonly a: number;
  readonly operation: Operation;
  readonly b: number;
  readonly result: number;
}

/** The result of an operation, or null when it is not a whole number from 1 to 99. */
function calculate(a: number, operation: Operation, b: number): number | null {
  const result = operation === "+" ? a + b : operation === "-" ? a - b : operation === "*" ? a * b : a / b;
  return Number.isInteger(result) && result >= 1 && result <= ceiling ? result : null;
}

/** The pool without the numbers at places i and j, and with the result of their combination. */
const replaced = (pool: readonly number[], i: number, j: number, result: number): number[] => [
  ...pool.filter((_, k) => k !== i && k !== j),
  result,
];

/** All legal next moves, one for each ordered pair of places, with the pool that each leaves. */
function* legalMoves(pool: readonly number[], operations: readonly Operation[]): Generator<{ move: Move; left: number[] }> {
  for (let i = 0; i < pool.length; i++)
    for (let j = 0; j < pool.length; j++)
      if (i !== j)
        for (const operation of operations) {
          const [a, b] = [pool[i]!, pool[j]!];
          const result = calculate(a, operation, b);
          if (result !== null) yield { move: { a, operation, b, result }, left: replaced(pool, i, j, result) };
        }
}

/** Of each pool, by its sorted numbers: the final results that can be reached, and in how many ways. */
type Endings = Map<string, ReadonlyMap<number, number>>;

/** The final results of a pool with the number of ways to reach each; a way that repeats because of equal numbers counts each time. */
function endings(pool: readonly number[], operations: readonly Operation[], known: Endings): ReadonlyMap<number, number> {
  if (pool.length === 1) return new Map([[pool[0]!, 1]]);
  const key = pool.toSorted((a, b) => a - b).join(" ");
  const earlier = known.get(key);
  if (earlier) return earlier;
  const ways = new Map<number, number>();
  for (const { left } of legalMoves(pool, operations))
    for (const [result, count] of endings(left, operations, known)) ways.set(result, (ways.get(result) ?? 0) + count);
  known.set(key, ways);
  return ways;
}

/** One of all ways to reach the target, each as likely as any other; null where there is none. */
function drawWin({ numbers, target }: CountdownReference, operations: readonly Operation[], rng: Rng): Move[] | null {
  const known: Endings = new Map();
  const ways = (pool: readonly number[]): number => endings(pool, operations, known).get(target) ?? 0;
  if (ways(numbers) === 0) return null;
  const moves: Move[] = [];
  let which = below(rng, ways(numbers));
  let pool = numbers;
  while (pool.length > 1)
    for (const { move, left } of legalMoves(pool, operations)) {
      if (which < ways(left)) {
        moves.push(move);
        pool = left;
        break;
      }
      which -= ways(left);
    }
  return moves;
}

const keyOf = ({ numbers, target }: CountdownReference): string => `${numbers.toSorted((a, b) => a - b).join(" ")}=${target}`;
const written = (moves: readonly Move[]): string => moves.map((m) => `${m.a} ${m.operation} ${m.b} = ${m.result}`).join(" , ");

/**
 * CountDown: reach a target from a few numbers, each used exactly once, by equations whose results go back into the pool. Prompt
 * `7 2 9 = 14 :`, answer `7 - 2 = 5 , 5 + 9 = 14`. Every intermediate result is a whole number from 1 to 99. The defaults (three numbers
 * of 1 to 15, plus and minus) have 2,424 tasks, 449 of them held out; a player of random legal moves reaches a third of the targets, see
 * `chanceOfCountdown`.
 *
 * Tasks come from a generator that plays random moves and takes the last result as the target; a task is held out when the CRC-32 of its
 * sorted numbers and target is divisible by five, so that a permuted training task is never a test task.
 *
 * @throws GuerdonError "usage" for options out of range, or when no task could be drawn for one of the splits
 */
export function countdown(options: CountdownOptions = {}): TextEnvironment {
  const { count, highest, operations } = resolved(options);
  requireBothSplits(
    universe(count, highest, operations).map(keyOf),
    `CountDown with ${count} numbers of 1 to ${highest} and ${operations.join(" ")}`,
  );
  return {
    name: "countdown",
    symbols: numberSymbols,
    // count - 1 equations of five tokens, the commas between them, and the end token.
    maxActions: 6 * (count - 1),
    draw(split, rng) {
      for (;;) {
        const numbers = Array.from({ length: count }, () => 1 + below(rng, highest));
        const target = playedTarget(numbers, operations, rng);
        if (target === null) continue;
        const reference = { numbers, target };
        const key = keyOf(reference);
        if (splitOf(key) === split) return { id: `countdown ${key}`, prompt: promptOf(reference), reference };
      }
    },
    check(completion, reference) {
      const { begun = "", ...task } = referenceOf(reference);
      return checkCountdown(begun + completion, task, operations);
    },
    demonstrate: (task, rng) => solution(task, operations, rng),
    hint(task, share, rng) {
      const reference = referenceOf(task.reference);
      const begun = beginning(solution(task, operations, rng), share);
      return { ...task, prompt: `${promptOf(reference)} ${begun}`.trimEnd(), reference: { ...reference, begun } };
    },
  };
}

const promptOf = ({ numbers, target }: CountdownReference): string => `${numbers.join(" ")} = ${target} :`;

/** A right answer to a task, from its beginning. */
function solution(task: TextTask, operations: readonly Operation[], rng: Rng): string {
  const moves = drawWin(referenceOf(task.reference), operations, rng);
  if (moves === null) throw new GuerdonError("input", `The CountDown task "${task.id}" cannot be solved with ${operations.join(" ")}.`);
  return written(moves);
}

/** Takes two places in random order and a random operation until one number is left; null as soon as a result is not allowed. */
function playedTarget(numbers: readonly number[], operations: readonly Operation[], rng: Rng): number | null {
  let pool = numbers;
  while (pool.length > 1) {
    const i = below(rng, pool.length);
    const other = below(rng, pool.length - 1);
    const j = other < i ? other : other + 1;
    const result = calculate(pool[i]!, operations[below(rng, operations.length)]!, pool[j]!);
    if (result === null) return null;
    pool = replaced(pool, i, j, result);
  }
  return pool[0]!;
}

/**
 * Whether an answer solves a task: exactly one equation fewer than there are numbers, separated by commas; each takes its two numbers out
 * of the pool, has the right result (a whole number from 1 to 99) and puts it back; at the end the pool is the target alone. Whitespace
 * between symbols does not matter. Never throws on any string.
 */
function checkCountdown(completion: string, { numbers, target }: CountdownReference, operations: readonly Operation[]): boolean {
  const equations = completion.split(",");
  if (equations.length !== numbers.length - 1) return false;
  const pool = [...numbers];
  const take = (text: string): number | null => {
    const place = pool.indexOf(Number(text));
    return place < 0 ? null : pool.splice(place, 1)[0]!;
  };
  for (const equation of equations) {
    const match = /^\s*([1-9]\d?)\s*([-+*/])\s*([1-9]\d?)\s*=\s*([1-9]\d?)\s*$/.exec(equation);
    if (match === null) return false;
    const [, first, sign, second, result] = match as unknown as [string, string, Operation, string, string];
    const a = take(first);
    const b = take(second);
    if (a === null || b === null || !operations.includes(sign) || calculate(a, sign, b) !== Number(result)) return false;
    pool.push(Number(result));
  }
  return pool.length === 1 && pool[0] === target;
}

/**
 * The share of tasks that a player of random legal moves with right arithmetic solves, each task played 20 times: the line below which a
 * policy has learnt the notation and nothing else. About 0.33 for the default tasks.
 *
 * @param tasks tasks of `countdown`
 * @param options those of the environment that drew the tasks
 */
export function chanceOfCountdown(tasks: readonly TextTask[], rng: Rng, options: CountdownOptions = {}): number {
  if (tasks.length === 0) throw new GuerdonError("usage", "chanceOfCountdown needs at least one task.");
  const { operations } = resolved(options);
  const plays = 20;
  let won = 0;
  for (const task of tasks) {
    const { numbers, target } = referenceOf(task.reference);
    for (let play = 0; play < plays; play++) {
      let pool = numbers;
      while (pool.length > 1) {
        const moves = [...legalMoves(pool, operations)];
        if (moves.length === 0) break;
        pool = moves[below(rng, moves.length)]!.left;
      }
      if (pool.length === 1 && pool[0] === target) won++;
    }
  }
  return won / (plays * tasks.length);
}

/** Every CountDown task: numbers in ascending order with each target they can reach, each once, with the split it belongs to. */
export function countdownUniverse(options: CountdownOptions = {}): (CountdownReference & { readonly split: "train" | "test" })[] {
  const { count, highest, operations } = resolved(options);
  return [...universe(count, highest, operations)].map((reference) => ({ ...reference, split: splitOf(keyOf(reference)) }));
}

function* universe(count: number, highest: number, operations: readonly Operation[]): Generator<CountdownReference> {
  const known: Endings = new Map();
  for (const numbers of multisets(count, highest))
    for (const target of [...endings(numbers, operations, known).keys()].sort((a, b) => a - b)) yield { numbers, target };
}

/** Ascending lists of `count` numbers from 1 to `highest`. */
function* multisets(count: number, highest: number, lowest = 1): Generator<number[]> {
  if (count === 0) yield [];
  else for (let first = lowest; first <= highest; first++) for (const rest of multisets(count - 1, highest, first)) yield [first, ...rest];
}

function resolved({ count = 3, highest = 15, operations = ["+", "-"] }: CountdownOptions): Required<CountdownOptions> {
  if (!Number.isInteger(count) || count < 2 || count > 5) throw new GuerdonError("usage", `countdown: count must be 2 to 5, not ${count}.`);
  if (!Number.isInteger(highest) || highest < 1 || highest > ceiling)
    throw new GuerdonError("usage", `countdown: highest must be a whole number from 1 to ${ceiling}, not ${highest}.`);
  const unknown = operations.find((operation) => !allOperations.includes(operation));
  if (unknown !== undefined || operations.length === 0 || new Set(operations).size < operations.length)
    throw new GuerdonError(
      "usage",
      `countdown: operations must be some of ${allOperations.join(" ")}, each once, not "${operations.join(" ")}".`,
    );
  return { count, highest, operations };
}

function referenceOf(reference: unknown): CountdownReference {
  const { numbers, target, begun } = (reference ?? {}) as Partial<Record<keyof CountdownReference, unknown>>;
  if (Array.isArray(numbers) && numbers.every((n) => typeof n === "number") && typeof target === "number")
    return { numbers, target, ...(typeof begun === "string" && { begun }) };
  throw new GuerdonError("input", `A CountDown reference is { numbers, target }, not ${JSON.stringify(reference)}.`);
}
