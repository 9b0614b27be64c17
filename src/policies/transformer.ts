import { concat, exp, logSumExp, oneHot } from "../arrays/index.ts";
import type { Arr, Arrays } from "../arrays/index.ts";
import type { Task } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import type { HostTensor } from "../statistics/snapshot.ts";
import { normal, stream } from "../statistics/stream.ts";
import type { Policy, TextSequence } from "./policy.ts";
import { scoreOutputs } from "./scores.ts";
import { shownPrompt } from "./tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { parameterShapes, resolve } from "./transformer-config.ts";
import type { LoraConfig, Resolved, TransformerConfig } from "./transformer-config.ts";
import { collate } from "./transformer-inputs.ts";
import { head, hidden, parameter, unembed } from "./transformer-layers.ts";
import type { Model } from "./transformer-layers.ts";
import { sampler } from "./transformer-sample.ts";

/** The most logits of a chunk: some arrays of their size live at once. Only vocabularies of above 5,000 have fewer cells for it. */
const LOGITS = 2 ** 25;

/** A decoder-only language model. */
export interface TransformerPolicy extends Policy<TextSequence> {
  readonly architecture: TransformerConfig;
  readonly lora?: LoraConfig;
  readonly tokenizer: Tokenizer;
  /** With LoRA: the same model without its adapters, on the same parameters. It has no heads: they are trained with the adapters. */
  readonly base?: TransformerPolicy;
  /** Programs compiled so far for sampling; stays small however many rows are drawn. */
  readonly sampleShapes: () => number;
  features(parameters: Arrays, inputs: Arrays): Arr;
}

/**
 * A decoder as a policy. Outputs: "logProbs" and "entropy" (nats, of the full distribution at temperature 1) of each action; "value" (with
 * `valueHead`), of the state before the action; "score" (with `scoreHead`), of the state after it.
 *
 * @throws GuerdonError "usage" for a shape that cannot be built or a tokenizer with more ids than the vocabulary
 */
export function transformer(config: TransformerConfig, options: { tokenizer: Tokenizer; lora?: LoraConfig }): TransformerPolicy {
  const { tokenizer, lora } = options;
  const resolved = resolve(config);
  const shapes = parameterShapes(config, lora);
  if (tokenizer.vocabulary > config.vocabulary)
    throw new GuerdonError(
      "usage",
      `transformer: the tokenizer has ${tokenizer.vocabulary} ids, the model's vocabulary only ${config.vocabulary}.`,
    );
  return build(config, resolved, shapes, tokenizer, lora, lora);
}

/** `adapter` is the adapter that the outputs go through, `lora` the one that the parameters have. */
function build(
  config: TransformerConfig,
  resolved: Resolved,
  shapes: Readonly<Record<string, readonly number[]>>,
  tokenizer: Tokenizer,
  lora: LoraConfig | undefined,
  adapter: LoraConfig | undefined,
): TransformerPolicy {
  const modelOf = (parameters: Arrays): Model => ({ config: resolved, parameters, ...(adapter ? { lora: adapter } : {}) });
  const begin = (task: Task): TextSequence => shownPrompt(tokenizer, task);
  const sampling = sampler({ config: resolved, modelOf, tokenizer, begin });
  const base = adapter && build(config, resolved, shapes, tokenizer, lora, undefined);
  const heads = [...(config.valueHead ? ["value"] : []), ...scoreOutputs(config.scoreHead ?? false)];
  return {
    family: "transformer",
    architecture: config,
    ...(lora ? { lora } : {}),
    tokenizer,
    ...(base ? { base } : {}),
    outputs: ["logProbs", "entropy", ...(adapter === lora ? heads : [])],
    init: (seed, wanted = () => true) =>
      initialise(config, Object.fromEntries(Object.entries(shapes).filter(([name]) => wanted(name))), seed),
    trainable: (name) => !lora || name.includes(".lora_") || name === "value_head.weight" || name === "score.weight",
    actions: (row) => row.actions.length,
    cells: (row) => row.prompt.length + row.actions.length,
    start: (row) => row.prompt.length - 1,
    collate: (rows, N, T) => collate(resolved, rows, N, T),
    apply: (parameters, inputs, names) => outputs(modelOf(parameters), inputs, names),
    comfortableCells: Math.min(6144, Math.ceil(LOGITS / config.vocabulary)),
    features: (parameters, inputs) => lastHidden(modelOf(parameters), inputs),
    begin,
    sample: (parameters, requests, o) => sampling.sample(parameters, requests, o),
    sampleShapes: () => sampling.shapes(),
    config: JSON.parse(JSON.stringify({ family: "transformer", ...config, ...(lora ? { lora } : {}) })),
    dispose() {
      sampling.dispose();
      base?.dispose();
    },
  };
}

