import { createHash } from "node:crypto";
import type { UpdateOptions } from "../../engines/engine.ts";
import type { Loss } from "../../engines/tinker/protocol.ts";
import { GuerdonError } from "../../error.ts";
import type { Projection } from "../../policies/transformer-config.ts";
import { checkpoints, type Checkpoints } from "./checkpoints.ts";
import { JobFailed, startCompute, type Compute } from "./compute.ts";
import { futures, type FutureLimits, type Futures, type Outcome } from "./futures.ts";
import type { LossRow } from "./losses.ts";
import { mending } from "./mending.ts";
import { passResult, passType } from "./messages.ts";
import { models, type Model, type ModelLimits, type Request, type TakeOptions } from "./models.ts";
import { Refused } from "./refused.ts";
import { failure, sampling, type Sample } from "./sampling.ts";
import { sessions, type SamplingSession, type Sessions } from "./sessions.ts";
import { snapshots } from "./snapshots.ts";
import { addressFrom, addressText, openStore, type Address, type Store } from "./store.ts";
import { turns } from "./turns.ts";
import type { Adapter, BaseModel, SampleJob, Sampler, SampleSettings } from "./wire.ts";

export interface ServiceLimits extends FutureLimits, ModelLimits {
  /** A session without a sign of life for so long is over, and its models leave the memory. */
  readonly staleMs: number;
  readonly sessions: number;
  /** Sequences that wait to be drawn. */
  readonly sequences: number;
  /** Sampling sessions on weights that are in memory only, of all sessions. */
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
  readonly checkpoints: Pick<Checkpoints, "keepFor" | "remove">;
  /** Why it cannot compute, now or for good; or null. */
  fault(): string | null;
  createModel(
    session: string,
    number: number,
    base: string,
    lora: LoraRequest,
    digest: string,
  ): { readonly model: string; readonly future: string };
  /** A new model that begins as a checkpoint. */
  createFrom(
    session: string,
    number: number,
    begin: Beginning,
    digest: string,
  ): Promise<{ readonly model: string; readonly future: string }>;
  info(model: string): { readonly id: string; readonly adapter: Adapter; readonly status: string; readonly created: string };
  models(): readonly string[];
  pass(request: PassRequest): string;
  update(request: Request & { readonly options: UpdateOptions }): string;
  /** `lifetime` in seconds; null: until it is deleted. */
  save(request: Request & { readonly name: string | null; readonly lifetime: number | null; readonly overwrite: boolean }): string;
  saveForSampler(
    request: Request & { readonly name: string | null; readonly lifetime: number | null; readonly sampler: number | null },
  ): string;
  load(request: Request & { readonly path: string; readonly optimizer: boolean }): Promise<string>;
  unload(model: string): string;
  createSampler(session: string, number: number, from: { readonly base: string } | { readonly path: string }): Promise<string>;
  sample(request: SampleRequest): Promise<string>;
  endSession(id: string, why: string): void;
  /** Lets what runs come to its end, and nothing more. */
  close(): Promise<void>;
}

/** What a model begins as, and the base that its client takes it to be on. */
export interface Beginning {
  readonly path: string;
  readonly optimizer: boolean;
  readonly base: string | null;
}

export interface LoraRequest {
  readonly rank: number;
  readonly seed: number | null;
  readonly attention: boolean;
  readonly mlp: boolean;
}

const unloaded = "it was unloaded";
const attention: readonly Projection[] = ["q_proj", "k_proj", "v_proj", "o_proj"];

export const digestOf = (value: unknown): string => createHash("sha256").update(JSON.stringify(value)).digest("base64");

