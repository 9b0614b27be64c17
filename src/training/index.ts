export { train } from "./train.ts";
export type { ReferenceChoice, TextEngine, TrainOptions } from "./train.ts";
export type { DrawnRollout, RolloutSummary, TrainReport } from "./report.ts";
export { metricsOf } from "./report.ts";
export { describeMethod, needsReference, outputsNeeded, rolloutMethod } from "./method.ts";
export { drGrpo, grpo, onlineDpo, ppo, raft, reinforcePlusPlus, rloo, supervised } from "./methods.ts";
export type {
  Anchor,
  CommonOptions,
  CreditContext,
  DemonstrationMethod,
  Learning,
  Method,
  MethodCurriculum,
  RolloutMethod,
  RolloutOptions,
} from "./method.ts";
export type { GrpoOptions } from "./methods.ts";
export { evaluate, evaluationMetrics } from "./evaluate.ts";
export type { EvaluateOptions, Evaluation } from "./evaluate.ts";
export { health, healthWatch } from "./health.ts";
export type { Finding, FindingKind, HealthWatch, Vitals } from "./health.ts";
export { loop } from "./loop.ts";
export type { LoopConfig, Phase, StepReport, Work } from "./loop.ts";
export { cosineRestarts, finished, progress, rampAt, schedule, valueAt } from "./schedule.ts";
export type { At, Budget, Ramp, Rate, Schedule } from "./schedule.ts";
export { baseReference, frozenReference, givenReference } from "./references.ts";
export type { FrozenReference } from "./references.ts";
export { preferenceRounds } from "./preference-rounds.ts";
export type { PreferenceRounds } from "./preference-rounds.ts";
export { crossValidate, fitReward } from "./fit-reward.ts";
export type { FitOptions, FitProgress, FittedMember, RewardFit } from "./fit-reward.ts";
export { errorLocalisation, fitMetrics, readRewards } from "./reward-metrics.ts";
export type { FitMetrics } from "./reward-metrics.ts";
export { logRatioReward, outcomeReward, pairReward, preferenceReward, processReward } from "./reward-forms.ts";
export type { RewardForm } from "./reward-forms.ts";
export { featureOutcomes, featurePairs, outcomeExamples, stepExamples, textOutcomes, textPairs, textSteps } from "./reward-examples.ts";
export type { OutcomeNotes, PairNotes } from "./reward-examples.ts";
export { saveReward } from "./save-reward.ts";
export type { SavableEngine, SaveRewardOptions } from "./save-reward.ts";
export { monteCarloValues, statePrefix, textPrefix } from "./monte-carlo-values.ts";
export type { MonteCarloOptions } from "./monte-carlo-values.ts";
export { step } from "./step.ts";
export type { StepResult, Term } from "./step.ts";
export { practise, practiseUntil } from "./practise.ts";
export type { PracticeEnvironment, Practised, PractiseOptions } from "./practise.ts";
export { countdownJob, defineJob, jobs, sortingJob, withMethods } from "./recipes.ts";
export type { Contender, Job, JobDefinition, JobOptions, Pretrained } from "./recipes.ts";
