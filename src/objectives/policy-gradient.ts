import { clip, exp, maximum, minimum, sub, where } from "../arrays/index.ts";
import type { Arr } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import { objective } from "./objective.ts";
import type { Objective } from "./objective.ts";
import { aggregate, perToken, rowMeanOf, tokenMean } from "./reductions.ts";
import type { Aggregation } from "./reductions.ts";

export interface ClippedSurrogateOptions extends Aggregation {
  /** Clip range: how far the ratio may fall below and rise above 1 before its gradient stops. */
  readonly low: number;
  readonly high: number;
  /**
   * What the ratio is taken of, and where it is clipped:
   * - "token" (PPO, GRPO): each token's own ratio;
   * - "sequence" (GSPO, arXiv 2507.18071): exp of the row's mean log-ratio, one number a row, clipped there;
   * - "geometric mean" (GMPO, arXiv 2507.20673): each token's log-ratio is clipped to [-low, high] (in log space, as in the paper),
   *   then exp of the row's mean.
   * Default "token".
   */
  readonly ratio?: "token" | "sequence" | "geometric mean";
  /** The log-probabilities below the fraction: the sampler's ("behaviour") or the trainer's before the update ("old"). Default "behaviour". */
  readonly against?: "behaviour" | "old";
  /** For negative advantages the gain is bounded below by this times the advantage (verl uses 3, its DAPO recipes 10). Default none. */
  readonly dualClip?: number | null;
  /** Multiplies each token's gain by the token column "correction", the weights of `gapWeights` (credit/). The divisor stays. */
  readonly correction?: boolean;
}

/**
 * The clipped policy-gradient surrogate (PPO, arXiv 1707.06347; GRPO, arXiv 2402.03300; clip-higher and token mean: DAPO, arXiv
 * 2503.14476): minus the aggregate of min(ratio * A, clip(ratio, 1 - low, 1 + high) * A).
 *
 * Token columns: "advantage", "behaviour" or "old", and "correction" if asked for. Coefficients: low, high. Metrics: `ratio` (mean),
 * `clipLow` and `clipHigh` (share of tokens whose gradient the lower or upper bound stops), `clipDual`, `approximateKl` (the k3
 * estimate of the distance from the policy below the fraction).
 *
 * @throws GuerdonError "usage" when an option is out of range
 */
export function clippedSurrogate(options: ClippedSurrogateOptions): Objective {
  const { low, high, ratio: kind = "token", against = "behaviour", dualClip = null, correction = false } = options;
  if (!(low >= 0 && high >= 0)) throw new GuerdonError("usage", `low and high must not be negative; they are ${low} and ${high}`);
  if (dualClip !== null && !(dualClip > 1)) throw new GuerdonError("usage", `dualClip must be greater than 1; it is ${dualClip}`);
  const columns: ("advantage" | "behaviour" | "old" | "correction")[] = ["advantage", against];
  if (correction) columns.push("correction");

  return objective({
    name: "clipped surrogate",
    token: columns,
    coefficients: { low, high },
    ...(kind === "token" &&
      dualClip === null &&
      !correction && {
        served: {
          name: "ppo",
          against,
          aggregation: { aggregation: options.aggregation, divisor: options.divisor },
          config: (c) => ({ clip_low_threshold: 1 - c["low"]!, clip_high_threshold: 1 + c["high"]! }),
        },
      }),
    loss({ logProbs }, batch, c) {
      const { advantage } = batch.token;
      const logRatio = logProbs.sub(batch.token[against]);
      const positive = advantage.greater(0);
      const negative = advantage.less(0);

      let ratio: Arr;
      let gain: Arr;
      let clippedLow: Arr;
      let clippedHigh: Arr;
      if (kind === "geometric mean") {
        clippedLow = negative.mul(logRatio.less(c.low.neg()));
        clippedHigh = positive.mul(logRatio.greater(c.high));
        // Only the side that would still improve the objective is clipped, token by token, before the mean.
        const clipped = where(positive, minimum(logRatio, c.high), maximum(logRatio, c.low.neg()));
        ratio = perToken(exp(rowMeanOf(clipped, batch)));
        gain = ratio.mul(advantage);
      } else {
        ratio = kind === "token" ? exp(logRatio) : perToken(exp(rowMeanOf(logRatio, batch)));
        const floor = sub(1, c.low);
        const ceiling = c.high.add(1);
        clippedLow = negative.mul(ratio.less(floor));
        clippedHigh = positive.mul(ratio.greater(ceiling));
        gain = minimum(ratio.mul(advantage), clip(ratio, floor, ceiling).mul(advantage));
      }
      const metrics: Record<string, Arr> = {
        ratio: tokenMean(ratio, batch),
        clipLow: tokenMean(clippedLow, batch),
        clipHigh: tokenMean(clippedHigh, batch),
        approximateKl: tokenMean(exp(logRatio).sub(1).sub(logRatio), batch),
      };
      if (dualClip !== null) {
        metrics["clipDual"] = tokenMean(negative.mul(ratio.greater(dualClip)), batch);
        gain = where(negative, maximum(gain, advantage.mul(dualClip)), gain);
      }
      if (correction) gain = gain.mul(batch.token.correction);
      return { loss: aggregate(gain, batch, options).neg(), metrics };
    },
  });
}

/**
 * The score-function loss (REINFORCE; RLOO when the advantage is leave-one-out, arXiv 2402.14740): minus the aggregate of
 * advantage * logProbs. Linear in the log-probabilities; the gradient of `clippedSurrogate` at ratio 1.
 *
 * Token column: "advantage".
 */
export const scoreFunction = (aggregation: Aggregation): Objective =>
  objective({
    name: "score function",
    token: ["advantage"],
    linear: true,
    loss: ({ logProbs }, batch) => aggregate(logProbs.mul(batch.token.advantage), batch, aggregation).neg(),
  });
