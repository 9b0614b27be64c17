import { softplus } from "../arrays/index.ts";
import { objective } from "./objective.ts";
import type { Objective } from "./objective.ts";
import { rowLast, rowMeanOf, rowSum, setMean } from "./reductions.ts";

const readers = { last: rowLast, sum: rowSum, mean: rowMeanOf };

/**
 * Fits a reward model to pairs (Bradley and Terry, 1952; arXiv 1706.03741): -log sigmoid(r(chosen) - r(rejected) - margin), where the
 * reward of a row is read from the "score" output of its unmasked tokens.
 *
 * Policy output: "score". Set column: "margin" if asked for. Metrics: `accuracy` (share of pairs in the right order), `margin` (mean
 * difference of the rewards).
 *
 * @param options.read the last token's score (the usual reward model), or the sum or mean over tokens
 * @param options.margin read the set column "margin": how much better the chosen one has to be
 */
export const bradleyTerry = (options: { readonly read: "last" | "sum" | "mean"; readonly margin?: boolean }): Objective =>
  objective({
    name: "bradley-terry",
    policy: ["score"],
    logProbs: false,
    set: options.margin === true ? ["margin"] : [],
    setSize: 2,
    loss({ score }, batch) {
      const reward = batch.sets.of(readers[options.read](score, batch));
      const difference = reward.at(1, 0).sub(reward.at(1, 1));
      const margin = options.margin === true ? difference.sub(batch.sets.set.margin) : difference;
      return {
        loss: setMean(softplus(margin.neg()), batch),
        metrics: { accuracy: setMean(difference.greater(0), batch), margin: setMean(difference, batch) },
      };
    },
  });
