import { GuerdonError } from "../error.ts";
import { center, scale } from "./columns.ts";
import type { Column, Key } from "./scored.ts";

export type ConventionName = "paper" | "trl" | "verl" | "dr-grpo" | "dapo";

/** Everything in which implementations of group-relative policy optimisation differ, resolved to plain data for the run's header. */
export interface Convention {
  readonly name: ConventionName;
  /** Divide the centred reward by the group's deviation + epsilon; null: do not divide. */
  readonly scale: { readonly ddof: 0 | 1; readonly epsilon: number } | null;
  readonly aggregation: "token-mean" | "row-mean" | "row-sum";
  readonly divisor: number | null;
  /** Clip range of the ratio. */
  readonly low: number;
  readonly high: number;
  readonly dualClip: number | null;
  /** Penalty for leaving the reference policy, in the loss; null: none, and no reference is needed. */
  readonly kl: { readonly estimator: "k1" | "k2" | "k3"; readonly coefficient: number } | null;
  /** Where the numbers are from. */
  readonly source: string;
}

/**
 * A convention by name.
 *
 * - "paper": DeepSeekMath, arXiv 2402.03300: (r - mean) / std, mean over an answer's tokens and then over answers, k3 with 0.04. The paper
 *   does not say which deviation (taken: population), nor the clip range (taken: PPO's 0.2).
 * - "trl": GRPOConfig's defaults: sample deviation, epsilon 1e-4, mean over all tokens (its loss type "dapo"), clip 0.2, no KL.
 * - "verl": its GRPO estimator's defaults: sample deviation, epsilon 1e-6, token mean, clip 0.2, dual clip 3, no KL.
 * - "dr-grpo": arXiv 2503.20783: no division by the deviation, sum over tokens divided by the longest length, clip 0.2, no KL.
 * - "dapo": arXiv 2503.14476 with verl's recipe: as verl, clip 0.2 below and 0.28 above, dual clip 10. Dynamic sampling is a curriculum and
 *   the overlong penalty a reward: neither is part of this.
 *
 * @param maxActions the longest answer in tokens, the constant divisor of "dr-grpo"; the others do not need it
 * @throws GuerdonError "usage" for an unknown name, or when "dr-grpo" is not told the longest answer
 */
export function convention(name: ConventionName, { maxActions }: { readonly maxActions?: number } = {}): Convention {
  const common = { divisor: null, low: 0.2, high: 0.2, dualClip: null, kl: null };
  switch (name) {
    case "paper":
      return {
        ...common,
        name,
        scale: { ddof: 0, epsilon: 0 },
        aggregation: "row-mean",
        kl: { estimator: "k3", coefficient: 0.04 },
        source: "arXiv 2402.03300; deviation and clip range are not stated there",
      };
    case "trl":
      return { ...common, name, scale: { ddof: 1, epsilon: 1e-4 }, aggregation: "token-mean", source: "TRL, GRPOConfig defaults" };
    case "verl":
      return {
        ...common,
        name,
        scale: { ddof: 1, epsilon: 1e-6 },
        aggregation: "token-mean",
        dualClip: 3,
        source: "verl, GRPO and actor defaults",
      };
    case "dr-grpo":
      if (!(maxActions !== undefined && maxActions > 0))
        throw new GuerdonError("usage", `"dr-grpo" divides by the longest answer: give maxActions, in tokens; it is ${maxActions}`);
      return { ...common, name, scale: null, aggregation: "row-sum", divisor: maxActions, source: "arXiv 2503.20783" };
    case "dapo":
      return {
        ...common,
        name,
        scale: { ddof: 1, epsilon: 1e-6 },
        aggregation: "token-mean",
        high: 0.28,
        dualClip: 10,
        source: "arXiv 2503.14476; verl's DAPO recipe",
      };
    default:
      throw new GuerdonError("usage", `unknown convention ${JSON.stringify(name)}; there are paper, trl, verl, dr-grpo and dapo`);
  }
}

/** The group-relative advantage of a convention: the centred reward, divided by the deviation where the convention divides. */
export function groupAdvantage(reward: Column, group: Key, { scale: by }: Pick<Convention, "scale">): Column {
  const centred = center(reward, group);
  return by === null ? centred : scale(centred, group, by);
}
