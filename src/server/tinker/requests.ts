import { createHash } from "node:crypto";
import { z } from "zod";
import { requests } from "../../engines/tinker/protocol.ts";
import type { Requests } from "../../engines/tinker/protocol.ts";
import type { SentPass, SentTensor } from "./messages.ts";
import { Refused } from "./refused.ts";
import type { LossRow } from "./losses.ts";
import type { PassRequest, SampleRequest } from "./service.ts";
import { digestOf } from "./service.ts";
import type { BaseModel } from "./wire.ts";

/*
 * From what was sent to what the service takes. Fields that the client's side of the protocol does not use are added here.
 */

const highestRank = 1024;
const highestTop = 64;
const seqId = z.int().min(1).nullish();
/** Of a checkpoint, in seconds: an hour to ten years. */
const lifetime = z.int().min(3600).max(315_360_000).nullish();

/** What is asked for and not offered here must not be left out in silence. */
const unasked = (what: string) =>
  z
    .unknown()
    .refine((value) => value === null || value === 0 || value === false, { message: `${what} is not offered by this server` })
    .optional();

const adamw = z.object({ type: z.literal("adamw", "must be adamw: no other optimizer is offered by this server") }).nullish();

/** Bodies of requests by call, as this server takes them. */
export const bodies = {
  ...requests,
  create_session: requests.create_session.extend({
    tags: requests.create_session.shape.tags.default([]),
    sdk_version: z.string().default(""),
  }),
  create_model: requests.create_model.extend({
    model_seq_id: z.int().min(0).max(999_999_999),
    lora_config: requests.create_model.shape.lora_config.refine((lora) => !lora || lora.rank <= highestRank, {
      message: `rank must be at most ${highestRank}`,
    }),
    optimizer_config: adamw,
  }),
  forward: requests.forward.extend({ seq_id: seqId }),
  forward_backward: requests.forward_backward.extend({ seq_id: seqId }),
  optim_step: requests.optim_step.extend({ seq_id: seqId }),
  save_weights: requests.save_weights.extend({ seq_id: seqId, ttl_seconds: lifetime }),
  save_weights_for_sampler: requests.save_weights_for_sampler.extend({
    seq_id: seqId,
    ttl_seconds: lifetime,
    sampling_session_seq_id: z.int().min(0).max(999_999_999).nullish(),
    kind: z.literal("snapshot", "must be snapshot: weights that change under a sampling session are not offered by this server").nullish(),
  }),
  load_weights: requests.load_weights.extend({ seq_id: seqId }),
  ttl: z.object({ ttl_seconds: lifetime }),
  /** Creates the model as well: how the Python SDK goes on from a checkpoint. */
  create_and_load: z.object({
    session_id: z.string().min(1),
    model_seq_id: z.int().min(0).max(999_999_999),
    base_model: z.string().min(1).nullish(),
    path: z.string().min(1),
    optimizer: z.boolean().default(false),
    optimizer_config: adamw,
  }),
  create_sampling_session: requests.create_sampling_session.extend({ sampling_session_seq_id: z.int().min(0).max(999_999_999) }),
  asample: requests.asample.extend({
    num_samples: z.int().min(1).max(1024).default(1),
    prompt_logprobs_last_n: z.int().min(1).nullish(),
    topk_prompt_logprobs: z.int().min(0).max(highestTop).nullish(),
    topk_sample_logprobs: unasked("topk_sample_logprobs"),
    target_prompt_logprobs: unasked("target_prompt_logprobs"),
    prompt_alt_tokens_k: unasked("prompt_alt_tokens_k"),
    record_stability_info: unasked("record_stability_info"),
  }),
} as const;

/** A text that says what is wrong with a body, and where. */
export function faultOf(error: z.ZodError): string {
  const [issue] = error.issues;
  const place = issue!.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  return `${place === "" ? "The body" : place.replace(/^\./, "")}: ${issue!.message}.`;
}

type SentDatum = Requests["forward_backward"]["forward_backward_input"]["data"][number];

/** The pass of a JSON body, in the form of the other one. */
export function passOf(
  { model_id: modelId, seq_id: seqId }: { readonly model_id: string; readonly seq_id?: number | null | undefined },
  input: Requests["forward_backward"]["forward_backward_input"],
  backward: boolean,
): SentPass {
  return {
    modelId,
    seqId: seqId ?? null,
    loss: input.loss_fn,
    config: input.loss_fn_config ?? {},
    backward,
    data: input.data.map((datum: SentDatum) => ({
      tokens: datum.model_input.chunks.flatMap((chunk) => chunk.tokens),
      tensors: new Map(
        Object.entries(datum.loss_fn_inputs).flatMap(([name, tensor]) =>
          tensor ? [[name, { data: tensor.data, shape: tensor.shape ?? null }]] : [],
        ),
      ),
    })),
  };
}

