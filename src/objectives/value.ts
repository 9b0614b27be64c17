import { clip, maximum, square } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import { objective } from "./objective.ts";
import type { Objective } from "./objective.ts";
import { aggregate, tokenMean } from "./reductions.ts";
import type { Aggregation } from "./reductions.ts";

/**
 * Squared error of a value head: half the aggregate of (value - return)^2, or, with a clip range (PPO, arXiv 1707.06347, as in OpenAI's
 * baselines), of the larger of that and the error of the value held within `clip` of what it was when the rollout was scored.
 *
 * Policy output: "value". Token columns: "return", and "value" (the earlier one) with a clip range. Coefficient with a clip range: clip.
 * Metrics: `squaredError`, and `clipped` (share of tokens beyond the range).
 *
 * @param options.clip half-width of the range, or null
 * @throws GuerdonError "usage" when the range is not positive
 */
export function valueLoss(options: { readonly clip: number | null } & Aggregation): Objective {
  const { clip: range } = options;
  if (range === null)
    return objective({
      name: "value",
      policy: ["value"],
      logProbs: false,
      token: ["return"],
      loss({ value }, batch) {
        const error = square(value.sub(batch.token.return));
        return { loss: aggregate(error, batch, options).div(2), metrics: { squaredError: tokenMean(error, batch) } };
      },
    });
  if (!(range > 0)) throw new GuerdonError("usage", `clip must be positive or null; it is ${range}`);
  return objective({
    name: "clipped value",
    policy: ["value"],
    logProbs: false,
    token: ["return", "value"],
    coefficients: { clip: range },
    loss({ value }, batch, c) {
      const earlier = batch.token.value;
      const low = earlier.sub(c.clip);
      const high = earlier.add(c.clip);
      const error = square(value.sub(batch.token.return));
      const held = square(clip(value, low, high).sub(batch.token.return));
      return {
        loss: aggregate(maximum(error, held), batch, options).div(2),
        metrics: { squaredError: tokenMean(error, batch), clipped: tokenMean(value.less(low).add(value.greater(high)), batch) },
      };
    },
  });
}
