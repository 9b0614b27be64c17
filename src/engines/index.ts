export type { Engine, Outputs, Reader, Sampled, SampleOptions, SampleRequest, UpdateOptions } from "./engine.ts";
export { hostEngine } from "./host.ts";
export type { HostEngine, HostEngineOptions } from "./host.ts";
export { localEngine } from "./local.ts";
export type { LocalEngine, LocalOptions } from "./local.ts";
export { localReader } from "./readers.ts";
export type { LocalPlace, LocalReader } from "./readers.ts";
export { softmaxEngine } from "./softmax.ts";
export type { Acting, Exact, SoftmaxEngine, StepReward } from "./softmax.ts";
