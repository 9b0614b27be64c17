import type { Reward } from "../rewards/index.ts";

const from = (make: (rewards: typeof import("../rewards/index.ts")) => Reward<never>) => async (): Promise<Reward<never>> =>
  make(await import("../rewards/index.ts"));

/** The rewards that `--reward` knows by name: those that are useful without further options. */
export const builtInRewards: Readonly<Record<string, () => Promise<Reward<never>>>> = {
  "math-answer": from((r) => r.mathAnswer()),
  "exact-match": from((r) => r.exactMatch()),
  "normalised-match": from((r) => r.normalisedMatch()),
  "bag-match": from((r) => r.bagMatch()),
  "edit-match": from((r) => r.editMatch()),
  rouge: from((r) => r.rouge()),
  bleu: from((r) => r.bleuMatch()),
  chrf: from((r) => r.chrfMatch()),
  "javascript-tests": from((r) => r.codeTests({ language: "javascript", name: "javascript-tests" })),
  "typescript-tests": from((r) => r.codeTests({ language: "typescript", name: "typescript-tests" })),
  "python-tests": from((r) => r.codeTests({ language: "python", name: "python-tests" })),
  "sqlite-result": from((r) => r.sqlResult({ dialect: "sqlite", name: "sqlite-result" })),
  "duckdb-result": from((r) => r.sqlResult({ dialect: "duckdb", name: "duckdb-result" })),
  repetition: from((r) => r.repetitionPenalty()),
};
