import { Hono, type Context } from "hono";
import type { z } from "zod";
import { GuerdonError } from "../../error.ts";
import { bearer, bodyBound, isJson, isLoopback, isProtobuf, secretCheck } from "../listening.ts";
import { passFrom } from "./messages.ts";
import { bodies, faultOf, passOf, passRequest, sampleRequest } from "./requests.ts";
import { Refused } from "./refused.ts";
import { digestOf, type Service } from "./service.ts";
import { addressFrom, addressText, type Address } from "./store.ts";

export interface AppSettings {
  readonly service: Service;
  /** The model's folder, where clients on this machine find its tokenizer. */
  readonly folder: string;
  readonly key: string | null;
  readonly maxBytes: number;
  /** How long a request for a result is held when there is none yet. */
  readonly waitMs: number;
  readonly onEvent: (sentence: string) => void;
}

const protobuf = "application/x-protobuf";
/** The Python SDK says the same of itself: larger passes are cut by it. */
const chunk = { data: 1024, bytes: 5_000_000 };

/** The protocol's routes as a web application. */
export function application({ service, folder, key, maxBytes, waitMs, onEvent }: AppSettings): Hono {
  const app = new Hono();
  const refused = (c: Context, { status, message }: Pick<Refused, "status" | "message">): Response => {
    if (status === 429 || status === 503) c.header("Retry-After", "1");
    return c.json({ detail: message }, status);
  };
  app.onError((cause, c) => {
    if (cause instanceof Refused) return refused(c, cause);
    if (cause instanceof GuerdonError && cause.code === "input") return refused(c, { status: 422, message: cause.message });
    // The words may name files of this machine: they are for whoever runs the server.
    onEvent(`${c.req.path} failed: ${cause.message}`);
    return refused(c, { status: 500, message: "The server failed; its output says why." });
  });
  app.notFound((c) => refused(c, { status: 404, message: `There is no ${c.req.method} ${c.req.path.slice(0, 200)} here.` }));

  const isKey = key === null ? null : secretCheck(key);
  const bounded = bodyBound(maxBytes, () => {
    throw new Refused(413, `A request may have ${maxBytes} bytes: send fewer data at a time.`);
  });
  app.use(async (c, next) => {
    if (c.req.path === "/api/v1/healthz") return next();
    if (isKey) {
      const given = c.req.header("x-api-key") ?? bearer(c);
      if (!isKey(given)) throw new Refused(401, "This server wants a key: X-API-Key: <key>.");
    } else if (!isLoopback(new URL(c.req.url).hostname.replace(/^\[|\]$/g, "")))
      // A page of another site can have a name that leads to this machine; without a key nothing else keeps it out.
      throw new Refused(403, "Without a key this server answers to names of this machine only, such as localhost.");
    if (c.req.method !== "POST" && c.req.method !== "PUT") return next();
    const type = c.req.header("content-type");
    if (!isJson(type) && !isProtobuf(type)) throw new Refused(415, "Send JSON, with the header Content-Type: application/json.");
    if (c.req.header("content-encoding")) throw new Refused(415, "Send bodies as they are, without a Content-Encoding.");
    return bounded(c, next);
  });

  /** The body, checked. */
  async function body<T>(c: Context, schema: z.ZodType<T>, status: 400 | 422 = 422): Promise<T> {
    const read = schema.safeParse(await json(c));
    if (!read.success) throw new Refused(status, faultOf(read.error));
    return read.data;
  }
  const pending = (c: Context, future: string, more: Record<string, unknown> = {}): Response =>
    c.json({ request_id: future, future_id: future, status: "pending", ...more });

  app.get("/api/v1/healthz", (c) => {
    const fault = service.fault();
    return fault === null ? c.json({ status: "ok" }) : refused(c, { status: 503, message: fault });
  });
  app.get("/api/v1/get_server_capabilities", (c) =>
    c.json({
      supported_models: [{ model_name: service.name, max_context_length: service.base.context, trainable: true, sampleable: true }],
    }),
  );
  // What the Python SDK asks of a server beside the protocol.
  app.post("/api/v1/client/config", (c) =>
    c.json({
      pjwt_auth_enabled: false,
      proto_compress_fwdbwd: false,
      fwdbwd_max_chunk_len: chunk.data,
      fwdbwd_max_chunk_bytes_count: Math.min(chunk.bytes, maxBytes >> 1),
      sample_use_retrieve_futures: false,
      custom_loss_server_side: false,
      sample_join_sampling_session: false,
    }),
  );
  app.post("/api/v1/client/dynamic_config", (c) => c.json({ refresh_interval_sec: 3600, sample_cancel_enabled: false }));
  app.post("/api/v1/telemetry", (c) => c.json({ status: "accepted" }));

  app.post("/api/v1/create_session", async (c) => {
    await body(c, bodies.create_session);
    return c.json({
      type: "create_session",
      session_id: await service.sessions.create(),
      info_message: "Adapters of this server are on attention and MLP; train_unembed has no effect.",
    });
  });
  app.post("/api/v1/session_heartbeat", async (c) => {
    service.sessions.touch((await body(c, bodies.session_heartbeat)).session_id);
    return c.json({ type: "session_heartbeat" });
  });
  app.get("/api/v1/sessions/:id", (c) => {
    const id = c.req.param("id");
    return c.json({
      training_run_ids: service.models().filter((model) => model.startsWith(`${id}:`)),
      sampler_ids: service.sessions.samplersOf(id),
    });
  });
  app.post("/api/v1/sessions/:id/finish", (c) => {
    service.endSession(c.req.param("id"), "it was finished");
    return c.body(null, 204);
  });

  app.post("/api/v1/create_model", async (c) => {
    const given = await body(c, bodies.create_model);
    const { session_id, model_seq_id, base_model, lora_config: lora } = given;
    if (!lora) throw new Refused(400, "This server trains adapters: give a lora_config.");
    const { model, future } = service.createModel(
      session_id,
      model_seq_id,
      base_model,
      { rank: lora.rank, seed: lora.seed ?? null, attention: lora.train_attn ?? true, mlp: lora.train_mlp ?? true },
      digestOf([base_model, lora]),
    );
    return pending(c, future, { model_id: model, base_model, lora_config: lora });
  });
  app.post("/api/v1/get_info", async (c) => {
    const { id, adapter, status } = service.info((await body(c, bodies.get_info)).model_id);
    return c.json({
      type: "get_info",
      model_id: id,
      status,
      model_data: {
        arch: "transformer",
        base_model: service.name,
        model_name: service.name,
        tokenizer_id: folder,
        lora_config: { rank: adapter.rank, seed: adapter.seed, ...parts(adapter.targets), train_unembed: false },
      },
      model_name: service.name,
      is_lora: true,
      lora_rank: adapter.rank,
    });
  });
  app.post("/api/v1/weights_info", async (c) => {
    const address = addressFrom((await body(c, bodies.weights_info)).tinker_path);
    if (!(await service.store.has(address))) throw new Refused(404, `There is no checkpoint ${addressText(address)}.`);
    const { adapter } = service.info(address.model);
    return c.json({
      base_model: service.name,
      is_lora: true,
      lora_rank: adapter.rank,
      ...parts(adapter.targets),
      train_unembed: false,
    });
  });
  app.get("/api/v1/training_runs/:id", async (c) => c.json(await run(c.req.param("id"))));
  app.get("/api/v1/training_runs/:id/checkpoints", async (c) => {
    const { id } = service.info(c.req.param("id"));
    return c.json({ checkpoints: (await service.store.list(id)).map(listed) });
  });
  app.delete(checkpointRoute, async (c) => {
    await service.checkpoints.remove(checkpointOf(c));
    return c.body(null, 204);
  });
  app.put(`${checkpointRoute}/ttl`, async (c) => {
    const { ttl_seconds } = await body(c, bodies.ttl, 400);
    await service.checkpoints.keepFor(checkpointOf(c), ttl_seconds ?? null);
    return c.body(null, 204);
  });
  app.get("/api/v1/training_runs", async (c) => {
    const all = service.models();
    const offset = whole(c.req.query("offset"), 0);
    const limit = Math.min(whole(c.req.query("limit"), 20), 100);
    return c.json({
      training_runs: await Promise.all(all.slice(offset, offset + limit).map(run)),
      cursor: { offset, limit, total_count: all.length },
    });
  });

  app.post("/api/v1/forward", async (c) => {
    const given = await body(c, bodies.forward);
    return pending(c, service.pass(passRequest(passOf(given, given.forward_input, false), service.base)));
  });
  app.post("/api/v1/forward_backward", async (c) => {
    if (isProtobuf(c.req.header("content-type")))
      return pending(c, service.pass(passRequest(passFrom(new Uint8Array(await c.req.arrayBuffer())), service.base)));
    const given = await body(c, bodies.forward_backward);
    return pending(c, service.pass(passRequest(passOf(given, given.forward_backward_input, true), service.base)));
  });
  app.post("/api/v1/optim_step", async (c) => {
    const given = await body(c, bodies.optim_step);
    const { learning_rate, beta1, beta2, eps, weight_decay, grad_clip_norm } = given.adam_params;
    const options = {
      learningRate: learning_rate,
      beta1,
      beta2,
      epsilon: eps,
      weightDecay: weight_decay,
      ...(grad_clip_norm > 0 && { clipNorm: grad_clip_norm }),
    };
    return pending(c, service.update({ ...numbered(given), options }));
  });
  app.post("/api/v1/save_weights", async (c) => {
    const given = await body(c, bodies.save_weights);
    const { path, overwrite, ttl_seconds } = given;
    return pending(
      c,
      service.save({ ...numbered(given), name: path ?? null, lifetime: ttl_seconds ?? null, overwrite: overwrite ?? false }),
    );
  });
  app.post("/api/v1/load_weights", async (c) => {
    const sent = await json(c);
    const creates = bodies.create_and_load.safeParse(sent);
    if (typeof sent === "object" && sent !== null && "session_id" in sent && sent.session_id !== null) {
      if (!creates.success) throw new Refused(422, faultOf(creates.error));
      const { session_id, model_seq_id, base_model, path, optimizer } = creates.data;
      const begin = { path, optimizer, base: base_model ?? null };
      const { model, future } = await service.createFrom(session_id, model_seq_id, begin, digestOf(begin));
      return pending(c, future, { model_id: model });
    }
    const read = bodies.load_weights.safeParse(sent);
    if (!read.success) throw new Refused(422, faultOf(read.error));
    const { path, optimizer } = read.data;
    return pending(c, await service.load({ ...numbered(read.data), path, optimizer: optimizer ?? false }));
  });
  app.post("/api/v1/save_weights_for_sampler", async (c) => {
    const given = await body(c, bodies.save_weights_for_sampler);
    const { path, sampling_session_seq_id, ttl_seconds } = given;
    const kept = { name: path ?? null, lifetime: ttl_seconds ?? null, sampler: sampling_session_seq_id ?? null };
    return pending(c, service.saveForSampler({ ...numbered(given), ...kept }));
  });
  app.post("/api/v1/unload_model", async (c) => pending(c, service.unload((await body(c, bodies.unload_model)).model_id)));

  app.post("/api/v1/create_sampling_session", async (c) => {
    const { session_id, sampling_session_seq_id, base_model, model_path } = await body(c, bodies.create_sampling_session);
    if (typeof base_model !== "string" && typeof model_path !== "string") throw new Refused(422, "Give one of base_model and model_path.");
    const from = typeof model_path === "string" ? { path: model_path } : { base: base_model! };
    const id = await service.createSampler(session_id, sampling_session_seq_id, from);
    return c.json({ type: "create_sampling_session", sampling_session_id: id });
  });
  app.get("/api/v1/samplers/:id", (c) => {
    const { id, path } = service.sessions.samplerOf(c.req.param("id"));
    return c.json({ sampler_id: id, base_model: service.name, model_path: path });
  });
  app.post("/api/v1/asample", async (c) => {
    const request = sampleRequest(await body(c, bodies.asample), service.base);
    const future = await service.sample(request);
    return pending(c, future, { sample_sequence_ids: Array.from({ length: request.job.samples }, (_, k) => `${future}-${k}`) });
  });

  app.post("/api/v1/retrieve_future", async (c) => {
    const { request_id: id } = await body(c, bodies.retrieve_future);
    const outcome = await service.futures.wait(id, waitMs, c.req.raw.signal);
    if (outcome === null)
      return c.json({ type: "try_again", request_id: id, queue_state: "active", detail: "Not done yet: ask again." }, 408);
    if ("failed" in outcome) {
      const { failed, user } = outcome;
      if (!user) onEvent(`A request failed: ${failed}`);
      // Both forms of saying so: by status and detail, and by error and category.
      return c.json({ detail: failed, error: failed, category: user ? "user" : "server" }, 400);
    }
    if (outcome.protobuf && c.req.header("accept")?.includes(protobuf))
      return c.body(outcome.protobuf().slice().buffer, 200, { "Content-Type": protobuf });
    return c.json(outcome.json() as object);
  });
  return app;

  async function run(id: string): Promise<object> {
    const { adapter, created } = service.info(id);
    const checkpoints = await service.store.list(id);
    const last = (kind: string) => {
      const found = checkpoints.findLast(({ address }) => address.kind === kind);
      return found ? listed(found) : null;
    };
    return {
      training_run_id: id,
      base_model: service.name,
      model_owner: "local",
      is_lora: true,
      corrupted: false,
      lora_rank: adapter.rank,
      last_request_time: checkpoints.at(-1)?.time.toISOString() ?? created,
      last_checkpoint: last("weights"),
      last_sampler_checkpoint: last("sampler_weights"),
    };
  }
}

async function json(c: Context): Promise<unknown> {
  try {
    return await c.req.json();
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new Refused(400, "The body is not JSON.");
    throw cause;
  }
}

const checkpointRoute = "/api/v1/training_runs/:id/checkpoints/:kind/:name";
const checkpointOf = (c: Context): Address => addressFrom(`tinker://${c.req.param("id")}/${c.req.param("kind")}/${c.req.param("name")}`);

const numbered = (given: { readonly model_id: string; readonly seq_id?: number | null | undefined }) => ({
  model: given.model_id,
  seq: given.seq_id ?? null,
  digest: digestOf(given),
});

const parts = (targets: readonly string[]) => ({ train_attn: targets.includes("q_proj"), train_mlp: targets.includes("up_proj") });

const listed = ({ address, time, expires }: Awaited<ReturnType<Service["store"]["list"]>>[number]) => ({
  checkpoint_id: `${address.kind}/${address.name}`,
  checkpoint_type: address.kind === "weights" ? "training" : "sampler",
  time: time.toISOString(),
  tinker_path: addressText(address),
  expires_at: expires?.toISOString() ?? null,
});

const whole = (text: string | undefined, usual: number): number => (text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : usual);
