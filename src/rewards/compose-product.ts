import { GuerdonError } from "../error.ts";
import { joined, requireFinite, requireNumbers, type NeedsOf, type Parts } from "./compose-parts.ts";
import { quoted, unscorable } from "./grade.ts";
import type { Reward } from "./reward.ts";

export interface ProductOptions {
  /** "skip": an unscorable part does not multiply and shows as null among the parts. Without it, it makes the product unscorable. */
  readonly missing?: "skip";
  readonly name?: string;
}

/**
 * The product of rewards, which become its named parts: a term with multiplicative penalties in [0, 1], for instance, which lower it but
 * never turn it around.
 *
 * @throws GuerdonError "usage" for no parts
 */
export function product<const P extends Parts>(parts: P, { missing, name }: ProductOptions = {}): Reward<NeedsOf<P>> {
  return joined("product", parts, { missing, name }, (given) => ({ value: given.reduce((value, [, score]) => value * score.value, 1) }));
}

export interface EnsembleOptions<Key extends string> {
  /**
   * How members agree on a value; "mean" unless said.
   * - "min": the worst opinion counts.
   * - `{ lowerBound: k }`: mean minus k standard deviations of the members (n - 1), so that disagreement costs. Needs two members.
   * - `{ lowestVariance }`: the weighted mean whose error varies least, for members with independent errors of these variances (measured
   *   against a standard on held-out answers): weights are proportional to 1 / variance.
   */
  readonly by?: "mean" | "min" | { readonly lowerBound: number } | { readonly lowestVariance: { readonly [K in Key]: number } };
  /** Mean and standard deviation of each member on one common set of answers: members are brought to this scale before they are joined. */
  readonly scales?: { readonly [K in Key]: { readonly mean: number; readonly deviation: number } };
  /** "skip": an unscorable member has no voice and shows as null. Without it, it makes the ensemble unscorable. */
  readonly missing?: "skip";
  readonly name?: string;
}

/**
 * Several rewards for the same thing, joined so that the mistakes of one count less. Members become named parts, as they were before
 * standardisation.
 *
 * Sources: Coste et al., arXiv 2310.02743 (mean, worst case, uncertainty-weighted); Bates and Granger, 1969 (lowest variance).
 *
 * @throws GuerdonError "usage" for no members, or numbers that are out of range or missing
 */
export function ensemble<const P extends Parts>(
  members: P,
  { by = "mean", scales, missing, name }: EnsembleOptions<keyof P & string> = {},
): Reward<NeedsOf<P>> {
  const scaleOf: Readonly<Record<string, { readonly mean: number; readonly deviation: number }>> | undefined = scales;
  if (scaleOf !== undefined)
    for (const key of Object.keys(members)) {
      const { mean, deviation } = scaleOf[key] ?? { mean: Number.NaN, deviation: Number.NaN };
      requireFinite("ensemble", `the mean of "${key}"`, mean);
      requirePositive(`the deviation of "${key}"`, deviation);
    }
  const variances: Readonly<Record<string, number>> | null = typeof by === "object" && "lowestVariance" in by ? by.lowestVariance : null;
  if (variances !== null) {
    requireNumbers("ensemble", "variance", variances, members);
    for (const key of Object.keys(members)) requirePositive(`the variance of "${key}"`, variances[key]);
  } else if (typeof by === "object" && "lowerBound" in by) requirePositive("lowerBound", by.lowerBound, 0);
  return joined("ensemble", members, { by, scales, missing, name }, (given) => {
    const values = given.map(([key, { value }]) => {
      const scale = scaleOf?.[key];
      return scale === undefined ? value : (value - scale.mean) / scale.deviation;
    });
    const mean = values.reduce((total, value) => total + value, 0) / values.length;
    if (by === "mean") return { value: mean };
    if (by === "min") return { value: Math.min(...values) };
    if ("lowerBound" in by) {
      if (values.length < 2) return unscorable("declined", "One member alone says nothing about disagreement: a lower bound needs two.");
      const variance = values.reduce((total, value) => total + (value - mean) ** 2, 0) / (values.length - 1);
      return { value: mean - by.lowerBound * Math.sqrt(variance) };
    }
    const precisions = given.map(([key]) => 1 / variances![key]!);
    const weighted = values.reduce((total, value, i) => total + value * precisions[i]!, 0);
    return { value: weighted / precisions.reduce((total, precision) => total + precision, 0) };
  });
}

function requirePositive(option: string, value: unknown, least?: 0): void {
  if (typeof value === "number" && Number.isFinite(value) && (value > 0 || value === least)) return;
  throw new GuerdonError(
    "usage",
    `ensemble: ${option} must be a finite number ${least === 0 ? "of at least" : "above"} 0, not ${quoted(value)}.`,
  );
}
