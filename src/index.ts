// From the files and not from rewards/index.ts, which would load every verifier and judge with them.
export type { Message, Row } from "./data/row.ts";
export type { ErrorCode } from "./error.ts";
export { GuerdonError } from "./error.ts";
export { gate, sum, type SumOptions } from "./rewards/compose.ts";
export { product, type ProductOptions } from "./rewards/compose-product.ts";
export { route, type RouteNeeds } from "./rewards/compose-route.ts";
export { clip, type ClipOptions } from "./rewards/compose-transform.ts";
export { coverage, type Coverage } from "./rewards/coverage.ts";
export type { Grade, Score, ScoreError, ScoreErrorKind } from "./rewards/grade.ts";
export { reward, type Graded, type Reward } from "./rewards/reward.ts";
export { score, type ScoreOptions } from "./rewards/score.ts";
