import { GuerdonError } from "../error.ts";
import {
  bootstrapInterval,
  deviation,
  incompleteBeta,
  mean as average,
  meanInterval,
  median as middle,
  normalCdf,
  ratioInterval,
  shareInterval,
  tCdf,
} from "../statistics/index.ts";
import type { Interval } from "../statistics/index.ts";
import type { Estimate, Measured, Results } from "./claim.ts";

/** Which seeds count; all unless said. For claims that put a role on the parity of the seed. */
export interface Selection {
  readonly seeds?: (seed: number) => boolean;
}

/** Mean over seeds, with Student's interval. */
export function mean(arm: string, metric: string, selection: Selection = {}): Estimate {
  const values = (results: Results) => column(results, arm, metric, selection);
  return {
    kind: "mean (t)",
    arms: [arm],
    of: (results) => meanInterval(values(results)),
    p: (results, side, threshold) => tTest(values(results), side, threshold),
  };
}

/** Share of the seeds for which a condition holds, with Wilson's interval, which is right at 0 and 1 and for few seeds. */
export function share(arm: string, condition: (measured: Measured) => boolean, selection: Selection = {}): Estimate {
  const count = (results: Results) => {
    const rows = selected(results, arm, selection);
    return [rows.filter(({ measured }) => condition(measured)).length, rows.length] as const;
  };
  return {
    kind: "share of seeds (Wilson)",
    arms: [arm],
    of: (results) => shareInterval(...count(results)),
    // The score test, of which Wilson's interval is the inversion.
    p: (results, side, threshold) => {
      const [successes, n] = count(results);
      const distance = (successes / n - threshold) * (side === "above" ? 1 : -1);
      const error = Math.sqrt((threshold * (1 - threshold)) / n);
      return tailBeyond(distance, error, normalCdf);
    },
  };
}

/** Ratio of the means of two arms, paired by seed: how many times as much `arm` measures as `over`. */
export function ratio(arm: string, over: string, metric: string, selection: Selection = {}): Estimate {
  const sides = (results: Results) => [column(results, arm, metric, selection), column(results, over, metric, selection)] as const;
  return {
    kind: "ratio of paired means",
    arms: [arm, over],
    of: (results) => ratioInterval(...sides(results)),
    // The ratio is below r where the mean of x - r y is below 0 (the means below the line are positive).
    p: (results, side, threshold) => {
      const [above, below] = sides(results);
      return tTest(
        above.map((x, i) => x - threshold * below[i]!),
        side,
        0,
      );
    },
  };
}

/** Mean of the difference between two arms, paired by seed, with Student's interval. */
export function difference(arm: string, minus: string, metric: string, selection: Selection = {}): Estimate {
  const values = (results: Results) => {
    const other = column(results, minus, metric, selection);
    return column(results, arm, metric, selection).map((x, i) => x - other[i]!);
  };
  return {
    kind: "mean of paired differences (t)",
    arms: [arm, minus],
    of: (results) => meanInterval(values(results)),
    p: (results, side, threshold) => tTest(values(results), side, threshold),
  };
}

/** Median over seeds, with a bootstrap interval: for numbers of steps until something is reached, where a seed that never arrives is its cap. */
export function median(arm: string, metric: string, selection: Selection = {}): Estimate {
  const values = (results: Results) => column(results, arm, metric, selection);
  return {
    kind: "median (bootstrap)",
    arms: [arm],
    of: (results, rng) => bootstrapInterval(values(results), middle, { rng }),
    // The sign test.
    p: (results, side, threshold) => {
      const all = values(results);
      return signTest(all.filter((x) => (side === "above" ? x > threshold : x < threshold)).length, all.length);
    },
  };
}

/** The largest of all seeds, exactly: for identities, and for what must hold on every seed. */
export const largest = (arm: string, metric: string, selection: Selection = {}): Estimate =>
  extreme("largest of all seeds", Math.max, arm, metric, selection);

/** The smallest of all seeds, exactly. */
export const smallest = (arm: string, metric: string, selection: Selection = {}): Estimate =>
  extreme("smallest of all seeds", Math.min, arm, metric, selection);

function extreme(kind: string, pick: (...values: number[]) => number, arm: string, metric: string, selection: Selection): Estimate {
  return {
    kind,
    arms: [arm],
    of(results): Interval {
      const values = column(results, arm, metric, selection);
      const estimate = pick(...values);
      return { estimate, low: estimate, high: estimate, n: values.length, level: 1 };
    },
  };
}

/** What an arm measured with the selected seeds. */
function selected({ seeds, arms }: Results, arm: string, { seeds: counts = () => true }: Selection) {
  const rows = arms[arm];
  if (rows === undefined)
    throw new GuerdonError("usage", `an estimate reads the arm "${arm}", and there are only ${Object.keys(arms).join(", ")}`);
  const chosen = rows.map((measured, i) => ({ seed: seeds[i]!, measured })).filter(({ seed }) => counts(seed));
  if (chosen.length === 0) throw new GuerdonError("usage", `an estimate of the arm "${arm}" selects none of the seeds ${seeds.join(", ")}`);
  return chosen;
}

function column(results: Results, arm: string, metric: string, selection: Selection): number[] {
  return selected(results, arm, selection).map(({ seed, measured }) => {
    const value = measured[metric];
    if (value === undefined)
      throw new GuerdonError(
        "usage",
        `an estimate reads "${metric}" of the arm "${arm}", which measures ${Object.keys(measured).join(", ")} (seed ${seed})`,
      );
    return value;
  });
}

/** One-sided p-value of Student's test: how likely values so far on that side of the threshold are where their mean is the threshold. */
function tTest(values: readonly number[], side: "above" | "below", threshold: number): number {
  const distance = (average(values) - threshold) * (side === "above" ? 1 : -1);
  const error = deviation(values, { ddof: 1 }) / Math.sqrt(values.length);
  return tailBeyond(distance, error, (t) => tCdf(t, values.length - 1));
}

/** One-sided p-value of the sign test: at least so many of n on the right side, where each side is as likely. */
const signTest = (right: number, n: number): number => (right === 0 ? 1 : incompleteBeta(0.5, right, n - right + 1));

/** How likely a statistic at least this far on the right side is. Without any error it is beyond doubt, unless there is no distance. */
function tailBeyond(distance: number, error: number, cdf: (x: number) => number): number {
  if (error > 0) return cdf(-distance / error);
  return distance === 0 ? 0.5 : distance > 0 ? 0 : 1;
}
