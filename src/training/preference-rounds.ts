import { merge, winShares } from "../credit/index.ts";
import type { Examples } from "../credit/index.ts";
import type { Engine, Reader, UpdateOptions } from "../engines/engine.ts";
import type { Task } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import { scored } from "../rewards/index.ts";
import type { Rollout } from "../rollouts/index.ts";
import { stream } from "../statistics/stream.ts";
import type { Rng } from "../statistics/stream.ts";
import { anchorOf, ask } from "./ask.ts";
import { needsReference, type RolloutMethod } from "./method.ts";
import { completed, learn, term } from "./phases.ts";
import { schedule, start, valueAt } from "./schedule.ts";
import { step } from "./step.ts";

export interface PreferenceRounds<X> {
  readonly engine: Engine<X>;
  /** Says how many answers to draw from the policy and from its reference, which of them become pairs, and what is minimised. */
  readonly method: RolloutMethod;
  /** The tasks of a round, a group of answers each; a task may be there several times. */
  readonly tasks: readonly Task[];
  readonly maxActions: number;
  /** Whether the first of two answers to a task is preferred to the second; `rng` is for preferences that are drawn. */
  readonly prefers: (first: Rollout<X>, second: Rollout<X>, rng: Rng) => boolean;
  readonly rounds: number;
  /** Optimizer steps a round, all on the same examples. */
  readonly updates: number;
  /** "all": a round learns from the pairs of all rounds so far; "round": from its own. */
  readonly keep: "all" | "round";
  /** Equal for rows that are the same: they are merged into one with a weight. */
  readonly keyOf: (row: X) => string;
  readonly seed: number;
  readonly optimizer?: Partial<Omit<UpdateOptions, "learningRate">>;
}

/**
 * Iterative preference optimisation: each round draws answers, has those of a group compared with each other, lets the method's credit make
 * pairs of them (an answer's score is the share of its comparisons that it wins) and takes optimizer steps on the method's objective. The
 * same rollouts, credit and step as `train`, with preferences in place of a reward and several updates a round; the small claims of
 * preference methods run it. The reference policy is the policy as it was before the first round, the anchor's `previous` the policy as it
 * was `every` rounds ago. The optimizer starts each round afresh. Yields after each round.
 *
 * @throws GuerdonError "usage" for a method with parts that have no place here (curriculum, retries, dynamic sampling, reward transforms,
 *   minibatches), or pairs of all rounds against an anchor that moves; otherwise as `step`
 */
export async function* preferenceRounds<X>(
  o: PreferenceRounds<X>,
): AsyncGenerator<{ readonly round: number; readonly examples: Examples<X> | null }, void> {
  const { engine, method, tasks, seed, updates, keyOf } = o;
  const { curriculum, retry, dynamicSampling, rewardTransform, epochs, minibatches } = method;
  if ([curriculum, retry, dynamicSampling, rewardTransform].some((part) => part !== null) || epochs * minibatches > 1)
    throw new GuerdonError(
      "usage",
      `The method "${method.name}" has a curriculum, retries, dynamic sampling, a reward transform or several updates a step, which rounds of preferences have no place for.`,
    );
  if (method.anchor !== null && o.keep === "all")
    throw new GuerdonError(
      "usage",
      `The anchor of "${method.name}" moves, so pairs of earlier rounds do not fit it: keep those of the round.`,
    );
  const reference = needsReference(method) ? await engine.freeze() : null;
  const budget = { steps: o.rounds };
  const rate = schedule(method.learningRate, budget);
  let previous: Reader<X> | null = null;
  let kept: Examples<X> | null = null;
  for (let round = 0; round < o.rounds; round++) {
    if (method.anchor !== null && round % method.anchor.every === 0) {
      previous?.dispose?.();
      previous = await engine.freeze();
    }
    const luck = stream(seed, "preference", round);
    const rollouts = await ask(method, engine, { reference }, o, tasks, { seed, step: round, record: [] });
    const scores = Array.from(
      winShares(rollouts, (a, b) => o.prefers(a, b, luck)),
      (value) => ({ value }),
    );
    const table = await completed(method, engine, scored(rollouts, scores).table, reference);
    const at = { ...start, step: round, inPhase: round };
    const { examples } = await learn(method, engine, table, at, { seed, budget }, anchorOf(method, { previous, reference }));
    if (examples !== null) kept = merge(kept === null || o.keep === "round" ? [examples] : [kept, examples], keyOf);
    if (kept !== null && (examples !== null || o.keep === "all")) {
      await engine.resetOptimizer();
      const terms = [term(method, kept, at)];
      for (let k = 0; k < updates; k++) await step(engine, terms, { ...method.optimizer, ...o.optimizer, learningRate: valueAt(rate, at) });
    }
    yield { round: round + 1, examples: kept };
  }
}
