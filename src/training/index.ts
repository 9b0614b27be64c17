export { train } from "./train.ts";
export type { ReferenceChoice, TextEngine, TrainOptions } from "./train.ts";
export type { DrawnRollout, RolloutSummary, TrainReport } from "./report.ts";
export { metricsOf } from "./report.ts";
export { describeMethod, drGrpo, grpo, needsReference, onlineDpo, outputsNeeded, ppo, raft, rloo, supervised } from "./methods.ts";
export type {
  CommonOptions,
  CreditContext,
  DemonstrationMethod,
  GrpoOptions,
  Learning,
  Method,
  RolloutMethod,
  RolloutOptions,
} from "./methods.ts";
export { evaluate, evaluationMetrics } from "./evaluate.ts";
export type { EvaluateOptions, Evaluation } from "./evaluate.ts";
export { health, healthWatch } from "./health.ts";
export type { Finding, FindingKind, HealthWatch, Vitals } from "./health.ts";
export { loop } from "./loop.ts";
export type { LoopConfig, Phase, StepReport, Work } from "./loop.ts";
export { finished, progress, schedule, valueAt } from "./schedule.ts";
export type { At, Budget, Rate, Schedule } from "./schedule.ts";
export { baseReference, frozenReference, givenReference } from "./references.ts";
export type { FrozenReference } from "./references.ts";
export { step } from "./step.ts";
export type { StepResult, Term } from "./step.ts";
export { countdownJob, defineJob, jobs, sortingJob } from "./recipes.ts";
export type { Contender, Job, JobDefinition, JobOptions, Pretrained } from "./recipes.ts";
