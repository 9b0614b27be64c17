import type { Interval } from "../statistics/index.ts";
import type { Rng } from "../statistics/stream.ts";

/*
 * Claims are written down before anything is run: each paper has a card with its method, claim, arms, thresholds and seeds. What differs from
 * the card says so.
 */

/** What kind of method a paper brings. */
export type Family =
  | "reward models"
  | "reward design"
  | "policy optimisation"
  | "preference optimisation"
  | "diffusion and flow"
  | "search, exploration and control";

/**
 * What one arm measured with one seed, by name. Finite numbers only: a seed that never arrives reports its cap, because Infinity would
 * spoil every mean and become null in a file.
 */
export type Measured = Readonly<Record<string, number>>;

/** One arm of an experiment: everything random in it is derived from the seed, so that arms with the same seed are a pair. */
export type Arm = (seed: number) => Measured | Promise<Measured>;

/** What all arms measured: entry i of every arm is that of seed i. */
export interface Results {
  readonly seeds: readonly number[];
  readonly arms: Readonly<Record<string, readonly Measured[]>>;
}

/** A number that is computed from the results, with the interval that its kind calls for. See estimates.ts. */
export interface Estimate {
  /** What it is, for people: "ratio of paired means", "share of seeds (Wilson)". */
  readonly kind: string;
  /** The arms that it reads. */
  readonly arms: readonly string[];
  readonly of: (results: Results, rng: Rng) => Interval;
  /**
   * The one-sided p-value against the hypothesis that the truth is at the threshold or on its wrong side, by the test that belongs to the
   * interval: below 0.025 where a 95 % interval clears the threshold. Absent where nothing is inferred, as for extremes.
   */
  readonly p?: (results: Results, side: "above" | "below", threshold: number) => number;
}

/** A condition that must hold: the whole interval of the estimate, not its middle, lies above or below the threshold (or between both). */
export interface Check {
  /** What is measured, as a sentence without the threshold. */
  readonly say: string;
  readonly of: Estimate;
  readonly above?: number;
  readonly below?: number;
  /** Where the threshold is not the card's: the card's, and why it was changed. The seeds that count were not used for the change. */
  readonly changed?: { readonly card: string; readonly why: string };
}

/**
 * A claim of a paper, in a form that can fail.
 *
 * - "identity": holds exactly; the arms compute both sides.
 * - "mechanism": the effect shows in a small system against a baseline with the same budget.
 * - "report": needs the original scale; nothing is claimed, and the arms only test parts.
 */
export interface Claim {
  readonly label: "identity" | "mechanism" | "report";
  readonly statement: string;
  /** What would show it to be wrong. */
  readonly falsifiedBy: string;
  readonly arms: Readonly<Record<string, Arm>>;
  /** The arm with the paper's method. */
  readonly method: string;
  /** The arm that it is compared with. Null for an identity. */
  readonly baseline: string | null;
  /** How the baseline was given the same budget and tuning. */
  readonly budget: string;
  /** Arms that must fail, each read by a check: a wrong sign, a random metric, a missing part. */
  readonly mustFail: readonly string[];
  readonly checks: readonly Check[];
  /** The least number of seeds. */
  readonly seeds: number;
  /** Time that all arms and seeds may take on two cores. */
  readonly seconds: number;
  /**
   * What the card claims too and what does not show here, with the card's thresholds and the reason: reported as not holding, and no part
   * of the statement.
   */
  readonly refuted?: readonly (Omit<Check, "changed"> & { readonly why: string })[];
  /** What of the paper does not show at this size, and is therefore not claimed. */
  readonly notMiniaturised: string;
}
