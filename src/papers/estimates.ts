import { GuerdonError } from "../error.ts";
import {
  mean as average,
  bootstrapInterval,
  meanInterval,
  meanTest,
  median as middle,
  pairedTest,
  ratioInterval,
  shareInterval,
  shareTest,
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
    p: (results, side, threshold) => meanTest(values(results), threshold, side).p,
  };
}

/**
 * Mean over the seeds that were run, as it is: for a card that asks for a mean of at least so much, and of the interval only that it excludes
 * 0. Nothing is inferred for other seeds, so it stands beside a check of `mean` or `difference`.
 */
export const sampleMean = (arm: string, metric: string, selection: Selection = {}): Estimate => ({
  kind: "mean of these seeds",
  arms: [arm],
  of: (results) => exactly(column(results, arm, metric, selection), average),
});

/** Share of the seeds for which a condition holds, with Wilson's interval, which is right at 0 and 1 and for few seeds; tested exactly. */
export function share(arm: string, condition: (measured: Measured) => boolean, selection: Selection = {}): Estimate {
  const count = (results: Results) => {
    const rows = selected(results, arm, selection);
    return [rows.filter(({ measured }) => condition(measured)).length, rows.length] as const;
  };
  return {
    kind: "share of seeds (Wilson)",
    arms: [arm],
    of: (results) => shareInterval(...count(results)),
    p: (results, side, threshold) => shareTest(...count(results), threshold, side),
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
      return pairedTest(
        above,
        below.map((y) => threshold * y),
        side,
      ).p;
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
    p: (results, side, threshold) => meanTest(values(results), threshold, side).p,
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
      return shareTest(all.filter((x) => (side === "above" ? x > threshold : x < threshold)).length, all.length, 0.5, "above");
    },
  };
}

/** A selection, and an arm that is taken off first, seed by seed: for what must hold against that arm on every seed. */
export interface Extreme extends Selection {
  readonly minus?: string;
}

/** The largest of all seeds, exactly: for identities, and for what must hold on every seed. */
export const largest = (arm: string, metric: string, selection: Extreme = {}): Estimate =>
  extreme("largest", Math.max, arm, metric, selection);

/** The smallest of all seeds, exactly. */
export const smallest = (arm: string, metric: string, selection: Extreme = {}): Estimate =>
  extreme("smallest", Math.min, arm, metric, selection);

function extreme(which: string, pick: (...values: number[]) => number, arm: string, metric: string, { minus, seeds }: Extreme): Estimate {
  const selection = seeds === undefined ? {} : { seeds };
  return {
    kind: `${which} ${minus === undefined ? "of all seeds" : "paired difference of all seeds"}`,
    arms: minus === undefined ? [arm] : [arm, minus],
    of(results): Interval {
      const off = minus === undefined ? null : column(results, minus, metric, selection);
      return exactly(
        column(results, arm, metric, selection).map((x, i) => x - (off?.[i] ?? 0)),
        (values) => pick(...values),
      );
    },
  };
}

/** A number of these values, which says nothing about others. */
function exactly(values: readonly number[], statistic: (values: readonly number[]) => number): Interval {
  const estimate = statistic(values);
  return { estimate, low: estimate, high: estimate, n: values.length, level: 1 };
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
