import { createHash } from "node:crypto";
import type { UpdateOptions } from "../../engines/engine.ts";
import type { Loss } from "../../engines/tinker/protocol.ts";
import type { Projection } from "../../policies/transformer-config.ts";
import { startCompute, type Compute } from "./compute.ts";
import { futures, type FutureLimits, type Futures, type Outcome } from "./futures.ts";
import type { LossRow } from "./losses.ts";
import { passResult, passType } from "./messages.ts";
import { queue, type Queue } from "./queue.ts";
import { Refused } from "./refused.ts";
import { failure, sampling, type Sample } from "./sampling.ts";
import { sessions, type SamplingSession, type Sessions } from "./sessions.ts";
import { addressFrom, addressText, modelIdOf, openStore, type Address, type Kind, type ModelRecord, type Store } from "./store.ts";
import { turns } from "./turns.ts";
import type { Adapter, BaseModel, SampleJob, Sampler, SampleSettings } from "./wire.ts";

export interface ServiceLimits extends FutureLimits {
  /** A session without a sign of life for so long is over, and its models leave the memory. */
  readonly staleMs: number;
  readonly sessions: number;
  /** Models in memory. */
  readonly models: number;
  /** Requests of a model that wait. */
  readonly waiting: number;
  /** What the waiting requests of all models may hold. */
  readonly bytes: number;
  /** Sequences that wait to be drawn. */
  readonly sequences: number;
  /** Sampling sessions on weights that are in memory only. */
  readonly snapshots: number;
}

export interface ServiceSettings {
  /** The model's folder and the name that requests call it by. */
  readonly folder: string;
  readonly name: string;
  readonly data: string;
  readonly threads: number | null;
  readonly limits: ServiceLimits;
  readonly onEvent: (sentence: string) => void;
}

/** A model on the base, and how far it has come. */
interface Model {
  readonly id: string;
  readonly session: string;
  readonly created: string;
  readonly digest: string;
  readonly adapter: Adapter;
  readonly origin: ModelRecord["origin"];
  saved: ModelRecord["saved"];
  ended: string | null;
  readonly queue: Queue;
  /** Its weights are in memory. */
  isAwake: boolean;
  /** It is from an earlier run of the server, and no request has continued it yet. */
  isRestored: boolean;
  /** A request other than its creation was taken. */
  isUsed: boolean;
}

/** What identifies a numbered request. */
export interface Request {
  readonly model: string;
  readonly seq: number | null;
  readonly digest: string;
}

export interface PassRequest extends Request {
  readonly rows: readonly LossRow[];
  readonly loss: Loss;
  readonly config: Readonly<Record<string, number>>;
  readonly backward: boolean;
}

export interface SampleRequest {
  readonly from: { readonly base: string } | { readonly path: string } | { readonly session: string; readonly seq: number | null };
  readonly settings: SampleSettings;
  readonly job: SampleJob;
  readonly promptFrom: number;
  readonly digest: string;
}

/** Calls give the id of a future unless they say otherwise. Everything throws Refused for what the caller did wrong. */
export interface Service {
  readonly base: BaseModel;
  readonly name: string;
  readonly futures: Futures;
  readonly sessions: Sessions;
  readonly store: Store;
  lost(): string | null;
  createModel(session: string, number: number, base: string, lora: LoraRequest, digest: string): Promise<{ model: string; future: string }>;
  /** A new model that begins as a checkpoint. */
  createFrom(session: string, number: number, path: string, optimizer: boolean, digest: string): Promise<{ model: string; future: string }>;
  info(model: string): { readonly id: string; readonly adapter: Adapter; readonly status: string; readonly created: string };
  models(): readonly string[];
  pass(request: PassRequest): string;
  update(request: Request & { readonly options: UpdateOptions }): string;
  save(request: Request & { readonly name: string | null; readonly overwrite: boolean }): string;
  saveForSampler(request: Request & { readonly name: string | null; readonly sampler: number | null }): string;
  load(request: Request & { readonly path: string; readonly optimizer: boolean }): Promise<string>;
  unload(model: string): string;
  createSampler(session: string, number: number, from: { readonly base: string } | { readonly path: string }): Promise<string>;
  sample(request: SampleRequest): Promise<string>;
  endSession(id: string, why: string): void;
  /** Lets what runs come to its end, and nothing more. */
  close(): Promise<void>;
}

