export type { Split, Task, TextEnvironment, TextTask } from "./environment.ts";
export type { CountdownOptions, CountdownReference, Operation } from "./text/countdown.ts";
export { chanceOfCountdown, countdown, countdownUniverse } from "./text/countdown.ts";
export type { SortingOptions } from "./text/sorting.ts";
export { sorting } from "./text/sorting.ts";
export type { PromptsEnvironment, PromptsOptions } from "./text/prompts.ts";
export { prompts } from "./text/prompts.ts";
export * from "./toy/index.ts";
