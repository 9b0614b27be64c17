import { z } from "zod";
import { coefficients, counts, list, numbers, numbersOrNulls, texts } from "./lists.ts";

/**
 * The wire of a Tinker-compatible training service: every request and answer of `/api/v1/<call>`, as JSON. The client checks answers with
 * these schemas and the server requests; unknown keys are let through unread, because servers and clients of many versions talk to each
 * other. Shapes follow the Python SDK (0.38) and SkyRL's server (0.3).
 *
 * A compute call answers at once with a `pending`; its result is fetched by `retrieve_future`.
 */

const count = z.int().min(0);
const name = z.string().min(1);

/** One piece of a prompt. Image chunks exist in the protocol and are not among these: language models on text alone. */
const chunk = z.object({ type: z.literal("encoded_text").default("encoded_text"), tokens: counts });
const modelInput = z.object({ chunks: list(chunk) });

/** A tensor, flattened row by row. `shape` defaults to the length of `data`. */
const tensorData = z.object({
  data: numbers,
  dtype: z.enum(["int64", "float32"]).optional(),
  shape: counts.nullish(),
});

/** Numbers that a server computed: what is not finite arrives as null, since JSON has no NaN. */
const computed = z.object({ ...tensorData.shape, data: numbersOrNulls });

const tokens = z.object({ ...tensorData.shape, data: counts });

/**
 * One row to train on. `target_tokens[i]` is what position i must predict, so it is already shifted by the client; every tensor has the
 * length of the input. `weights` (default all 1) are 0 on the prompt.
 */
const datum = z.object({
  model_input: modelInput,
  loss_fn_inputs: z.object({
    target_tokens: tokens,
    weights: tensorData.optional(),
    advantages: tensorData.optional(),
    logprobs: tensorData.optional(),
  }),
});

/**
 * Sums over tokens. cross_entropy: -sum w log p. importance_sampling: -sum w exp(log p - log p_old) A. ppo: -sum w min(r A, clip(r) A).
 * cispo: -sum w stopgradient(clip(r)) A log p. The thresholds `clip_low_threshold` and `clip_high_threshold` of the last two are on the
 * ratio itself.
 */
export const losses = ["cross_entropy", "importance_sampling", "ppo", "cispo"] as const;

const pass = z.object({ data: list(datum), loss_fn: z.enum(losses), loss_fn_config: coefficients.nullish() });

const loraConfig = z.object({
  rank: z.int().min(1),
  seed: z.int().nullish(),
  train_attn: z.boolean().optional(),
  train_mlp: z.boolean().optional(),
  train_unembed: z.boolean().optional(),
});

const adamParams = z.object({
  learning_rate: z.number().min(0),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.95),
  eps: z.number().gt(0).default(1e-12),
  weight_decay: z.number().min(0).default(0),
  /** Largest global norm of the gradient; 0: no clipping. */
  grad_clip_norm: z.number().min(0).default(0),
});

const samplingParams = z.object({
  max_tokens: count.nullish(),
  seed: z.int().nullish(),
  /** Absent: the tokenizer's end tokens; an empty list: none at all. */
  stop: z.union([z.string(), counts, texts]).nullish(),
  temperature: z.number().min(0).default(1),
  /** -1 keeps all. */
  top_k: z.int().min(-1).default(-1),
  top_p: z.number().gt(0).max(1).default(1),
});

/** A checkpoint's name in a request; its address in an answer is `tinker://<model_id>/weights/<name>` or `.../sampler_weights/<name>`. */
const checkpointName = z.string().regex(/^[a-zA-Z0-9_-]{1,255}$/, "must be letters, digits, _ and -");
/** Numbers a model's requests from 1, strictly increasing; the server runs them in this order. */
const seqId = z.int().min(0).nullish();

