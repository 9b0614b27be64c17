import type { Rollout } from "../rollouts/rollout.ts";
import type { TextSequence } from "../policies/policy.ts";

/** One number a rollout. */
export type Column = Float64Array;
/** One whole number a rollout: rows with equal keys belong together. */
export type Key = Int32Array;

/**
 * Scored rollouts as a flat table. Every credit function is columns in, column out. Rows whose score is null never get here
 * (`scored()` in rewards/ removes them), so every number is finite.
 */
export interface Scored<X = TextSequence> {
  readonly rollouts: readonly Rollout<X>[];
  readonly reward: Column;
  /** Named parts of the reward; NaN never, a part that is missing in a row is absent from the table. */
  readonly parts: Readonly<Record<string, Column>>;
  /** One number a Span of rollout.steps. */
  readonly stepReward?: readonly Float64Array[];
  /** At least `group` and `task`. */
  readonly keys: { readonly group: Key; readonly task: Key; readonly [name: string]: Key };
  /** Per action, one array a rollout: "reference", "old", "value" as the method asked for. */
  readonly token: Readonly<Record<string, readonly Float32Array[]>>;
}
