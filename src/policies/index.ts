export type { ControlSequence, Parameters, Policy, StateSequence, TextSequence } from "./policy.ts";
export { symbolTokenizer, type Tokenizer } from "./tokenizer.ts";
export { transformer, type TransformerPolicy } from "./transformer.ts";
export { parameterShapes, type LoraConfig, type Projection, type TransformerConfig } from "./transformer-config.ts";
export { readTokenizer } from "./tokenizer-files.ts";
export { readModel, writeModel, type ReadModelOptions, type WriteModelOptions } from "./model-files.ts";
export { readAdapter, writeAdapter } from "./adapter-files.ts";