/** Bodies of requests by call. */
export const requests = {
  create_session: z.object({
    tags: texts,
    user_metadata: z.record(z.string(), z.unknown()).nullish(),
    sdk_version: z.string(),
    type: z.literal("create_session").optional(),
  }),
  session_heartbeat: z.object({ session_id: name }),
  create_model: z.object({
    session_id: name,
    model_seq_id: count,
    base_model: name,
    lora_config: loraConfig.nullish(),
    user_metadata: z.record(z.string(), z.unknown()).nullish(),
  }),
  get_info: z.object({ model_id: name }),
  weights_info: z.object({ tinker_path: name }),
  forward: z.object({ model_id: name, forward_input: pass, seq_id: seqId }),
  forward_backward: z.object({ model_id: name, forward_backward_input: pass, seq_id: seqId }),
  optim_step: z.object({ model_id: name, adam_params: adamParams, seq_id: seqId }),
  save_weights: z.object({ model_id: name, path: checkpointName.nullish(), overwrite: z.boolean().optional(), seq_id: seqId }),
  /** Only as a model's first request. `optimizer: true` also restores the optimizer's state. */
  load_weights: z.object({ model_id: name, path: name, optimizer: z.boolean().optional(), seq_id: seqId }),
  /** Without a path the weights live as long as the sampling session that is made of them. */
  save_weights_for_sampler: z.object({
    model_id: name,
    path: checkpointName.nullish(),
    sampling_session_seq_id: count.nullish(),
    seq_id: seqId,
  }),
  create_sampling_session: z.object({
    session_id: name,
    sampling_session_seq_id: count,
    base_model: name.nullish(),
    model_path: name.nullish(),
  }),
  /** Of `base_model`, `model_path` (sampler weights) and `sampling_session_id` exactly one. */
  asample: z.object({
    num_samples: z.int().min(1).default(1),
    prompt: modelInput,
    sampling_params: samplingParams,
    base_model: name.nullish(),
    model_path: name.nullish(),
    sampling_session_id: name.nullish(),
    seq_id: seqId,
    prompt_logprobs: z.boolean().nullish(),
    topk_prompt_logprobs: count.nullish(),
  }),
  unload_model: z.object({ model_id: name }),
  retrieve_future: z.object({ request_id: name }),
} as const;

/** A compute call was taken and its result can be fetched under this id. */
const pending = z.object({
  request_id: name,
  future_id: name.nullish(),
  status: z.string().nullish(),
  model_id: name.nullish(),
});

/** `logprobs[i] = log p(target_tokens[i] | inputs up to i)` under the weights of this pass, one entry a datum. */
const passOutput = z.object({
  loss_fn_output_type: z.string().nullish(),
  loss_fn_outputs: list(z.looseObject({ logprobs: computed })),
  metrics: z.record(z.string(), z.number().nullable()).nullish(),
});

const path = z.object({ path: z.string() });

/** Bodies of answers: of calls that answer at once, and of futures once they are done. */
export const answers = {
  healthz: z.object({ status: z.string() }),
  get_server_capabilities: z.object({
    supported_models: z.array(z.object({ model_name: z.string().nullish(), max_context_length: count.nullish() })),
  }),
  create_session: z.object({
    session_id: name,
    info_message: z.string().nullish(),
    warning_message: z.string().nullish(),
    error_message: z.string().nullish(),
  }),
  session_heartbeat: z.object({ type: z.string().nullish() }),
  get_info: z.object({
    model_id: name,
    status: z.string().nullish(),
    model_data: z.object({ base_model: z.string().nullish(), model_name: z.string().nullish(), lora_config: loraConfig.nullish() }),
  }),
  weights_info: z.object({ base_model: name, is_lora: z.boolean(), lora_rank: count.nullish() }),
  create_sampling_session: z.object({ sampling_session_id: name }),
  pending,

  create_model: z.object({ model_id: name.nullish() }),
  forward: passOutput,
  forward_backward: passOutput,
  optim_step: z.object({ metrics: z.record(z.string(), z.number().nullable()).nullish() }),
  save_weights: path,
  load_weights: z.object({ path: z.string().nullish() }),
  save_weights_for_sampler: z.object({ path: z.string().nullish(), sampling_session_id: name.nullish() }),
  asample: z.object({
    sequences: list(z.object({ tokens: counts, logprobs: numbersOrNulls.nullish(), stop_reason: z.enum(["length", "stop"]) })),
    /** One a prompt token; null for the first, which nothing comes before. */
    prompt_logprobs: numbersOrNulls.nullish(),
    topk_prompt_logprobs: z.array(z.array(z.tuple([count, z.number()])).nullable()).nullish(),
  }),
  unload_model: z.object({ model_id: name.nullish() }),
} as const;

/** From retrieve_future: not done yet, ask again. Servers send it with status 200 or 408. */
export const tryAgain = z.object({ type: z.literal("try_again"), request_id: z.string().nullish(), queue_state: z.string().nullish() });
/** From retrieve_future with status 200: the request failed, by the caller's fault ("user") or the server's. */
export const failed = z.object({ error: z.string(), category: z.string().nullish() });
export type Requests = { readonly [Call in keyof typeof requests]: z.input<(typeof requests)[Call]> };
export type Answers = { readonly [Call in keyof typeof answers]: z.output<(typeof answers)[Call]> };
/** Calls whose result is fetched by `retrieve_future`. */
export type ComputeCall =
  | "create_model"
  | "forward"
  | "forward_backward"
  | "optim_step"
  | "save_weights"
  | "load_weights"
  | "save_weights_for_sampler"
  | "asample"
  | "unload_model";
export type Datum = z.input<typeof datum>;
export type Loss = (typeof losses)[number];
