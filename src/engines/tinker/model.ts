import { GuerdonError } from "../../error.ts";
import { failureOf } from "../../policies/index.ts";
import { oneAtATime } from "../readers.ts";
import type { TinkerClient } from "./client.ts";
import type { Answers, Requests } from "./protocol.ts";

/** The adapter that is trained on a service's base model. */
export interface ServiceLora {
  /** At least 1. */
  readonly rank: number;
  /** Of the adapter's first weights; the service's choice unless said. */
  readonly seed?: number;
  /** Which matrices get one; the service's choice unless said. */
  readonly attention?: boolean;
  readonly mlp?: boolean;
  readonly unembedding?: boolean;
}

/** Calls to one model, which the service runs in the order of their seq_id. */
type ModelCall = "forward" | "forward_backward" | "optim_step" | "save_weights" | "save_weights_for_sampler" | "load_weights";

/** A model (base with adapter) on a service. */
export interface ServiceModel {
  readonly id: string;
  /**
   * Hands in a request and waits for its result. Requests go out one after another in the order of these calls, each as soon as the
   * service has taken the one before; results are waited for side by side.
   */
  run<C extends ModelCall>(call: C, body: Omit<Requests[C], "model_id" | "seq_id">): Promise<Answers[C]>;
  unload(signal?: AbortSignal): Promise<void>;
}

export interface OpenOptions {
  readonly client: TinkerClient;
  readonly baseModel: string;
  readonly lora: ServiceLora;
  /** A saved training state to begin with, with or without its optimizer. */
  readonly from?: { readonly path: string; readonly optimizer: boolean };
}

/** Makes a model on the service: with a fresh adapter, or as a training state was saved. */
export async function openModel({ client, baseModel, lora, from }: OpenOptions): Promise<ServiceModel> {
  const { rank, seed, attention, mlp, unembedding } = lora;
  const made = await client.submit("create_model", {
    session_id: await client.session(),
    model_seq_id: client.next("model"),
    base_model: baseModel,
    lora_config: {
      rank,
      ...(seed !== undefined && { seed }),
      ...(attention !== undefined && { train_attn: attention }),
      ...(mlp !== undefined && { train_mlp: mlp }),
      ...(unembedding !== undefined && { train_unembed: unembedding }),
    },
  });
  const id = (await made.result()).model_id ?? made.modelId;
  if (id === null) throw new GuerdonError("io", `create_model of ${client.address} gave no model_id.`);

  const inTurn = oneAtATime();
  let last = 0;
  let broken: unknown = null;
  const model: ServiceModel = {
    id,
    async run(call, body) {
      const refused = (cause: unknown): boolean => {
        const status = failureOf(cause)?.status ?? 0;
        return status >= 400 && status < 500 && status !== 404 && status !== 409;
      };
      const taken = await inTurn(async () => {
        // Without knowing what became of a request, nothing that follows it has a known meaning.
        if (broken !== null) throw broken;
        try {
          const seq_id = last + 1;
          const taken = await client.submit(call, { ...body, model_id: id, seq_id } as unknown as Requests[typeof call]);
          last = seq_id;
          return taken;
        } catch (cause) {
          // A refused request has used no number: services wait for every number.
          if (!refused(cause)) broken = cause;
          throw cause;
        }
      });
      try {
        return await taken.result();
      } catch (cause) {
        if (!refused(cause)) broken = cause;
        throw cause;
      }
    },
    async unload(signal) {
      await (await client.submit("unload_model", { model_id: id }, signal)).result(signal);
    },
  };
  if (from === undefined) return model;
  try {
    await model.run("load_weights", { path: from.path, optimizer: from.optimizer });
  } catch (cause) {
    await unload(model);
    throw cause;
  }
  return model;
}

/**
 * Unloads a model. One that cannot be, within some seconds, costs the service memory until the session ends, and this run nothing: that
 * is no reason to stop, nor to wait for a service that is gone.
 */
export const unload = (model: ServiceModel): Promise<void> => model.unload(AbortSignal.timeout(10_000)).catch(() => {});