/** Checks a pass against the model and gives it the form that is computed with. @throws Refused 422 naming the datum */
export function passRequest(sent: SentPass, { vocabulary, context }: BaseModel): PassRequest {
  if (sent.data.length === 0) throw new Refused(422, "data is empty: there is nothing to compute.");
  const rows = sent.data.map(({ tokens, tensors }, i): LossRow => {
    const refuse = (what: string) => new Refused(422, `Datum ${i}: ${what}.`);
    const inputs = tokenIds(tokens, vocabulary, (what) => refuse(`model_input ${what}`));
    if (inputs.length === 0) throw refuse("model_input has no tokens");
    if (inputs.length > context) throw refuse(`model_input has ${inputs.length} tokens, more than the model's context of ${context}`);
    const tensor = (name: string): SentTensor | null => {
      const found = tensors.get(name);
      if (!found) return null;
      const { data, shape } = found;
      if (data.length !== inputs.length || (shape && (shape.length !== 1 || shape[0] !== data.length)))
        throw refuse(
          `${name} has the shape [${(shape ?? [data.length]).join(", ")}] with ${data.length} numbers; it needs one number for each of the ${inputs.length} input tokens`,
        );
      return found;
    };
    const numbers = (name: string): Float32Array | null => {
      const found = tensor(name);
      if (!found) return null;
      const values = Float32Array.from(found.data);
      const strange = values.findIndex((value) => !Number.isFinite(value));
      if (strange >= 0) throw refuse(`${name}[${strange}] is ${found.data[strange]}, which is not a finite float32 number`);
      return values;
    };
    const given = tensor("target_tokens");
    if (!given) throw refuse("target_tokens is missing");
    const advantages = numbers("advantages");
    const behaviour = numbers("logprobs");
    return {
      inputs,
      targets: tokenIds(given.data, vocabulary, (what) => refuse(`target_tokens ${what}`)),
      weights: numbers("weights") ?? new Float32Array(inputs.length).fill(1),
      ...(advantages && { advantages }),
      ...(behaviour && { behaviour }),
    };
  });
  const { modelId: model, seqId: seq, loss, config, backward } = sent;
  return { model, seq, loss, config, backward, rows, digest: digestOfPass(sent, rows) };
}

/** The same for the same numbers, in whatever form they were sent. */
function digestOfPass({ loss, config, backward }: SentPass, rows: readonly LossRow[]): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([loss, Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)), backward, rows.length]));
  for (const row of rows)
    for (const part of [row.inputs, row.targets, row.weights, row.advantages, row.behaviour]) {
      hash.update(`${part?.length ?? -1} `);
      if (part) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    }
  return hash.digest("base64");
}

function tokenIds(given: ArrayLike<number>, vocabulary: number, refuse: (what: string) => Refused): Int32Array {
  const ids = new Int32Array(given.length);
  for (let i = 0; i < given.length; i++) {
    const id = given[i]!;
    if (!(Number.isInteger(id) && id >= 0 && id < vocabulary))
      throw refuse(`[${i}] is ${id}, and the model's ids are from 0 to ${vocabulary - 1}`);
    ids[i] = id;
  }
  return ids;
}

/** The most stops of a request, and the longest. */
const stops = { count: 64, length: 256 };

/** Checks a request for samples against the model. */
export function sampleRequest(body: z.output<(typeof bodies)["asample"]>, { vocabulary, context, ends }: BaseModel): SampleRequest {
  const given = [body.base_model, body.model_path, body.sampling_session_id].filter((value) => value !== undefined && value !== null);
  if (given.length !== 1) throw new Refused(422, "Give exactly one of base_model, model_path and sampling_session_id.");
  const prompt = tokenIds(
    body.prompt.chunks.flatMap((chunk) => chunk.tokens),
    vocabulary,
    (what) => new Refused(422, `prompt ${what}.`),
  );
  if (prompt.length === 0) throw new Refused(422, "prompt has no tokens.");
  if (prompt.length > context) throw new Refused(422, `prompt has ${prompt.length} tokens, more than the model's context of ${context}.`);
  const { max_tokens: most, seed, stop: asked, temperature, top_k: topK, top_p: topP } = body.sampling_params;
  const promptTop = Math.min(body.topk_prompt_logprobs ?? 0, vocabulary);
  const scores = body.prompt_logprobs ?? false;
  if (prompt.length === context && !scores)
    throw new Refused(422, `prompt has ${prompt.length} tokens and fills the model's context: there is no room for an answer.`);
  const lastN = body.prompt_logprobs_last_n ?? null;
  if (lastN !== null && (!scores || lastN >= prompt.length))
    throw new Refused(422, "prompt_logprobs_last_n goes with prompt_logprobs and is below the length of the prompt.");
  const list: readonly (number | string)[] = asked === null || asked === undefined ? [] : typeof asked === "string" ? [asked] : asked;
  if (list.length > stops.count || list.some((stop) => typeof stop === "string" && (stop === "" || stop.length > stops.length)))
    throw new Refused(422, `stop may have ${stops.count} entries, and texts of 1 to ${stops.length} characters.`);
  const isOff = Array.isArray(asked) && asked.length === 0;
  return {
    from:
      typeof body.base_model === "string"
        ? { base: body.base_model }
        : typeof body.model_path === "string"
          ? { path: body.model_path }
          : { session: body.sampling_session_id!, seq: body.seq_id ?? null },
    settings: {
      maxTokens: Math.min(most ?? context, context),
      temperature,
      topK: Math.max(0, topK),
      topP,
      stopTokens: [...(isOff ? [] : ends), ...list.filter((stop) => typeof stop === "number")],
      stopTexts: list.filter((stop) => typeof stop === "string"),
    },
    job: { prompt, samples: body.num_samples, seed: seed ?? Math.floor(Math.random() * 2 ** 32), promptLogProbs: scores, promptTop },
    promptFrom: lastN === null ? 0 : prompt.length - lastN,
    digest: digestOf(body),
  };
}
