import { GuerdonError } from "../error.ts";
import type { Span } from "../rollouts/rollout.ts";
import { deviation, mean } from "../statistics/index.ts";
import { checkFinite } from "./columns.ts";
import { gae } from "./gae.ts";
import type { Column, Key, Scored } from "./scored.ts";

/** A penalty for leaving the reference, taken off the reward: coefficient * (policy - reference) a token (the k1 estimate). */
export interface RewardKl {
  readonly coefficient: number;
  /** Whose log-probabilities stand for the policy: the sampler's, or the token column "old". */
  readonly policy: "behaviour" | "old";
}

/**
 * Rewards minus the divergence from the reference: r_i - coefficient * sum_t (policy - reference) over the unmasked tokens. With a
 * static reference the best policy is then proportional to reference * exp(r / coefficient).
 *
 * @throws GuerdonError "input" when the table has no token column "reference" (or "old"); "non-finite" naming the row
 */
export function klInReward(table: Scored<unknown>, kl: RewardKl): Column {
  const out = table.reward.map((reward, i) => reward - kl.coefficient * divergence(table, i, kl).reduce((sum, d) => sum + d, 0));
  checkFinite(out, "penalised reward");
  return out;
}

/**
 * One reward a token, for `gae` and `returnsToGo`: the rollout's reward on its last action of the policy, minus the penalty on each. 0 in
 * masked tokens.
 *
 * @param kl null: no penalty
 * @throws GuerdonError "input" when a rollout has no action of the policy
 */
export function tokenRewards(table: Scored<unknown>, kl: RewardKl | null): Float64Array[] {
  checkFinite(table.reward, "reward");
  return table.rollouts.map(({ mask }, i) => {
    const rewards = kl === null ? new Float64Array(mask.length) : divergence(table, i, kl).map((d) => -kl.coefficient * d);
    const last = mask.lastIndexOf(1);
    if (last < 0) throw new GuerdonError("input", `rollout ${i} has no action of the policy to give its reward to`);
    rewards[last]! += table.reward[i]!;
    return rewards;
  });
}

/**
 * One reward a token from the rewards of steps: each on its step's last action of the policy, 0 elsewhere. The rollout's own reward is not
 * looked at: where an outcome counts too, it has to be in the steps, as `sum` (rewards/) puts it into the last one.
 *
 * @throws GuerdonError "input" when the table has no step rewards, or a step without an action of the policy
 */
export function stepTokenRewards(table: Scored<unknown>): Float64Array[] {
  const { stepReward } = table;
  if (stepReward === undefined) throw new GuerdonError("input", "the scored rollouts have no step rewards");
  return table.rollouts.map(({ mask, steps = [] }, i) => {
    const rewards = new Float64Array(mask.length);
    if (stepReward[i]!.length !== steps.length)
      throw new GuerdonError("input", `rollout ${i} has ${steps.length} steps and ${stepReward[i]!.length} step rewards`);
    for (const [k, { from, to }] of steps.entries()) {
      const last = mask.subarray(from, to).lastIndexOf(1);
      if (last < 0) throw new GuerdonError("input", `step ${k} of rollout ${i} has no action of the policy to give its reward to`);
      rewards[from + last] = stepReward[i]![k]!;
      if (!Number.isFinite(stepReward[i]![k]!))
        throw new GuerdonError("non-finite", `the reward of step ${k} of rollout ${i} is ${stepReward[i]![k]}`);
    }
    return rewards;
  });
}

/**
 * Token credit with mean 0 and population deviation 1 over all of the policy's own tokens of the batch; all 0 where they do not vary.
 * Masked tokens become 0.
 *
 * @param credit one array a rollout
 */
export function whiten(table: Scored<unknown>, credit: readonly Float64Array[]): Float64Array[] {
  const own = Float64Array.from(table.rollouts.flatMap(({ mask }, i) => [...credit[i]!].filter((_, j) => mask[j] === 1)));
  const centre = mean(own);
  const spread = deviation(own, { ddof: 0 });
  return credit.map((row, i) => row.map((a, j) => (spread === 0 || table.rollouts[i]!.mask[j] === 0 ? 0 : (a - centre) / spread)));
}

