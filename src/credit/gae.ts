import { GuerdonError } from "../error.ts";

/** Rewards and values of one rollout, one number an action. */
export interface GaeInput {
  readonly rewards: ArrayLike<number>;
  readonly values: ArrayLike<number>;
  /** 0: not an action of the policy. Such a token is no step: it carries no advantage, and the step before it looks past it. */
  readonly mask: ArrayLike<number>;
  readonly discount: number;
  readonly lambda: number;
  /** Value of the state after the last action: 0 when the rollout ended, the critic's guess when it was cut. */
  readonly after: number;
}

/**
 * Generalised advantage estimation (arXiv 1506.02438): with delta_t = r_t + discount * V_{t+1} - V_t over the policy's own actions,
 * A_t = delta_t + discount * lambda * A_{t+1}; the return that the critic learns is A_t + V_t. Both are 0 in masked tokens.
 *
 * @throws GuerdonError "input" when lengths differ or a masked token has a reward; "non-finite" naming the action
 */
export function gae({ rewards, values, mask, discount, lambda, after }: GaeInput): { advantage: Float64Array; returns: Float64Array } {
  const length = rewards.length;
  if (values.length !== length || mask.length !== length)
    throw new GuerdonError(
      "input",
      `gae needs one value and one mask entry a reward: ${length} rewards, ${values.length} values, ${mask.length} mask entries`,
    );
  const advantage = new Float64Array(length);
  const returns = new Float64Array(length);
  let nextValue = after;
  let nextAdvantage = 0;
  for (let t = length - 1; t >= 0; t--) {
    if (mask[t] === 0) {
      if (rewards[t] !== 0)
        throw new GuerdonError("input", `action ${t} is masked and has the reward ${rewards[t]}: put it on the action that earned it`);
      continue;
    }
    const delta = rewards[t]! + discount * nextValue - values[t]!;
    nextAdvantage = delta + discount * lambda * nextAdvantage;
    nextValue = values[t]!;
    if (!Number.isFinite(nextAdvantage))
      throw new GuerdonError("non-finite", `the advantage of action ${t} is ${nextAdvantage} (reward ${rewards[t]}, value ${values[t]})`);
    advantage[t] = nextAdvantage;
    returns[t] = nextAdvantage + nextValue;
  }
  return { advantage, returns };
}
