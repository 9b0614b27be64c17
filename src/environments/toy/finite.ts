import { GuerdonError } from "../../error.ts";
import type { Rng } from "../../statistics/stream.ts";
import type { Task } from "../environment.ts";

/** The next state and its probability; -1 ends the walk. */
export type Outcome = readonly [next: number, probability: number];

/**
 * A finite decision process: small enough that every probability can be computed, so claims about methods can be checked against exact
 * numbers. A bandit has horizon 1; a language model in miniature is a lock.
 */
export interface Finite {
  readonly name: string;
  readonly tasks: number;
  readonly states: number;
  readonly actions: number;
  /** The most actions in one walk. */
  readonly horizon: number;
  /** The first state of a task. */
  start(task: number): number;
  /** The state after an action, or -1 when the walk is over. */
  next(state: number, action: number, rng: Rng): number;
  /** The distribution that `next` draws from. May be absent when `next` never draws. */
  outcomes?(state: number, action: number): readonly Outcome[];
}

/** The tasks of a process as policies take them: id "0", "1", ...; the prompt is the number. */
export const finiteTasks = (process: Finite): Task<number>[] =>
  Array.from({ length: process.tasks }, (_, i) => ({ id: String(i), prompt: i }));

/** Draws a next state. */
export function drawOutcome(outcomes: readonly Outcome[], rng: Rng): number {
  if (outcomes.length === 1) return outcomes[0]![0];
  let u = rng();
  for (const [next, probability] of outcomes) if ((u -= probability) < 0) return next;
  return outcomes.at(-1)![0];
}

/**
 * The distribution over next states of a state and an action.
 *
 * @throws GuerdonError "unsupported" when the process draws its next state but has no `outcomes`
 */
export function outcomesOf(process: Finite, state: number, action: number): readonly Outcome[] {
  if (process.outcomes) return process.outcomes(state, action);
  const refuse = (): number => {
    throw new GuerdonError(
      "unsupported",
      `The process "${process.name}" draws its next state at random, so exact values need its distribution: give it outcomes(state, action).`,
    );
  };
  return [[process.next(state, action, refuse), 1]];
}
