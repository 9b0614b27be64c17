export type { Finite, Outcome } from "./finite.ts";
export { drawOutcome, finiteTasks, outcomesOf } from "./finite.ts";
export { bandit, chain, grid, lock, stepActions, stepTask } from "./processes.ts";
