import type { Arr, Arrays } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import { outputsOf } from "./objective.ts";
import type { Objective } from "./objective.ts";

/**
 * A weighted sum of objectives on the same examples. Each part's coefficients and metrics are prefixed with its name ("pg.low",
 * "kl.kl"); its weight is the coefficient "<name>.weight" and its loss, before the weight, the metric "<name>.loss".
 * Objectives on different examples are different terms of a step instead.
 *
 * @param parts objectives by name
 * @param weights by the same names; a part that is not named has weight 1
 * @throws GuerdonError "usage" when there is no part, a weight names none, or two parts want sets of different sizes
 */
export function combine(parts: Readonly<Record<string, Objective>>, weights: Readonly<Record<string, number>> = {}): Objective {
  const names = Object.keys(parts);
  if (names.length === 0) throw new GuerdonError("usage", "combine needs at least one objective");
  for (const name of Object.keys(weights))
    if (!(name in parts))
      throw new GuerdonError("usage", `combine has no part ${JSON.stringify(name)} to weigh; it has ${names.join(", ")}`);
  const sizes = [...new Set(Object.values(parts).flatMap((part) => part.needs.setSize ?? []))];
  if (sizes.length > 1)
    throw new GuerdonError("usage", `these objectives need sets of different sizes (${sizes.join(", ")}): make them two terms`);

  const union = (of: (part: Objective) => readonly string[]): string[] => [...new Set(Object.values(parts).flatMap(of))];
  const coefficients: Record<string, number> = {};
  for (const [name, part] of Object.entries(parts)) {
    coefficients[`${name}.weight`] = weights[name] ?? 1;
    for (const [key, value] of Object.entries(part.coefficients)) coefficients[`${name}.${key}`] = value;
  }
  const outputs = union(outputsOf);

  return {
    name: names.map((name) => parts[name]!.name).join(" + "),
    needs: {
      policy: outputs.filter((output) => output !== "logProbs"),
      logProbs: outputs.includes("logProbs"),
      token: union((part) => part.needs.token),
      row: union((part) => part.needs.row),
      member: union((part) => part.needs.member),
      set: union((part) => part.needs.set),
      sets: Object.values(parts).some((part) => part.needs.sets),
      setSize: sizes[0] ?? null,
    },
    coefficients,
    linear: Object.values(parts).every((part) => part.linear),
    loss(policy, batch, c) {
      let total: Arr | null = null;
      const metrics: Record<string, Arr> = {};
      for (const [name, part] of Object.entries(parts)) {
        const own: Record<string, Arr> = {};
        for (const key of Object.keys(part.coefficients)) own[key] = c[`${name}.${key}`]!;
        const result = part.loss(policy, batch, own satisfies Arrays);
        metrics[`${name}.loss`] = result.loss;
        for (const [key, value] of Object.entries(result.metrics)) metrics[`${name}.${key}`] = value;
        const weighted = result.loss.mul(c[`${name}.weight`]!);
        total = total === null ? weighted : total.add(weighted);
      }
      return { loss: total!, metrics };
    },
  };
}
