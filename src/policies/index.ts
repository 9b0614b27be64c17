export type { ControlSequence, Parameters, Policy, StateSequence, TextSequence } from "./policy.ts";
export { symbolTokenizer, type Tokenizer } from "./tokenizer.ts";
export { transformer, type TransformerPolicy } from "./transformer.ts";
export { parameterShapes, type LoraConfig, type Projection, type TransformerConfig } from "./transformer-config.ts";
export { readTokenizer } from "./tokenizer-files.ts";
export { anyTokenizer, hubTokenizer, type HubOptions } from "./tokenizer-hub.ts";
export { readModel, writeModel, type ReadModelOptions, type WriteModelOptions } from "./model-files.ts";
export { readAdapter, writeAdapter } from "./adapter-files.ts";
export type { HostParameters, HostPolicy } from "./host-policy.ts";
export { mlp, type Acted, type MlpConfig, type MlpPolicy } from "./mlp.ts";
export { scorer, type FeatureSequence, type ScorerConfig } from "./scorer.ts";
export { scoreOutputs } from "./scores.ts";
export { softmaxPolicy, type SoftmaxOptions, type SoftmaxPolicy } from "./softmax.ts";
export { readChatTemplate, renderChat, type ChatTemplate, type ChatTemplateOptions } from "./chat-template.ts";
export {
  failureOf,
  openAi,
  type ChatOptions,
  type CompleteOptions,
  type OpenAiOptions,
  type RemoteModel,
  type Sampled,
  type SampleOptions,
} from "./remote/client.ts";
export type { Capabilities } from "./remote/capabilities.ts";
export { probe, type Probe } from "./remote/probe.ts";
export { splitThinking, type Sample, type SampledToken, type TokenLogProb } from "./remote/reply.ts";
export { Secret, type Key } from "./remote/secret.ts";
export type { Failure } from "./remote/transport.ts";
export { usageText, type Price, type Usage } from "./remote/usage.ts";
