import type { Row } from "../data/row.ts";
import type { Score, Scope } from "../rewards/index.ts";

/** What a server says of a reward that it offers. */
export interface OfferedReward {
  /** The reward's own name. */
  readonly name: string;
  /** The name under which its file exports it; its own name where it is a default export, or there is no file. */
  readonly export: string;
  /** Changes whenever its grades may have changed. */
  readonly version: string;
  readonly scope: Scope;
  readonly parts: readonly string[];
}

/** The rewards of a server, and the place of the one that is meant when a request names none; null where it must. */
export interface Offer {
  readonly rewards: readonly OfferedReward[];
  readonly main: number | null;
}

/** How a reward is applied. */
export interface ScoringLimits {
  /** Calls of a reward's functions under way at the same time, in each process. */
  readonly concurrency: number;
  /** Deadline of one call. */
  readonly timeoutMs: number;
}

/** Rows that are scored by one reward; each has a number that its score comes back with. */
export interface Lot {
  readonly reward: number;
  readonly ids: readonly number[];
  readonly rows: readonly Row[];
}

/** To a process that scores: first what to load, then lots. */
export type ToScorer = { readonly open: string; readonly limits: ScoringLimits } | Lot;

/** From it: what it offers, or why it cannot; scores as they come; and while it is at work a sign of life ten times a second. */
export type FromScorer =
  | { readonly offer: Offer }
  | { readonly failed: string }
  | { readonly ids: readonly number[]; readonly scores: readonly Score[] }
  | { readonly alive: true };

/** Milliseconds between two signs of life. */
export const beatMs = 100;
