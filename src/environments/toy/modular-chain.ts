import { GuerdonError } from "../../error.ts";
import type { StateSequence } from "../../policies/policy.ts";
import type { Finite, Outcome } from "./finite.ts";

/**
 * Sums in steps: numbers x arrive at random, and each step's right answer is the previous answer plus x, modulo `modulus`. An error carries
 * on: later steps may be right and the result still wrong. State = previous answer * modulus + x, action = the new answer; task i starts
 * with the answer 0 and x = i.
 */
export function modularChain(o: { readonly modulus: number; readonly length: number }): Finite & {
  /** Whether a step's answer follows from the one before it. */
  follows(state: number, action: number): boolean;
  /** Whether a walk is complete and its last answer is the sum of all numbers. */
  succeeded(walk: StateSequence): boolean;
} {
  const { modulus: M, length } = o;
  for (const [name, value] of Object.entries({ modulus: M, length }))
    if (!Number.isInteger(value) || value < 2)
      throw new GuerdonError("usage", `modularChain: ${name} must be a whole number of at least 2, not ${value}.`);
  return {
    name: "modularChain",
    tasks: M,
    states: M * M,
    actions: M,
    horizon: length,
    start: (task) => task,
    next: (_, action, rng) => action * M + Math.floor(rng() * M),
    outcomes: (_, action) => Array.from({ length: M }, (__, x): Outcome => [action * M + x, 1 / M]),
    follows: (state, action) => (Math.floor(state / M) + (state % M)) % M === action,
    succeeded: ({ states, actions }) =>
      actions.length === length && states.reduce((sum, state) => sum + (state % M), 0) % M === actions.at(-1),
  };
}