/**
 * Fresh parameters. Matrices N(0, 1 / inputs), those that write to the residual stream divided by sqrt(2 x layers), the output matrix
 * halved, embeddings N(0, 0.5^2) (an output matrix when tied), norms 1 and biases 0; value and score heads start at 0. Adapters as in
 * the paper: B is 0, so that the model starts unchanged; A is uniform with peft's bound, 1 / sqrt(inputs).
 */
function initialise(
  config: TransformerConfig,
  shapes: Readonly<Record<string, readonly number[]>>,
  seed: number,
): Record<string, HostTensor> {
  const deviation = (name: string, inputs: number): number => {
    if (name === "lm_head.weight" || (config.tied && name === "model.embed_tokens.weight")) return 0.5 / Math.sqrt(inputs);
    if (name.startsWith("model.embed_")) return 0.5;
    if (name === "value_head.weight" || name === "score.weight") return 0;
    const residual = name.endsWith("o_proj.weight") || name.endsWith("down_proj.weight");
    return 1 / Math.sqrt(inputs * (residual ? 2 * config.layers : 1));
  };
  const fresh = (name: string, shape: readonly number[]): HostTensor => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const rng = stream(seed, "parameter", name);
    if (name.endsWith("lora_A.weight")) {
      const bound = 1 / Math.sqrt(shape[1]!);
      for (let i = 0; i < data.length; i++) data[i] = (2 * rng() - 1) * bound;
    } else if (shape.length === 1) data.fill(name.endsWith(".bias") ? 0 : 1);
    else if (!name.endsWith("lora_B.weight")) {
      const sigma = deviation(name, shape[1]!);
      for (let i = 0; i < data.length; i++) data[i] = sigma * normal(rng);
    }
    return { shape, data };
  };
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, fresh(name, shape)]));
}

/** The named outputs, [N, T] each, with action j of a row at position prompt.length - 1 + j. */
function outputs(model: Model, inputs: Arrays, names: readonly string[]): Record<string, Arr> {
  const [N, T] = parameter(inputs, "tokens").shape as [number, number];
  const { vocabulary } = model.config;
  const x = hidden(model, inputs);
  const found: Record<string, Arr> = {};
  if (names.includes("logProbs") || names.includes("entropy")) {
    const logits = unembed(model, x);
    const total = logSumExp(logits);
    if (names.includes("logProbs")) {
      const chosen = logits.mul(oneHot(parameter(inputs, "targets").reshape([N * T]), vocabulary)).sum(-1);
      found["logProbs"] = chosen.sub(total).reshape([N, T]);
    }
    if (names.includes("entropy")) {
      const probabilities = exp(logits.sub(total.reshape([N * T, 1])));
      found["entropy"] = total.sub(probabilities.mul(logits).sum(-1)).reshape([N, T]);
    }
  }
  if (names.includes("value")) found["value"] = head(model, "value_head.weight", x).reshape([N, T]);
  const scores = scoreOutputs(model.config.scoreHead ?? false);
  if (names.some((name) => scores.includes(name))) {
    const all = head(model, "score.weight", x);
    scores.forEach((name, k) => {
      // The state after action j stands one position later than the state before it.
      const score = all.slice(1, k, k + 1).reshape([N, T]);
      found[name] = concat([score.slice(1, 1, T), score.slice(1, T - 1, T)], 1);
    });
  }
  for (const name of names)
    if (!found[name])
      throw new GuerdonError("unsupported", `This transformer has no output "${name}"; it has ${Object.keys(found).join(", ")}.`);
  return found;
}

/** The final hidden state at each row's last position, [N, width]. */
function lastHidden(model: Model, inputs: Arrays): Arr {
  const [N, T] = parameter(inputs, "tokens").shape as [number, number];
  const x = hidden(model, inputs).reshape([N, T, model.config.width]);
  return x.mul(oneHot(parameter(inputs, "last"), T).reshape([N, T, 1])).sum(1);
}