export interface LoraRequest {
  readonly rank: number;
  readonly seed: number | null;
  readonly attention: boolean;
  readonly mlp: boolean;
}

const attention: readonly Projection[] = ["q_proj", "k_proj", "v_proj", "o_proj"];

export const digestOf = (value: unknown): string => createHash("sha256").update(JSON.stringify(value)).digest("base64");

/** The training service: sessions, models and futures around the computing thread. */
export async function service({ folder, name, data, threads, limits, onEvent }: ServiceSettings): Promise<Service> {
  const store = await openStore(data);
  const compute: Compute = await startCompute(onEvent);
  let base: BaseModel;
  try {
    base = await compute.run("open", { folder, threads });
  } catch (cause) {
    await compute.close();
    throw cause;
  }
  const results = futures(limits);
  const models = new Map<string, Model>();
  const asked = new Map<string, { readonly digest: string; readonly future: string }>();
  const creations = new Map<string, string>();
  const snapshots = new Set<string>();
  const settle = (future: string, outcome: Outcome): void => results.settle(future, outcome);
  const samples = sampling(compute, limits.sequences, settle, () => taking.wake());
  const taking = turns(() => [...[...models.values()].map((model) => model.queue).filter((one) => one.size > 0), samples]);
  const all = sessions(store, limits.sessions, (record) =>
    "base" in record
      ? { from: { base: true }, path: null }
      : { from: { folder: store.folder(addressFrom(record.path)) }, path: record.path },
  );
  let closed = false;

  for (const record of store.models) {
    const { id, created, digest, adapter, origin, saved, ended } = record;
    models.set(id, {
      id,
      session: id.slice(0, 36),
      created,
      digest,
      adapter,
      origin,
      saved,
      ended,
      queue: queue(saved?.next ?? 1, limits, settle),
      isAwake: false,
      isRestored: true,
      isUsed: true,
    });
  }

  const keep = ({ id, created, digest, adapter, origin, saved, ended }: Model): Promise<void> =>
    store.putModel({ id, created, digest, adapter: { ...adapter, targets: [...adapter.targets] }, origin, saved, ended });

  /** Puts a model's weights into memory: as last saved, as it began, or fresh. */
  async function wake(model: Model): Promise<void> {
    if (model.isAwake) return;
    const { id, adapter, saved, origin } = model;
    if (saved)
      await compute.run("load", {
        model: id,
        adapter,
        folder: store.folder({ model: id, kind: "weights", name: saved.name }),
        optimizer: true,
      });
    else if (origin)
      await compute.run("load", { model: id, adapter, folder: store.folder(addressFrom(origin.path)), optimizer: origin.optimizer });
    else await compute.run("create", { model: id, adapter });
    model.isAwake = true;
  }

  function open(id: string): Model {
    const model = models.get(id);
    if (!model) throw new Refused(404, `There is no model ${JSON.stringify(id.slice(0, 100))}.`);
    if (model.ended !== null) throw new Refused(404, `The model is not in memory: ${model.ended}. ${recourse(model)}`);
    all.touch(model.session);
    return model;
  }

  const recourse = ({ id, saved }: Model): string =>
    saved
      ? `Its last saved state, ${addressText({ model: id, kind: "weights", name: saved.name })}, can be loaded into a new model.`
      : "No state of it was saved.";

  /** Takes a request of a model: its turn comes after those before it. */
  function take(
    model: Model,
    { seq, digest }: Omit<Request, "model">,
    run: () => Promise<Outcome>,
    { isNeutral = false, bytes = 0 }: { readonly isNeutral?: boolean; readonly bytes?: number } = {},
  ): string {
    ready();
    if (model.isRestored && !isNeutral) {
      const { saved } = model;
      if (saved && saved.next === null)
        throw new Refused(
          409,
          `The server was started anew, and the requests that this model's last state followed cannot be told apart. ${recourse(model)}`,
        );
      if (seq !== model.queue.position)
        throw new Refused(
          409,
          `The server was started anew: this model is as it was before request ${model.queue.position}, and continues with that one. ${recourse(model)}`,
        );
    }
    const future = model.queue.add({ seq, digest, isNeutral }, () => ({
      future: openFuture(bytes),
      bytes,
      run: async () => {
        try {
          await wake(model);
          return await run();
        } catch (cause) {
          return failure(cause);
        }
      },
    }));
    if (!isNeutral) {
      model.isRestored = false;
      model.isUsed = true;
    }
    taking.wake();
    return future;
  }

  function openFuture(bytes: number): string {
    const held = [...models.values()].reduce((sum, model) => sum + model.queue.bytes, 0);
    if (held > 0 && held + bytes > limits.bytes)
      throw new Refused(429, `The requests that wait hold ${Math.round(held / 2 ** 20)} MiB already; send this one later.`);
    return results.open();
  }

  function ready(): void {
    const lost = compute.lost();
    if (lost !== null) throw new Refused(503, `The server can compute no more: ${lost}. Start it again.`);
    if (closed) throw new Refused(503, "The server is ending.");
  }

  const answer = (value: unknown): Outcome => ({ json: () => value, bytes: 100 });

  async function add(
    session: string,
    number: number,
    adapter: () => Adapter,
    origin: ModelRecord["origin"],
    digest: string,
    type: string,
  ): Promise<{ model: string; future: string }> {
    ready();
    all.touch(session);
    const id = modelIdOf(session, number);
    const before = models.get(id);
    if (before && before.digest !== digest) throw new Refused(409, `Model ${number} of this session is another one.`);
    if (before && creations.has(id)) return { model: id, future: creations.get(id)! };
    const model: Model = before ?? {
      id,
      session,
      created: new Date().toISOString(),
      digest,
      adapter: adapter(),
      origin,
      saved: null,
      ended: null,
      queue: queue(1, limits, settle),
      isAwake: false,
      isRestored: false,
      isUsed: origin !== null,
    };
    if (model.ended !== null) throw new Refused(404, `The model is not in memory: ${model.ended}. ${recourse(model)}`);
    if (!before) {
      const open = [...models.values()].filter((one) => one.ended === null && !one.isRestored);
      if (open.length >= limits.models)
        throw new Refused(429, `There are ${open.length} models in memory, as many as this server takes: unload one.`);
      models.set(id, model);
    }
    const future = take(
      model,
      { seq: null, digest },
      async () => {
        if (!before) await keep(model);
        return answer({ model_id: id, type, ...(origin && { path: origin.path }) });
      },
      { isNeutral: true },
    );
    creations.set(id, future);
    return { model: id, future };
  }

  /** The folder of a checkpoint that is there. */
  async function checkpoint(path: string, kinds: readonly Kind[]): Promise<Address> {
    const address = addressFrom(path);
    if (!kinds.includes(address.kind))
      throw new Refused(400, `${path} does not hold what is asked for: give one of ${kinds.join(" or ")}.`);
    if (!(await store.has(address))) throw new Refused(404, `There is no checkpoint ${path}.`);
    return address;
  }

  function known(asked: string): void {
    if (asked !== name && asked !== folder)
      throw new Refused(400, `This server has the model ${JSON.stringify(name)} and no ${JSON.stringify(asked.slice(0, 100))}.`);
  }

  async function samplerFrom(
    given: { readonly base: string } | { readonly path: string },
  ): Promise<Pick<SamplingSession, "from" | "path">> {
    if ("base" in given) {
      known(given.base);
      return { from: { base: true }, path: null };
    }
    const address = await checkpoint(given.path, ["sampler_weights", "weights"]);
    return { from: { folder: store.folder(address) }, path: given.path };
  }

  /** Takes a model or a session's models out of memory. */
  function end(model: Model, why: string): void {
    model.ended = why;
    for (const future of model.queue.clear()) settle(future, { failed: `The model is not in memory: ${why}.`, user: true });
    if (model.isAwake) void compute.run("drop", { model: model.id }).catch(() => onEvent(`${model.id} could not be unloaded.`));
    model.isAwake = false;
  }

  /** What is left to do of a session that is over. */
  function endModels(session: string, why: string): void {
    void store.removeSession(session).catch((cause: unknown) => onEvent(`The session's file could not be removed: ${String(cause)}`));
    for (const model of models.values()) if (model.session === session && model.ended === null) end(model, why);
    for (const snapshot of snapshots) if (snapshot.startsWith(session)) dropSnapshot(snapshot);
  }

  function dropSnapshot(snapshot: string): void {
    snapshots.delete(snapshot);
    void compute.run("drop", { snapshot }).catch(() => onEvent(`${snapshot} could not be forgotten.`));
  }

  const sweeper = setInterval(
    () => {
      const busy = new Set([...models.values()].filter((model) => model.queue.size > 0).map((model) => model.session));
      for (const id of all.sweep(limits.staleMs, (session) => busy.has(session)))
        endModels(id, `its session gave no sign of life for ${Math.round(limits.staleMs / 1000)} s`);
    },
    Math.min(10_000, limits.staleMs / 4),
  );
  sweeper.unref();

  return {
    base,
    name,
    futures: results,
    sessions: all,
    store,
    lost: () => compute.lost(),
    models: () => [...models.keys()],

    createModel(session, number, baseName, lora, digest) {
      known(baseName);
      return add(session, number, () => adapterOf(lora, base.projections), null, digest, "create_model");
    },

    async createFrom(session, number, path, optimizer, digest) {
      const address = await checkpoint(path, ["weights"]);
      const source = models.get(address.model);
      if (!source) throw new Refused(404, `There is no checkpoint ${path}.`);
      return add(session, number, () => source.adapter, { path, optimizer }, digest, "load_weights");
    },

    info(id) {
      const model = models.get(id);
      if (!model) throw new Refused(404, `There is no model ${JSON.stringify(id.slice(0, 100))}.`);
      const { adapter, created, ended, isAwake } = model;
      return { id, adapter, created, status: ended === null ? (isAwake ? "created" : "saved") : "unloaded" };
    },

    pass({ model: id, rows, loss, config, backward, ...request }) {
      const held = rows.reduce((sum, row) => sum + 20 * row.inputs.length, 0);
      const run = async (): Promise<Outcome> => {
        const made = await compute.run("pass", { model: id, rows, loss, config, backward });
        const metrics = { "loss:sum": made.loss };
        return {
          json: () => ({
            loss_fn_output_type: passType,
            loss_fn_outputs: made.logProbs.map((row) => ({ logprobs: { data: Array.from(row), dtype: "float32", shape: [row.length] } })),
            metrics,
          }),
          protobuf: () => passResult(made.logProbs, metrics),
          bytes: made.logProbs.reduce((sum, row) => sum + 100 + 4 * row.length, 0),
        };
      };
      return take(open(id), request, run, { bytes: held });
    },

    update({ model: id, options, ...request }) {
      return take(open(id), request, async () => {
        const { gradientNorm } = await compute.run("update", { model: id, options });
        return answer({ type: "optim_step", metrics: { grad_norm: gradientNorm, learning_rate: options.learningRate } });
      });
    },

    save({ model: id, name: given, overwrite, ...request }) {
      const model = open(id);
      const checkpointName = given ?? `state-${request.seq ?? `${Date.now()}`}`;
      const address: Address = { model: id, kind: "weights", name: checkpointName };
      const done = answer({ type: "save_weights", path: addressText(address) });
      if (model.isRestored && request.seq !== null && model.saved?.next === request.seq + 1 && model.saved.name === checkpointName) {
        // The request that the state is of, sent again because its answer was lost.
        const future = results.open();
        settle(future, done);
        return future;
      }
      return take(model, request, async () => {
        if (!overwrite && (await store.has(address)))
          throw new Refused(400, `There is a checkpoint ${addressText(address)} already: choose another name, or say overwrite.`);
        const { hasGradient } = await compute.run("save", { model: id, folder: store.folder(address), state: true, base: folder });
        // Where a gradient waits, the requests that made it would be missing.
        const isPlaced = request.seq !== null && model.queue.isNumbered && !hasGradient;
        model.saved = { name: checkpointName, next: isPlaced ? request.seq! + 1 : null };
        await keep(model);
        return done;
      });
    },

    saveForSampler({ model: id, name: given, sampler, ...request }) {
      const model = open(id);
      return take(model, request, async () => {
        if (given === null && sampler !== null) {
          const samplerId = await all.sampler(model.session, sampler, request.digest, (made) => ({ from: { snapshot: made }, path: null }));
          await compute.run("snapshot", { model: id, name: samplerId });
          snapshots.add(samplerId);
          for (const oldest of snapshots) if (snapshots.size > limits.snapshots) dropSnapshot(oldest);
          return answer({ type: "save_weights_for_sampler", sampling_session_id: samplerId });
        }
        const address: Address = { model: id, kind: "sampler_weights", name: given ?? `sampler-${request.seq ?? `${Date.now()}`}` };
        const path = addressText(address);
        if (await store.has(address)) throw new Refused(400, `There is a checkpoint ${path} already: choose another name.`);
        await compute.run("save", { model: id, folder: store.folder(address), state: false, base: folder });
        const from: Sampler = { folder: store.folder(address) };
        const samplerId = sampler === null ? null : await all.sampler(model.session, sampler, request.digest, () => ({ from, path }));
        return answer({ type: "save_weights_for_sampler", path, ...(samplerId !== null && { sampling_session_id: samplerId }) });
      });
    },

    async load({ model: id, path, optimizer, ...request }) {
      const address = await checkpoint(path, ["weights"]);
      const model = open(id);
      if (model.origin || (request.seq === null ? model.isUsed : request.seq !== 1))
        throw new Refused(400, "Weights can be loaded by a model's first request only: create another model.");
      return take(model, request, async () => {
        await compute.run("load", { model: id, adapter: model.adapter, folder: store.folder(address), optimizer });
        return answer({ type: "load_weights", path, model_id: id });
      });
    },

    unload(id) {
      const model = open(id);
      const unloading = async (): Promise<Outcome> => {
        end(model, "it was unloaded");
        await keep(model);
        return answer({ type: "unload_model", model_id: id });
      };
      if (model.isAwake || model.queue.size > 0) return take(model, { seq: null, digest: "" }, unloading, { isNeutral: true });
      const future = results.open();
      void unloading().then(
        (outcome) => settle(future, outcome),
        (cause: unknown) => settle(future, failure(cause)),
      );
      return future;
    },

    async createSampler(session, number, given) {
      all.touch(session);
      const made = await samplerFrom(given);
      const digest = JSON.stringify("base" in given ? { base: true } : { path: made.path });
      return all.sampler(session, number, digest, () => made);
    },

    async sample({ from, settings, job, promptFrom, digest }) {
      ready();
      const key = "session" in from && from.seq !== null ? `${from.session} ${from.seq}` : null;
      const sampler = "session" in from ? all.samplerOf(from.session) : await samplerFrom(from);
      const before = key === null ? undefined : asked.get(key);
      // A request that is repeated when its result is no longer there is drawn anew.
      if (before && results.has(before.future)) {
        if (before.digest !== digest) throw new Refused(409, "A request of this number in this sampling session was another one.");
        return before.future;
      }
      const future = samples.add(job.samples, (): Sample => ({ future: results.open(), from: sampler.from, settings, job, promptFrom }));
      if (key !== null) {
        asked.set(key, { digest, future });
        for (const [oldest] of asked) if (asked.size > limits.keepCount) asked.delete(oldest);
      }
      return future;
    },

    endSession(id, why) {
      all.end(id, why);
      endModels(id, "its session was finished");
    },

    async close() {
      closed = true;
      clearInterval(sweeper);
      const gone = { failed: "The server was stopped before this request ran.", user: false };
      for (const model of models.values()) for (const future of model.queue.clear()) settle(future, gone);
      for (const future of samples.clear()) settle(future, gone);
      await taking.idle();
      results.close();
      await compute.close();
    },
  };
}

/** An adapter as the request describes it, on this model. */
function adapterOf({ rank, seed, attention: onAttention, mlp }: LoraRequest, has: readonly Projection[]): Adapter {
  const targets = has.filter((one) => (attention.includes(one) ? onAttention : mlp));
  if (targets.length === 0)
    throw new Refused(400, "An adapter needs train_attn or train_mlp: one on the unembedding alone is not offered here.");
  return { rank, seed: seed ?? Math.floor(Math.random() * 2 ** 31), targets };
}
