import type { Preferences } from "../environments/toy/index.ts";
import { GuerdonError } from "../error.ts";
import type { StateSequence } from "../policies/policy.ts";
import { demonstrations } from "./build.ts";
import type { Examples } from "./examples.ts";

/**
 * All pairs that two independent draws from a policy would make of the answers to one task, each with the probability of being drawn as its
 * weight: what infinitely many sampled pairs say. Rows are the answers of a bandit, in order. Set column: "label", the probability that
 * member 0 is preferred; so the pair loss must read soft labels. Pairs of an answer with itself are left out: their margin is 0.
 *
 * @param policy probabilities of the answers
 * @throws GuerdonError "input" when lengths differ
 */
export function populationPairs(game: Preferences, policy: ArrayLike<number>): Examples<StateSequence> {
  if (policy.length !== game.length)
    throw new GuerdonError("input", `There are ${game.length} answers in the game and ${policy.length} probabilities.`);
  const rows = Array.from(game, (_, answer) => ({ states: Int32Array.of(0), actions: Int32Array.of(answer) }));
  const couples = rows.flatMap((_, i) => rows.slice(i + 1).map((_, k) => [i, i + 1 + k] as const));
  return {
    ...demonstrations(rows),
    sets: {
      size: 2,
      members: Int32Array.from(couples.flat()),
      weight: Float32Array.from(couples, ([i, j]) => policy[i]! * policy[j]!),
      member: {},
      set: { label: Float32Array.from(couples, ([i, j]) => game[i]![j]!) },
    },
  };
}
