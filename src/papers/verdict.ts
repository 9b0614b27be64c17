import { stream, type Rng } from "../statistics/stream.ts";
import type { Check, Results } from "./claim.ts";
import type { Paper } from "./paper.ts";

/** What a check came to. Thresholds that it has not are null, as is a bound that is infinite: the data set none. */
export interface CheckResult {
  readonly say: string;
  /** Of the estimate: "ratio of paired means". */
  readonly kind: string;
  readonly arms: readonly string[];
  readonly estimate: number;
  readonly low: number | null;
  readonly high: number | null;
  /** Seeds that were counted. */
  readonly n: number;
  /** Of the interval: 0.95, or 1 where nothing is inferred. */
  readonly level: number;
  readonly above: number | null;
  readonly below: number | null;
  readonly holds: boolean;
  /** One-sided, the larger one where there are two thresholds; null where nothing is inferred. */
  readonly p: number | null;
  readonly changed: NonNullable<Check["changed"]> | null;
}

/** What a part of the card's claim came to that does not show here. */
export type RefutedResult = CheckResult & { readonly why: string };

export interface Verdict {
  readonly holds: boolean;
  readonly checks: readonly CheckResult[];
  readonly refuted: readonly RefutedResult[];
}

/**
 * Compares what the arms measured with the claim's thresholds. A check holds when its whole interval lies beyond the threshold, which itself
 * does not count; the claim holds when all of them do. The same results give the same verdict, because bootstrap streams are derived from
 * the paper's slug.
 */
export function verdict({ slug, claim }: Paper, results: Results): Verdict {
  const resultOf = ({ say, of, above, below, changed }: Check, rng: Rng): CheckResult => {
    const { estimate, low, high, n, level } = of.of(results, rng);
    const sides = [
      ...(above === undefined ? [] : [["above", above] as const]),
      ...(below === undefined ? [] : [["below", below] as const]),
    ];
    const finite = (x: number): number | null => (Number.isFinite(x) ? x : null);
    return {
      say,
      kind: of.kind,
      arms: of.arms,
      estimate,
      low: finite(low),
      high: finite(high),
      n,
      level,
      above: above ?? null,
      below: below ?? null,
      holds: (above === undefined || low > above) && (below === undefined || high < below),
      p: of.p === undefined ? null : Math.max(...sides.map(([side, threshold]) => of.p!(results, side, threshold))),
      changed: changed ?? null,
    };
  };
  const checks = claim.checks.map((check, i) => resultOf(check, stream(0, "check", slug, i)));
  const refuted = (claim.refuted ?? []).map((check, i) => ({ ...resultOf(check, stream(0, "refuted", slug, i)), why: check.why }));
  return { holds: checks.every(({ holds }) => holds), checks, refuted };
}
