export type { Rollout, Sampling, Span } from "./rollout.ts";
export type { RollOutOptions, SamplingOptions } from "./roll-out.ts";
export { rollOut } from "./roll-out.ts";
export { toRow } from "./to-row.ts";
export type { Answers } from "./groups.ts";
export { answersByGroup, joined } from "./groups.ts";
export type { Hinting, Pose, Retried, Retry } from "./retry.ts";
export { withRetry } from "./retry.ts";
