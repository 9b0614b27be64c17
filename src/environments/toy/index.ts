export type { Finite, Outcome } from "./finite.ts";
export { drawOutcome, finiteTasks, outcomesOf } from "./finite.ts";
export { bandit, chain, grid, lock, prefixTree, stepActions, stepTask } from "./processes.ts";
export { modularChain } from "./modular-chain.ts";
export type { SoftOptimum } from "./optimum.ts";
export { divergence, geometricMean, given, optimalValue, regret, regularisedValue, softOptimum, tilt, tiltTo } from "./optimum.ts";
export type { Preferences, RegularisedGame } from "./games.ts";
export {
  bradleyTerryPreferences,
  contest,
  exploitability,
  intransitiveGame,
  preferences,
  prefers,
  rareAnswer,
  regularisedEquilibrium,
  regularisedGap,
  winRates,
} from "./games.ts";
export { workActions, workCounter } from "./work-counter.ts";
export type { WorkCounter, WorkCounterOptions } from "./work-counter.ts";
export type { Exercise, Worth } from "./exercises.ts";
export { exercise, hiddenRewards, hiddenSymbols, logitPool, prefixLock } from "./exercises.ts";
export { armBandit } from "./arm-bandit.ts";
export { linearBandit } from "./linear-bandit.ts";
export { hackableAnswers } from "./hackable-answers.ts";
