import { GuerdonError } from "../error.ts";
import type { Message } from "../data/row.ts";
import { changed, requireFinite, type Joined } from "./compose-parts.ts";
import { unscorable, type Score, type ScoreError } from "./grade.ts";
import type { Reward } from "./reward.ts";

/**
 * Step scores that cannot pay for further steps: min(q - threshold, 0) each.
 *
 * @param steps one score a step
 * @returns numbers of at most 0
 * Source: arXiv 2410.15115 ("Clip").
 */
export const clippedSteps = (steps: readonly number[], threshold: number): number[] => steps.map((q) => Math.min(q - threshold, 0));

/**
 * Step rewards as differences: q_k - q_{k+1}, and q itself for the last reasoning step. They add up to q_1 whatever the number of steps, and
 * what is to come at step k (undiscounted) adds up to q_k. With `answerStep` the last score belongs to the step that only states the answer:
 * it is not looked at and its reward is 0.
 *
 * Source: arXiv 2410.15115 ("Delta").
 */
export function deltaSteps(steps: readonly number[], { answerStep = false }: { readonly answerStep?: boolean } = {}): number[] {
  const reasoning = answerStep ? steps.slice(0, -1) : steps;
  const deltas = reasoning.map((q, k) => (k < reasoning.length - 1 ? q - reasoning[k + 1]! : q));
  return answerStep && steps.length > 0 ? [...deltas, 0] : deltas;
}

/**
 * Potential-based shaping: gamma Phi(s_{k+1}) - Phi(s_k) for each step, with the potential 0 after the last. The discounted sum is
 * -Phi(s_0) whatever the steps were, so that the best policy stays the best.
 *
 * @param potentials Phi of the state before each step
 * @param gamma the discount of the return, from 0 to 1
 * Source: Ng, Harada and Russell, 1999.
 */
export const potentialSteps = (potentials: readonly number[], gamma: number): number[] =>
  potentials.map((before, k) => gamma * (potentials[k + 1] ?? 0) - before);

/**
 * A reward of steps whose step scores are taken for potentials of the states before them: step rewards are their differences (see
 * `potentialSteps`), to be added to the reward that counts. The value is their discounted sum.
 *
 * @param options.gamma the discount of the return, from 0 to 1; 1 unless said
 * @throws GuerdonError "usage" for a gamma out of range
 */
export function potential<Needs extends object>(
  inner: Reward<Needs>,
  { gamma = 1, name }: { readonly gamma?: number; readonly name?: string } = {},
): Reward<Needs> {
  if (!(gamma >= 0 && gamma <= 1)) throw new GuerdonError("usage", `potential: gamma must be from 0 to 1, not ${gamma}.`);
  return changed("potential", inner, { name, gamma }, (score) => {
    const shaped = ofSteps(score, (steps) => potentialSteps(steps, gamma));
    return "error" in shaped ? shaped : { steps: shaped.steps, value: total(shaped.steps.map((step, k) => gamma ** k * step)) };
  });
}

/**
 * A reward of steps whose step scores are clipped from above: min(q - threshold, 0), so that more steps never pay. The value is the sum.
 * Clip before `delta`, not after.
 *
 * @param options.threshold where most good steps lie, for instance a low quantile of the scores
 * @throws GuerdonError "usage" for a threshold that is not finite
 * Source: arXiv 2410.15115.
 */
export function clipSteps<Needs extends object>(
  inner: Reward<Needs>,
  { threshold, name }: { readonly threshold: number; readonly name?: string },
): Reward<Needs> {
  requireFinite("clipSteps", "threshold", threshold);
  return changed("clipSteps", inner, { name, threshold }, (score) => ofSteps(score, (steps) => clippedSteps(steps, threshold)));
}

/**
 * A reward of steps whose step rewards are differences of its step scores (see `deltaSteps`), so that repeating good steps earns nothing. The
 * value is their sum. For undiscounted returns.
 *
 * @param options.answerStep the last step only states the answer, which another reward grades; false unless said
 * Source: arXiv 2410.15115.
 */
export function delta<Needs extends object>(
  inner: Reward<Needs>,
  { answerStep = false, name }: { readonly answerStep?: boolean; readonly name?: string } = {},
): Reward<Needs> {
  return changed("delta", inner, { name, answerStep }, (score) => ofSteps(score, (steps) => deltaSteps(steps, { answerStep })));
}

function ofSteps(
  { steps }: Score,
  change: (steps: readonly number[]) => number[],
): Required<Joined> | (Score & { readonly error: ScoreError }) {
  if (steps === undefined)
    return unscorable("not-a-grade", "The reward grades no steps. Use one that does, such as one made by reward.steps.");
  const after = change(steps);
  return { value: total(after), steps: after };
}

/**
 * The discounted return from the first step: the sum of gamma^k r_k over steps k = 0, 1, ... A reward without steps is the outcome of the
 * last of the policy's turns, gamma^(turns - 1) r, so that the same success is worth less the later it comes.
 *
 * @param options.gamma from 0 to 1
 * @throws GuerdonError "usage" for a gamma out of range
 */
export function discounted<Needs extends object>(
  inner: Reward<Needs>,
  { gamma, name }: { readonly gamma: number; readonly name?: string },
): Reward<Needs> {
  if (!(gamma >= 0 && gamma <= 1)) throw new GuerdonError("usage", `discounted: gamma must be from 0 to 1, not ${gamma}.`);
  return changed("discounted", inner, { name, gamma }, ({ value, steps }, { completion }) =>
    steps === undefined
      ? { value: gamma ** (turnsOf(completion) - 1) * value }
      : { value: total(steps.map((r, k) => gamma ** k * r)), steps },
  );
}

const turnsOf = (completion: unknown): number =>
  Array.isArray(completion) ? Math.max(1, completion.filter((message: Message) => message.role === "assistant").length) : 1;

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