/**
 * `gae` for a whole table, from token rewards and the token column "value". Rollouts end with value 0 after their last action.
 *
 * @returns one array a rollout: the columns "advantage" and "return"
 */
export function gaeColumns(
  table: Scored<unknown>,
  rewards: readonly Float64Array[],
  options: { readonly discount: number; readonly lambda: number },
): { advantage: Float64Array[]; returns: Float64Array[] } {
  const values = tokenColumn(table, "value");
  const rows = table.rollouts.map(({ mask }, i) => gae({ rewards: rewards[i]!, values: values[i]!, mask, after: 0, ...options }));
  return { advantage: rows.map((r) => r.advantage), returns: rows.map((r) => r.returns) };
}

/**
 * Step values on tokens: each action of span k gets values[k], actions outside of all spans 0.
 *
 * @param length number of actions of the row
 */
export function onTokens(spans: readonly Span[], values: ArrayLike<number>, length: number): Float32Array {
  if (spans.length !== values.length) throw new GuerdonError("input", `${values.length} values for ${spans.length} steps`);
  const out = new Float32Array(length);
  for (const [k, { from, to }] of spans.entries()) {
    if (!(from >= 0 && from <= to && to <= length))
      throw new GuerdonError("input", `step ${k} spans actions ${from} to ${to} of ${length}`);
    out.fill(values[k]!, from, to);
  }
  return out;
}

/** All steps of all rollouts as one column, so that `center` and `scale` work on steps as they do on rollouts. */
export interface StepTable {
  readonly reward: Column;
  /** `rollout`: which row the step is of; `group`: that row's group; `step`: its place in the row; `place`: equal for equal group and step. */
  readonly keys: { readonly rollout: Key; readonly group: Key; readonly step: Key; readonly place: Key };
}

/** The step rewards of a table as one flat column. */
export function stepTable(table: Scored<unknown>): StepTable {
  const { rollouts, stepReward, keys } = table;
  if (stepReward === undefined) throw new GuerdonError("input", "the scored rollouts have no step rewards");
  const steps = rollouts.flatMap((r, i) => {
    const own = stepReward[i]!;
    if (own.length !== (r.steps?.length ?? 0))
      throw new GuerdonError("input", `rollout ${i} has ${r.steps?.length ?? 0} steps and ${own.length} step rewards`);
    return Array.from(own, (reward, step) => ({ reward, rollout: i, group: keys.group[i]!, step }));
  });
  const reward = Float64Array.from(steps, (s) => s.reward);
  checkFinite(reward, "step reward");
  const places = new Map<string, number>();
  const place = Int32Array.from(steps, (s) => {
    const name = `${s.group} ${s.step}`;
    if (!places.has(name)) places.set(name, places.size);
    return places.get(name)!;
  });
  return {
    reward,
    keys: {
      rollout: Int32Array.from(steps, (s) => s.rollout),
      group: Int32Array.from(steps, (s) => s.group),
      step: Int32Array.from(steps, (s) => s.step),
      place,
    },
  };
}

/** A column of a step table as token credit: one array a rollout, for the columns of `examples`. */
export function stepCredit(table: Scored<unknown>, column: Column): Float32Array[] {
  let next = 0;
  const out = table.rollouts.map((r) => {
    const spans = r.steps ?? [];
    const own = column.subarray(next, (next += spans.length));
    return onTokens(spans, own, r.mask.length);
  });
  if (next !== column.length) throw new GuerdonError("input", `${column.length} values for ${next} steps`);
  return out;
}

function tokenColumn(table: Scored<unknown>, name: string): readonly Float32Array[] {
  const column = table.token[name];
  if (column === undefined)
    throw new GuerdonError("input", `the token column ${name} is needed; the table has ${Object.keys(table.token).join(", ") || "none"}`);
  return column;
}

/** policy - reference of one rollout, 0 in masked tokens. */
function divergence(table: Scored<unknown>, row: number, { policy }: RewardKl): Float64Array {
  const { mask, behaviourLogProbs } = table.rollouts[row]!;
  const own = policy === "behaviour" ? behaviourLogProbs : tokenColumn(table, "old")[row]!;
  const reference = tokenColumn(table, "reference")[row]!;
  return Float64Array.from(mask, (m, j) => (m === 0 ? 0 : own[j]! - reference[j]!));
}
