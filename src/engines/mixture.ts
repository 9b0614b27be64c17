import { GuerdonError } from "../error.ts";
import type { Reader } from "./engine.ts";

/**
 * The geometric mixture of two policies, a^(1 - weight) * b^weight, as a reader: its log-probability of an action is (1 - weight) times
 * that of `a` plus weight times that of `b`. Summed over a row this is the mixture of whole answers up to a constant that all answers to
 * one prompt share, which drops out of every loss on pairs or lists. It is not the mixture that normalises after each token.
 *
 * A weight of 0 or 1 asks only the one policy that counts. Disposing it leaves both to their owners.
 *
 * @param weight in [0, 1]
 * @throws GuerdonError "usage" when the weight is not in [0, 1]
 */
export function geometricMixture<X>(a: Reader<X>, b: Reader<X>, weight: number): Reader<X> {
  if (!(weight >= 0 && weight <= 1)) throw new GuerdonError("usage", `The weight of a mixture must be in [0, 1]; it is ${weight}.`);
  return {
    outputs: ["logProbs"],
    async forward(rows, names = ["logProbs"]) {
      const other = names.find((name) => name !== "logProbs");
      if (other !== undefined)
        throw new GuerdonError("unsupported", `A mixture of policies has log-probabilities and no output "${other}".`);
      if (weight === 0) return a.forward(rows, names);
      if (weight === 1) return b.forward(rows, names);
      const left = (await a.forward(rows, names))["logProbs"]!;
      const right = (await b.forward(rows, names))["logProbs"]!;
      return { logProbs: left.map((row, i) => row.map((l, j) => (1 - weight) * l + weight * right[i]![j]!)) };
    },
  };
}
