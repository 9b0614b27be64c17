export { papers } from "./catalogue.ts";
export { canon } from "./canon.ts";
export type { CanonOptions } from "./canon.ts";
export { clipDelta } from "./clip-delta.ts";
export { difference, largest, mean, median, ratio, share, smallest } from "./estimates.ts";
export type { Selection } from "./estimates.ts";
export type { Arm, Check, Claim, Estimate, Family, Measured, Results } from "./claim.ts";
export type { Paper } from "./paper.ts";
