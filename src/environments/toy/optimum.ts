import { GuerdonError } from "../../error.ts";
import { outcomesOf } from "./finite.ts";
import type { Finite } from "./finite.ts";

/*
 * What learning towards a reward, while staying close to a reference policy, would arrive at with unlimited data: exact oracles for small
 * systems. A distribution is an array of probabilities, one an action; temperatures (beta, tau, eta) are above 0 and in units of reward.
 */

/**
 * The tilted distribution base * exp(score / temperature) / Z. With a reward as the score it is the Gibbs policy, the best trade-off between
 * reward and closeness to `base`; with win rates it is a multiplicative (mirror) step of a game.
 *
 * @throws GuerdonError "usage" for a temperature that is not positive or lengths that differ
 */
export function tilt(base: ArrayLike<number>, score: ArrayLike<number>, temperature: number): Float64Array {
  positive(temperature);
  sameLength(base, score);
  const logits = Float64Array.from(base, (p, i) => Math.log(p) + score[i]! / temperature);
  const total = logSumExp(logits);
  return logits.map((l) => Math.exp(l - total));
}

/**
 * The tilted distribution at a given distance from `base`, for comparing scores at equal distance: base * exp(score / temperature) / Z with
 * KL(result || base) = nats. What only shifts or stretches the score changes nothing.
 *
 * @param nats above 0, and below -log of the base's mass on the best score, which is the farthest that tilting gets
 * @throws GuerdonError "usage" for a distance out of range or lengths that differ
 */
export function tiltTo(base: ArrayLike<number>, score: ArrayLike<number>, nats: number): Float64Array {
  sameLength(base, score);
  let best = -Infinity;
  let least = Infinity;
  let mass = 0;
  for (let i = 0; i < score.length; i++) {
    if (!(base[i]! > 0)) continue;
    least = Math.min(least, score[i]!);
    if (score[i]! > best) mass = 0;
    best = Math.max(best, score[i]!);
    if (score[i] === best) mass += base[i]!;
  }
  if (!(nats > 0 && nats < -Math.log(mass)))
    throw new GuerdonError("usage", `No tilt is ${nats} nats away: between 0 and ${-Math.log(mass)} can be reached with these scores.`);
  /** KL of the tilted distribution in one pass: E[score] / temperature - log Z, with scores less the best one. */
  const distance = (temperature: number): number => {
    let z = 0;
    let mean = 0;
    let total = 0;
    for (let i = 0; i < score.length; i++) {
      if (!(base[i]! > 0)) continue;
      const below = score[i]! - best;
      const weight = base[i]! * Math.exp(below / temperature);
      z += weight;
      mean += weight * below;
      total += base[i]!;
    }
    return mean / z / temperature - Math.log(z / total);
  };
  // The distance falls as the temperature rises; in units of the scores' range both ends are far beyond any distance that can be told apart.
  let [cold, hot] = [Math.log((best - least) * 1e-9), Math.log((best - least) * 1e9)];
  for (let i = 0; i < 60; i++) {
    const middle = (cold + hot) / 2;
    if (distance(Math.exp(middle)) > nats) cold = middle;
    else hot = middle;
  }
  return tilt(base, score, Math.exp(hot));
}

/** The geometric mean a^(1 - weight) * b^weight, normalised. Weight 0 is `a`, weight 1 is `b`. */
export function geometricMean(a: ArrayLike<number>, b: ArrayLike<number>, weight: number): Float64Array {
  sameLength(a, b);
  return tilt(
    Float64Array.from(a, () => 1),
    Float64Array.from(a, (p, i) => (1 - weight) * Math.log(p) + weight * Math.log(b[i]!)),
    1,
  );
}

/**
 * The distribution of what fulfils a condition: p where it holds, normalised, and 0 elsewhere.
 *
 * @throws GuerdonError "usage" when it holds nowhere that p reaches
 */
export function given(p: ArrayLike<number>, holds: (i: number) => boolean): Float64Array {
  const kept = Float64Array.from(p, (mass, i) => (holds(i) ? mass : 0));
  const total = kept.reduce((sum, mass) => sum + mass, 0);
  if (!(total > 0)) throw new GuerdonError("usage", "The condition holds nowhere that has any probability.");
  return kept.map((mass) => mass / total);
}

/** KL(p || q) in nats; Infinity where q forbids what p does. */
export function divergence(p: ArrayLike<number>, q: ArrayLike<number>): number {
  sameLength(p, q);
  let sum = 0;
  for (let i = 0; i < p.length; i++) if (p[i]! > 0) sum += p[i]! * Math.log(p[i]! / q[i]!);
  return sum;
}