/** The training service: sessions, models and futures around the computing thread. */
export async function service({ folder, name, data, threads, limits, onEvent }: ServiceSettings): Promise<Service> {
  const store = await openStore(data);
  const compute = await opened(store, { folder, threads }, name, () => wake());
  const { base } = compute;
  const results = futures(limits);
  const settle = (future: string, outcome: Outcome): void => results.settle(future, outcome);
  const asked = new Map<string, { readonly digest: string; readonly future: string }>();
  /** Futures by model, for requests that are sent again. */
  const creations = new Map<string, string>();
  const unloads = new Map<string, string>();
  const all = sessions(store, limits.sessions, (record) =>
    "base" in record
      ? { from: { base: true }, path: null }
      : { from: { folder: store.folder(addressFrom(record.path)) }, path: record.path },
  );
  const wake = (): void => taking.wake();
  const known = models({ store, compute, futures: results, limits, touch: (session) => all.touch(session), wake, onEvent });
  const saved = checkpoints(store, known, onEvent);
  const held = snapshots(compute, limits.snapshots, onEvent);
  const samples = sampling(compute, limits.sequences, settle, wake);
  const mends = mending({ compute, known, store, folder, onLoss: forget, onEvent });
  const taking = turns(() => (mends.isDue() ? [mends] : [...known.busy().map((model) => model.queue), samples]));
  let closed = false;

  /** What the next thread knows nothing of. */
  function forget(): void {
    held.clear();
    // Of those that failed with the thread nothing has come: asked for again, they are tried again.
    creations.clear();
    unloads.clear();
  }

  function fault(): string | null {
    if (mends.isDue()) return "The computing thread is being replaced: send this again.";
    const found = compute.fault();
    return found && `The server can compute no more: ${found.reason} Start it again.`;
  }

  function ready(): void {
    if (closed) throw new Refused(503, "The server is ending.");
    const found = fault();
    if (found !== null) throw new Refused(503, found);
  }

  function take(model: Model, request: Omit<Request, "model">, run: () => Promise<Outcome>, options?: TakeOptions): string {
    ready();
    return known.take(model, request, run, options);
  }

  const answer = (value: unknown): Outcome => ({ json: () => value, bytes: 100 });

  /** Makes a model; a request that is repeated gets the future that it got before. */
  function add(
    session: string,
    number: number,
    adapter: () => Adapter,
    origin: Model["origin"],
    digest: string,
  ): { readonly model: string; readonly future: string } {
    ready();
    all.touch(session);
    const before = known.before(session, number, digest);
    const given = before ? creations.get(before.id) : undefined;
    if (before && given !== undefined && results.has(given)) return { model: before.id, future: given };
    const model = before ?? known.create(session, number, adapter(), origin, digest);
    const run = async (): Promise<Outcome> => {
      // Also when it is repeated: what was lost with a computing thread was perhaps not written down.
      await known.keep(model);
      return answer({ model_id: model.id, ...(origin ? { type: "load_weights", path: origin.path } : { type: "create_model" }) });
    };
    const future = take(model, { seq: null, digest }, run, { isNeutral: true });
    creations.set(model.id, future);
    return { model: model.id, future };
  }

  function checkBase(given: string): void {
    if (given !== name && given !== folder)
      throw new Refused(400, `This server has the model ${JSON.stringify(name)} and no ${JSON.stringify(given.slice(0, 100))}.`);
  }

  async function samplerFrom(
    given: { readonly base: string } | { readonly path: string },
  ): Promise<Pick<SamplingSession, "from" | "path">> {
    if ("base" in given) {
      checkBase(given.base);
      return { from: { base: true }, path: null };
    }
    const address = await saved.at(given.path, ["sampler_weights", "weights"]);
    return { from: { folder: store.folder(address) }, path: given.path };
  }

  /** What is left to do of a session that is over. */
  function endModels(session: string, why: string): void {
    void store.removeSession(session).catch((cause: unknown) => onEvent(`The session's file could not be removed: ${String(cause)}`));
    for (const id of known.ids()) {
      const model = known.find(id)!;
      if (model.session === session && model.ended === null) known.end(model, why);
    }
    held.endSession(session);
  }

  const sweeper = setInterval(
    () => {
      void saved.removeExpired();
      const busy = new Set(known.busy().map((model) => model.session));
      for (const id of all.sweep(limits.staleMs, (session) => busy.has(session)))
        endModels(id, `its session gave no sign of life for ${Math.round(limits.staleMs / 1000)} s`);
    },
    Math.min(10_000, limits.staleMs / 4),
  );
  sweeper.unref();
  await saved.removeExpired();

  return {
    base,
    name,
    futures: results,
    sessions: all,
    store,
    checkpoints: saved,
    fault,
    models: known.ids,

    createModel(session, number, baseName, lora, digest) {
      checkBase(baseName);
      return add(session, number, () => adapterOf(lora, base.projections), null, digest);
    },

    async createFrom(session, number, { path, optimizer, base: baseName }, digest) {
      if (baseName !== null) checkBase(baseName);
      const address = await saved.at(path, ["weights"]);
      const source = known.find(address.model);
      if (!source) throw new Refused(404, `There is no checkpoint ${path}.`);
      return add(session, number, () => source.adapter, { path, optimizer }, digest);
    },

    info(id) {
      const model = known.find(id);
      if (!model) throw new Refused(404, `There is no model ${JSON.stringify(id.slice(0, 100))}.`);
      const { adapter, created, ended, isAwake } = model;
      return { id, adapter, created, status: ended === null ? (isAwake ? "created" : "saved") : "unloaded" };
    },

    pass({ model: id, rows, loss, config, backward, ...request }) {
      const held = rows.reduce((sum, row) => sum + 500 + 20 * row.inputs.length, 0);
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
      return take(known.open(id), request, run, { bytes: held });
    },

    update({ model: id, options, ...request }) {
      return take(known.open(id), request, async () => {
        const { gradientNorm } = await compute.run("update", { model: id, options });
        return answer({ type: "optim_step", metrics: { grad_norm: gradientNorm, learning_rate: options.learningRate } });
      });
    },

    save({ model: id, name: given, lifetime, overwrite, ...request }) {
      const model = known.open(id);
      const checkpointName = given ?? `state-${request.seq ?? `${Date.now()}`}`;
      const address: Address = { model: id, kind: "weights", name: checkpointName };
      const done = answer({ type: "save_weights", path: addressText(address) });
      if (model.restored !== null && request.seq !== null && model.saved?.next === request.seq + 1 && model.saved.name === checkpointName) {
        // The request that the state is of, sent again because its answer was lost.
        const future = results.open();
        settle(future, done);
        return future;
      }
      return take(model, request, async () => {
        await saved.write(address, lifetime, async () => {
          if (!overwrite && (await store.has(address)))
            throw new Refused(400, `There is a checkpoint ${addressText(address)} already: choose another name, or say overwrite.`);
          // Cut off between its files and its record, it would be taken for what the earlier request saved.
          if (model.saved?.name === checkpointName) await known.unsave(model);
          const { hasGradient } = await compute.run("save", { model: id, folder: store.folder(address), state: true, base: folder });
          // Where a gradient waits, the requests that made it would be missing.
          const isPlaced = request.seq !== null && model.queue.isNumbered && !hasGradient;
          model.saved = { name: checkpointName, next: isPlaced ? request.seq! + 1 : null };
          await known.keep(model);
        });
        return done;
      });
    },

    saveForSampler({ model: id, name: given, lifetime, sampler, ...request }) {
      const model = known.open(id);
      return take(model, request, async () => {
        if (given === null && sampler !== null) {
          const samplerId = await all.sampler(model.session, sampler, request.digest, (made) => ({ from: { snapshot: made }, path: null }));
          await held.take(samplerId, model.session, id);
          return answer({ type: "save_weights_for_sampler", sampling_session_id: samplerId });
        }
        const address: Address = { model: id, kind: "sampler_weights", name: given ?? `sampler-${request.seq ?? `${Date.now()}`}` };
        const path = addressText(address);
        await saved.write(address, lifetime, async () => {
          if (await store.has(address)) throw new Refused(400, `There is a checkpoint ${path} already: choose another name.`);
          await compute.run("save", { model: id, folder: store.folder(address), state: false, base: folder });
        });
        const from: Sampler = { folder: store.folder(address) };
        const samplerId = sampler === null ? null : await all.sampler(model.session, sampler, request.digest, () => ({ from, path }));
        return answer({ type: "save_weights_for_sampler", path, ...(samplerId !== null && { sampling_session_id: samplerId }) });
      });
    },

    async load({ model: id, path, optimizer, ...request }) {
      const address = await saved.at(path, ["weights"]);
      const model = known.open(id);
      if (model.origin || (request.seq === null ? model.isUsed : request.seq !== 1))
        throw new Refused(400, "Weights can be loaded by a model's first request only: create another model.");
      return take(model, request, async () => {
        await compute.run("load", { model: id, adapter: model.adapter, folder: store.folder(address), optimizer });
        return answer({ type: "load_weights", path, model_id: id });
      });
    },

    unload(id) {
      const done = answer({ type: "unload_model", model_id: id });
      const settled = (outcome: Promise<Outcome>): string => {
        const future = results.open();
        void outcome.catch(failure).then((made) => settle(future, made));
        return future;
      };
      // Sent again because its answer was lost.
      if (known.find(id)?.ended === unloaded) return settled(Promise.resolve(done));
      const before = unloads.get(id);
      if (before !== undefined && results.has(before)) return before;
      const model = known.open(id);
      const run = async (): Promise<Outcome> => {
        unloads.delete(id);
        known.end(model, unloaded);
        await known.keep(model);
        return done;
      };
      // What is not in memory need not come there for this.
      if (!model.isAwake && model.queue.size === 0) return settled(run());
      const future = take(model, { seq: null, digest: "" }, run, { isNeutral: true });
      unloads.set(id, future);
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
      if ("snapshot" in sampler.from && !held.has(sampler.from.snapshot))
        throw new Refused(404, "The weights of this sampling session are no longer in memory: save them again.");
      const before = key === null ? undefined : asked.get(key);
      // A request that is repeated when its result is no longer there is drawn anew.
      if (before && results.has(before.future)) {
        if (before.digest !== digest) throw new Refused(409, "A request of this number in this sampling session was another one.");
        return before.future;
      }
      const future = samples.add(job.samples, (): Sample => ({ future: results.open(), from: sampler.from, settings, job, promptFrom }));
      if (key !== null) {
        asked.set(key, { digest, future });
        if (asked.size > limits.keepCount) asked.delete(asked.keys().next().value!);
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
      for (const model of known.busy()) for (const future of model.queue.clear()) settle(future, gone);
      for (const future of samples.clear()) settle(future, gone);
      await taking.idle();
      results.close();
      await compute.close();
      store.close();
    },
  };
}

/** The computing thread with its model, which the store is of. */
async function opened(
  store: Store,
  open: { readonly folder: string; readonly threads: number | null },
  name: string,
  onFault: () => void,
): Promise<Compute> {
  let compute: Compute | null = null;
  try {
    compute = await startCompute(open, onFault);
    await store.claim(compute.base.fingerprint, name);
    return compute;
  } catch (cause) {
    await compute?.close();
    store.close();
    if (cause instanceof GuerdonError) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new GuerdonError(cause instanceof JobFailed && cause.user ? "input" : "internal", message, { cause });
  }
}

/** An adapter as the request describes it, on this model. */
function adapterOf({ rank, seed, attention: onAttention, mlp }: LoraRequest, has: readonly Projection[]): Adapter {
  const targets = has.filter((one) => (attention.includes(one) ? onAttention : mlp));
  if (targets.length === 0)
    throw new Refused(400, "An adapter needs train_attn or train_mlp: one on the unembedding alone is not offered here.");
  return { rank, seed: seed ?? Math.floor(Math.random() * 2 ** 31), targets };
}
