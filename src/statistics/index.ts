export { below, normal, shuffled, stream } from "./stream.ts";
export type { Rng } from "./stream.ts";
export type { HostTensor, Json, Snapshot, Stateful } from "./snapshot.ts";
export { deviation, mean, median, quantile } from "./summary.ts";
export { bootstrapInterval, meanInterval, ratioInterval, shareInterval } from "./intervals.ts";
export type { Interval } from "./intervals.ts";
export { incompleteBeta, logGamma, normalCdf, normalQuantile, tCdf, tQuantile } from "./special.ts";
export { majorityAtK, passAtK } from "./pass-at-k.ts";
