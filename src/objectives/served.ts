import type { Examples } from "../credit/examples.ts";
import type { ServedLoss } from "../engines/engine.ts";
import { gradientOf } from "./evaluate.ts";
import type { Objective, Served } from "./objective.ts";
import { scoreFunction } from "./policy-gradient.ts";

/**
 * The loss that a training service would compute for an objective on given examples. The service sums over tokens; what the objective's
 * aggregation makes of a token (its share of a mean, mask and row weight) is its weight here.
 *
 * @param weight of the objective in its step
 * @throws GuerdonError as `gradientOf`
 */
export function servedLoss<X>(
  { coefficients: own }: Objective,
  { name, against, aggregation, config }: Served,
  examples: Examples<X>,
  weight = 1,
  coefficients: Readonly<Record<string, number>> = {},
): ServedLoss {
  const { rows, offsets, mask, token } = examples;
  const cut = (column: Float32Array): Float32Array[] => rows.map((_, i) => column.slice(offsets[i]!, offsets[i + 1]!));
  // Minus the gradient of the mean log-probability is each token's share.
  const ones = { ...examples, token: { advantage: new Float32Array(mask.length).fill(1) } };
  const shares = gradientOf(scoreFunction(aggregation), ones, { logProbs: cut(mask) }).gradients["logProbs"]!;
  // What stands in masked cells is ignored, and need not be a number that JSON has.
  const seen = (column: Float32Array): Float32Array[] => cut(column.map((value, cell) => (mask[cell] === 0 ? 0 : value)));
  return {
    name,
    config: config({ ...own, ...coefficients }),
    weights: shares.map((row) => row.map((share) => -weight * share)),
    advantages: seen(token["advantage"]!),
    logProbs: seen(token[against]!),
  };
}
