import { pairs } from "../credit/index.ts";
import { pairLoss } from "../objectives/index.ts";
import { rolloutMethod } from "../training/index.ts";
import type { RolloutMethod, RolloutOptions } from "../training/index.ts";

export interface InpoOptions extends RolloutOptions {
  /** How far one round moves: the temperature of its mirror step, in units of win rate. Default 0.1. */
  readonly eta?: number;
  /** tau / eta: the reference policy's share in the anchor, in [0, 1). Default 1/3. */
  readonly ratio?: number;
  /** Steps of a round, after which the policy becomes its own anchor. Default 25. */
  readonly every?: number;
}

/**
 * Iterative Nash policy optimisation (INPO, arXiv 2407.00617): towards the policy that no other is preferred to, without estimating a win
 * rate. Each round minimises (h - 1 / (2 eta))^2 on pairs of the policy's own answers, h the margin of log-ratios against
 * reference^(tau / eta) * previous^(1 - tau / eta): the "ipo" loss against a moving anchor. On independent pairs labelled by the preference
 * its minimiser is the mirror step anchor * exp(winRate / eta); with more than two answers to a task the best is paired with the worst,
 * which moves further and is no longer exact.
 */
export function inpo(options: InpoOptions = {}): RolloutMethod {
  const { eta = 0.1, ratio = 1 / 3, every = 25, groupSize = 8 } = options;
  return rolloutMethod(
    {
      name: "INPO",
      settings: { eta, ratio, pairs: "best-worst" },
      anchor: { reference: ratio, every },
      credit: (table) => pairs(table, { kind: "best-worst" }),
      objective: pairLoss("ipo", { beta: eta, against: "anchor" }),
    },
    { ...options, groupSize },
  );
}