/** What a policy is worth: E_policy[reward] - beta * KL(policy || reference). */
export function regularisedValue(policy: ArrayLike<number>, reference: ArrayLike<number>, reward: ArrayLike<number>, beta: number): number {
  positive(beta);
  sameLength(policy, reward);
  let value = -beta * divergence(policy, reference);
  for (let i = 0; i < policy.length; i++) value += policy[i]! * reward[i]!;
  return value;
}

/** The value of the best policy, tilt(reference, reward, beta): beta * log sum_y reference(y) exp(reward(y) / beta). */
export function optimalValue(reference: ArrayLike<number>, reward: ArrayLike<number>, beta: number): number {
  positive(beta);
  sameLength(reference, reward);
  return beta * logSumExp(Float64Array.from(reference, (p, i) => Math.log(p) + reward[i]! / beta));
}

/** How far a policy is from the best one: `optimalValue` minus its `regularisedValue`; 0 at the optimum, never negative. */
export const regret = (policy: ArrayLike<number>, reference: ArrayLike<number>, reward: ArrayLike<number>, beta: number): number =>
  optimalValue(reference, reward, beta) - regularisedValue(policy, reference, reward, beta);

/** The best policy of a process, and what each state and action is worth to it. Index t counts actions taken before. */
export interface SoftOptimum {
  /** [t][state * actions + action]: reward of the action plus the value of where it leads. */
  readonly q: readonly Float64Array[];
  /** [t][state]: beta * log sum_a reference(a | state) exp(q / beta). */
  readonly v: readonly Float64Array[];
  /** [t][state * actions + action]: reference * exp((q - v) / beta). */
  readonly policy: readonly Float64Array[];
  /** The mean over tasks of the first state's value: the most that any policy reaches in reward minus beta * KL over whole walks. */
  readonly value: number;
}

/**
 * Solves a finite process with a pull towards a reference policy by the soft Bellman recursion, backwards from the horizon: the oracle for
 * "a language model is a Q-function" (arXiv 2404.12358). The optimal policy satisfies beta * log(policy / reference) = q - v, so its
 * log-ratios summed along a walk are the walk's reward minus the value of its first state (deterministic processes).
 *
 * Cost: horizon * states * actions.
 *
 * @param reference probabilities of all actions in a state
 * @param reward of an action in a state as the action number `t` of a walk
 * @throws GuerdonError "unsupported" when the process draws its next state without saying from what
 */
export function softOptimum(
  process: Finite,
  reference: (state: number) => ArrayLike<number>,
  reward: (state: number, action: number, t: number) => number,
  beta: number,
): SoftOptimum {
  positive(beta);
  const { states: S, actions: A, horizon: H, tasks } = process;
  const made = (): Float64Array[] => Array.from({ length: H }, () => new Float64Array(S * A));
  const q = made();
  const policy = made();
  const v = Array.from({ length: H }, () => new Float64Array(S));
  for (let t = H - 1; t >= 0; t--)
    for (let s = 0; s < S; s++) {
      const p = reference(s);
      for (let a = 0; a < A; a++) {
        let value = reward(s, a, t);
        for (const [next, probability] of outcomesOf(process, s, a)) if (next >= 0 && t + 1 < H) value += probability * v[t + 1]![next]!;
        q[t]![s * A + a] = value;
      }
      const own = q[t]!.subarray(s * A, (s + 1) * A);
      v[t]![s] = optimalValue(p, own, beta);
      policy[t]!.set(tilt(p, own, beta), s * A);
    }
  let value = 0;
  for (let task = 0; task < tasks; task++) value += v[0]![process.start(task)]! / tasks;
  return { q, v, policy, value };
}

function logSumExp(x: Float64Array): number {
  const top = x.reduce((a, b) => Math.max(a, b), -Infinity);
  return top + Math.log(x.reduce((sum, v) => sum + Math.exp(v - top), 0));
}

function positive(temperature: number): void {
  if (!(temperature > 0 && Number.isFinite(temperature)))
    throw new GuerdonError("usage", `A temperature must be a positive number; it is ${temperature}.`);
}

function sameLength(a: ArrayLike<number>, b: ArrayLike<number>): void {
  if (a.length !== b.length)
    throw new GuerdonError("usage", `There are ${a.length} and ${b.length} numbers; one an action is needed in both.`);
}
