import { outcomesOf } from "../environments/toy/index.ts";
import type { Finite } from "../environments/toy/index.ts";
import { softmaxPolicy } from "../policies/softmax.ts";
import type { SoftmaxOptions } from "../policies/softmax.ts";
import type { StateSequence } from "../policies/policy.ts";
import { hostEngine } from "./host.ts";
import type { HostEngine, HostEngineOptions } from "./host.ts";

/** Reward of an action in a state that led to `next` (-1: the end). */
export type StepReward = (state: number, action: number, next: number) => number;

/** Something with action probabilities in each state. */
export interface Acting {
  readonly probs: (state: number) => ArrayLike<number>;
}

/** Numbers that need no sampling: sums over all walks by dynamic programming, tasks weighted equally. Cost: horizon * states * actions. */
export interface Exact {
  /** The expected sum of rewards in a walk. */
  value(reward: StepReward): number;
  /** Its derivative with respect to the weights. */
  gradient(reward: StepReward): Float64Array;
  /** KL(this policy || other) over whole walks, in nats: the expected sum over visited states. */
  klTo(other: Acting): number;
}

export interface SoftmaxEngine extends HostEngine<StateSequence>, Acting {
  /** The weights as they are now. Writing to them, between steps, moves the policy. */
  readonly weights: Float64Array;
  /** Probability of each action in a state. */
  readonly probs: (state: number) => Float64Array;
  readonly exact: Exact;
}

/**
 * A host engine with a linear-softmax policy over a finite process: the substrate of the papers' small claims. It has the interface of
 * every other engine, so a claim runs the same credit, objective and step as a language model.
 */
export function softmaxEngine(
  process: Finite,
  options: SoftmaxOptions & Pick<HostEngineOptions<StateSequence>, "optimizer"> = {},
): SoftmaxEngine {
  const { optimizer, ...ofPolicy } = options;
  const policy = softmaxPolicy(process, ofPolicy);
  const engine = hostEngine({ policy, ...(optimizer ? { optimizer } : {}) });
  const weights = engine.parameters["weights"]!;
  const probs = (state: number): Float64Array => policy.probs(engine.parameters, state);

  const exact: Exact = {
    value: (reward) => solve(process, probs, reward).value,
    gradient(reward) {
      const { visits, advantages } = solve(process, probs, reward);
      const gradient = new Float64Array(weights.length);
      for (let s = 0; s < process.states; s++) {
        const p = probs(s);
        // d value / d logit[a] = sum over times of visits * p[a] * (Q[a] - V)
        const d = p.map((pa, a) => {
          let sum = 0;
          for (let t = 0; t < process.horizon; t++) sum += visits[t]![s]! * advantages[t]![s * process.actions + a]!;
          return sum === 0 ? 0 : pa * sum;
        });
        policy.addLogitGradient(s, d, gradient);
      }
      return gradient;
    },
    klTo(other) {
      const { visits } = solve(process, probs, () => 0);
      let kl = 0;
      for (let s = 0; s < process.states; s++) {
        let expected = 0;
        for (const at of visits) expected += at[s]!;
        if (expected === 0) continue;
        const p = probs(s);
        const q = other.probs(s);
        for (let a = 0; a < p.length; a++) if (p[a]! > 0) kl += expected * p[a]! * Math.log(p[a]! / q[a]!);
      }
      return kl;
    },
  };
  // Not a spread: that would freeze the engine's id and weightsVersion at their present values.
  return Object.defineProperties(engine, {
    weights: { value: weights, enumerable: true },
    probs: { value: probs, enumerable: true },
    exact: { value: exact, enumerable: true },
  }) as SoftmaxEngine;
}

/**
 * Visits (probability of being in state s before action t), advantages Q - V by time, and the expected return, for walks of at most
 * `horizon` actions.
 */
function solve(
  process: Finite,
  probs: (state: number) => Float64Array,
  reward: StepReward,
): { visits: Float64Array[]; advantages: Float64Array[]; value: number } {
  const { states: S, actions: A, horizon: H, tasks } = process;
  const p = Array.from({ length: S }, (_, s) => probs(s));
  const outcomes = Array.from({ length: S * A }, (_, cell) => outcomesOf(process, Math.floor(cell / A), cell % A));
  const visits = Array.from({ length: H }, () => new Float64Array(S));
  for (let task = 0; task < tasks; task++) visits[0]![process.start(task)]! += 1 / tasks;
  for (let t = 0; t + 1 < H; t++)
    for (let s = 0; s < S; s++) {
      const here = visits[t]![s]!;
      if (here === 0) continue;
      for (let a = 0; a < A; a++)
        for (const [next, probability] of outcomes[s * A + a]!) if (next >= 0) visits[t + 1]![next]! += here * p[s]![a]! * probability;
    }
  const advantages = Array.from({ length: H }, () => new Float64Array(S * A));
  let later = new Float64Array(S);
  for (let t = H - 1; t >= 0; t--) {
    const now = new Float64Array(S);
    const q = advantages[t]!;
    for (let s = 0; s < S; s++) {
      for (let a = 0; a < A; a++) {
        const cell = s * A + a;
        for (const [next, probability] of outcomes[cell]!) q[cell]! += probability * (reward(s, a, next) + (next >= 0 ? later[next]! : 0));
        if (p[s]![a]! > 0) now[s]! += p[s]![a]! * q[cell]!;
      }
      for (let a = 0; a < A; a++) q[s * A + a]! -= now[s]!;
    }
    later = now;
  }
  let value = 0;
  for (let task = 0; task < tasks; task++) value += later[process.start(task)]! / tasks;
  return { visits, advantages, value };
}
