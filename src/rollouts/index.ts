export type { Rollout, Sampling, Span } from "./rollout.ts";
export type { RollOutOptions, SamplingOptions } from "./roll-out.ts";
export { rollOut } from "./roll-out.ts";
export { toRow } from "./to-row.ts";
