export type { Message, Row } from "./data/row.ts";
export type { ErrorCode } from "./error.ts";
export { GuerdonError } from "./error.ts";
export type { Coverage, Grade, Graded, Reward, Score, ScoreError, ScoreErrorKind, ScoreOptions } from "./rewards/index.ts";
export { coverage, gate, reward, score, sum } from "./rewards/index.ts";
