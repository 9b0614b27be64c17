import { GuerdonError } from "../../error.ts";
import { below, normal } from "../../statistics/stream.ts";
import type { Rng } from "../../statistics/stream.ts";
import type { StateSequence } from "../../policies/policy.ts";
import { finiteTasks } from "./finite.ts";
import { divergence, optimalValue, tilt } from "./optimum.ts";
import { bandit } from "./processes.ts";

/**
 * Who is preferred to whom: entry [i][j] is the probability that answer i is preferred to answer j, so that [i][j] + [j][i] = 1 and the
 * diagonal is 1/2. Preferences may go in circles (rock, paper, scissors), which no reward can express.
 */
export type Preferences = readonly (readonly number[])[];

/**
 * Checks that a matrix says who is preferred to whom.
 *
 * @throws GuerdonError "input" when it is not square or [i][j] + [j][i] is not 1 (to 1e-9), naming the entry
 */
export function preferences(matrix: readonly (readonly number[])[]): Preferences {
  for (const [i, row] of matrix.entries()) {
    if (row.length !== matrix.length)
      throw new GuerdonError("input", `Row ${i} of the preferences has ${row.length} numbers; there are ${matrix.length} answers.`);
    for (const [j, p] of row.entries())
      if (!(p >= 0 && p <= 1 && Math.abs(p + matrix[j]![i]! - 1) < 1e-9))
        throw new GuerdonError(
          "input",
          `The preferences [${i}][${j}] and [${j}][${i}] are ${p} and ${matrix[j]![i]}; they must add up to 1.`,
        );
  }
  return matrix;
}

/** The preferences that rewards imply (Bradley and Terry, 1952): sigmoid(reward_i - reward_j). */
export const bradleyTerryPreferences = (reward: ArrayLike<number>): Preferences =>
  Array.from(reward, (a) => Array.from(reward, (b) => 1 / (1 + Math.exp(b - a))));

/** Draws which of two answers is preferred: true for `i`. */
export const prefers = (game: Preferences, i: number, j: number, rng: Rng): boolean => rng() < game[i]![j]!;

/** A game as rounds of comparisons (`preferenceRounds` in training/): `groups` groups of answers a round, drawn preferences, equal answers merged. */
export const contest = (game: Preferences, groups: number) => ({
  tasks: Array.from({ length: groups }, () => finiteTasks(bandit({ tasks: 1, actions: game.length }))[0]!),
  maxActions: 1,
  prefers: (first: Said, second: Said, rng: Rng): boolean => prefers(game, first.row.actions[0]!, second.row.actions[0]!, rng),
  keyOf: ({ actions }: StateSequence): string => String(actions[0]),
});

type Said = { readonly row: StateSequence };

/** Each answer's probability to be preferred to an answer of the policy. */
export const winRates = (game: Preferences, policy: ArrayLike<number>): Float64Array =>
  Float64Array.from(game, (row) => row.reduce((sum, p, j) => sum + p * policy[j]!, 0));

/** How much the best answer to a policy wins above one half; 0 only at the game's equilibrium. */
export const exploitability = (game: Preferences, policy: ArrayLike<number>): number =>
  winRates(game, policy).reduce((a, b) => Math.max(a, b)) - 0.5;

/** A game in which both players pay tau * KL for leaving the reference. */
export interface RegularisedGame {
  readonly game: Preferences;
  readonly reference: ArrayLike<number>;
  readonly tau: number;
}

/**
 * What the best regularised answer to a policy wins above one half: tau * log sum_y reference(y) exp(winRate(y) / tau) + tau *
 * KL(policy || reference) - 1/2. Never negative, and 0 exactly at the regularised equilibrium.
 */
export const regularisedGap = ({ game, reference, tau }: RegularisedGame, policy: ArrayLike<number>): number =>
  optimalValue(reference, winRates(game, policy), tau) + tau * divergence(policy, reference) - 0.5;

/**
 * The regularised equilibrium: the policy that is its own best answer, policy = tilt(reference, winRates(policy), tau). Found by a damped
 * fixed point on the logits (2 % of the way a step).
 *
 * @throws GuerdonError "non-finite" when 20,000 steps do not bring the gap below 1e-12 (tau is too small for the damping)
 */
export function regularisedEquilibrium(regularised: RegularisedGame): Float64Array {
  const { game, reference, tau } = regularised;
  const flat = Float64Array.from(reference, () => 1);
  let policy: Float64Array = Float64Array.from(reference);
  for (let step = 0; step < 20_000; step++) {
    const answer = tilt(reference, winRates(game, policy), tau);
    policy = tilt(
      flat,
      policy.map((p, i) => 0.98 * Math.log(p) + 0.02 * Math.log(answer[i]!)),
      1,
    );
  }
  const gap = regularisedGap(regularised, policy);
  if (!(gap < 1e-12))
    throw new GuerdonError("non-finite", `The regularised equilibrium was not found: the gap is still ${gap} with tau ${tau}.`);
  return policy;
}

/**
 * A safe answer worth 1 that the reference policy nearly always gives, and five rare ones of probability exp(-9) each: one drawn at random
 * is worth 4.5, the others less than 0.8. Preferences as the rewards imply them. Who only compares what it says already never finds it.
 */
export function rareAnswer(rng: Rng): { game: Preferences; reference: Float64Array; reward: Float64Array } {
  const rare = Math.exp(-9);
  const best = 1 + below(rng, 5);
  const reward = Float64Array.from({ length: 6 }, (_, answer) => (answer === 0 ? 1 : answer === best ? 4.5 : 0.8 * rng()));
  return { game: bradleyTerryPreferences(reward), reference: reward.map((_, answer) => (answer === 0 ? 1 - 5 * rare : rare)), reward };
}

/**
 * A random game whose preferences go in circles: [i][j] = sigmoid of an antisymmetric matrix, half the difference of normal numbers of the
 * given spread; and a random reference policy, the softmax of normal numbers with deviation 1/2.
 */
export function intransitiveGame(answers: number, rng: Rng, spread = 1.5): { game: Preferences; reference: Float64Array } {
  const u = Array.from({ length: answers }, () => Array.from({ length: answers }, () => spread * normal(rng)));
  const game = u.map((row, i) => row.map((x, j) => 1 / (1 + Math.exp((u[j]![i]! - x) / 2))));
  const flat = new Float64Array(answers).fill(1);
  return {
    game,
    reference: tilt(
      flat,
      flat.map(() => 0.5 * normal(rng)),
      1,
    ),
  };
}
