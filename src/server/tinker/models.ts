import type { Compute } from "./compute.ts";
import type { Futures, Outcome } from "./futures.ts";
import { queue, type Queue } from "./queue.ts";
import { Refused } from "./refused.ts";
import { failure } from "./sampling.ts";
import { addressFrom, addressText, modelIdOf, type ModelRecord, type Store } from "./store.ts";
import type { Adapter } from "./wire.ts";

/** An adapter on the base, and how far its training has come. */
export interface Model {
  readonly id: string;
  readonly session: string;
  readonly created: string;
  /** Of the request that made it. */
  readonly digest: string;
  readonly adapter: Adapter;
  readonly origin: ModelRecord["origin"];
  saved: ModelRecord["saved"];
  ended: string | null;
  queue: Queue;
  /** Its weights are in memory, or on their way there. */
  isAwake: boolean;
  /** Why it is as it was last saved, or began, where no request has continued it since: the beginning of a sentence. */
  restored: string | null;
  /** A request other than its creation was taken. */
  isUsed: boolean;
}

/** What identifies a numbered request. */
export interface Request {
  readonly model: string;
  readonly seq: number | null;
  readonly digest: string;
}

export interface ModelLimits {
  /** Models in memory. */
  readonly models: number;
  /** Requests of a model that wait. */
  readonly waiting: number;
  /** What the waiting requests of all models may hold. */
  readonly bytes: number;
}

export interface TakeOptions {
  /** It changes nothing of what was trained, so that it needs no number. */
  readonly isNeutral?: boolean;
  /** What it holds while it waits. */
  readonly bytes?: number;
}

export interface Models {
  readonly ids: () => readonly string[];
  /** Those where something waits or runs. */
  readonly busy: () => readonly Model[];
  /** Those in memory. */
  readonly awake: () => readonly Model[];
  find(id: string): Model | null;
  /** @throws Refused 404 for a model that is not there, or no longer in memory */
  open(id: string): Model;
  /** Whether the model is the one that this request made, so that the request is only a repeated one. @throws Refused 409 for another one */
  before(session: string, number: number, digest: string): Model | null;
  /** @throws Refused 429 when there is no room for one more */
  create(session: string, number: number, adapter: Adapter, origin: ModelRecord["origin"], digest: string): Model;
  /**
   * Takes a request: its turn comes after those before it, and its model is in memory then.
   *
   * @throws Refused 409 for one that does not follow what the model has come to; 429 when too much waits
   */
  take(model: Model, request: Omit<Request, "model">, run: () => Promise<Outcome>, options?: TakeOptions): string;
  /** Writes down what the model is. */
  keep(model: Model): Promise<void>;
  /** Takes it out of memory for good. */
  end(model: Model, why: string): void;
  /** Its last saved state is to be deleted. */
  unsave(model: Model): Promise<void>;
  /** After the loss of the computing thread: the model is as it was last saved, or began, and what waits is told so. */
  fallBack(model: Model, why: string): void;
}

/** What to do about a model that is gone. */
export const recourse = ({ id, saved }: Model): string =>
  saved
    ? `Its last saved state, ${addressText({ model: id, kind: "weights", name: saved.name })}, can be loaded into a new model.`
    : "No state of it was saved.";

/** What becomes of a model's requests when the computing thread is lost. */
const gone = (model: Model, why: string): Outcome => ({
  failed: `${why} What the model learnt since it was last saved went with it. ${recourse(model)}`,
  user: false,
});

export interface ModelsSetting {
  readonly store: Store;
  readonly compute: Compute;
  readonly futures: Futures;
  readonly limits: ModelLimits;
  /** A sign of life of a session. */
  readonly touch: (session: string) => void;
  /** There is work. */
  readonly wake: () => void;
  readonly onEvent: (sentence: string) => void;
}

/** The models of the server: those in memory, and those that can come back into it. */
export function models({ store, compute, futures, limits, touch, wake, onEvent }: ModelsSetting): Models {
  const all = new Map<string, Model>();
  const newQueue = (first: number): Queue => queue(first, limits, futures);
  for (const record of store.models) {
    const { id, created, digest, adapter, origin, saved, ended } = record;
    const session = id.slice(0, id.indexOf(":"));
    const state = { isAwake: false, restored: "The server was started anew", isUsed: true };
    all.set(id, { id, session, created, digest, adapter, origin, saved, ended, queue: newQueue(saved?.next ?? 1), ...state });
  }

  const keep = ({ id, created, digest, adapter, origin, saved, ended }: Model): Promise<void> =>
    store.putModel({ id, created, digest, adapter: { ...adapter, targets: [...adapter.targets] }, origin, saved, ended });

  /** Puts a model's weights into memory: as last saved, as it began, or fresh. */
  async function rouse(model: Model): Promise<void> {
    if (model.isAwake) return;
    model.isAwake = true;
    const { id, adapter, saved, origin } = model;
    const load = (folder: string, optimizer: boolean) => compute.run("load", { model: id, adapter, folder, optimizer });
    try {
      if (saved) await load(store.folder({ model: id, kind: "weights", name: saved.name }), true);
      else if (origin) await load(store.folder(addressFrom(origin.path)), origin.optimizer);
      else await compute.run("create", { model: id, adapter });
    } catch (cause) {
      if (compute.fault()?.kind === "ended") throw cause;
      if (model.restored === null) end(model, "it could not be made");
      model.isAwake = false;
      throw cause;
    }
  }

  /** A model that was lost from memory goes on exactly where its last state was saved, or not at all. */
  function checkContinues(model: Model, seq: number | null): void {
    const { saved, queue: own } = model;
    const how = recourse(model);
    if (saved && saved.next === null)
      throw new Refused(409, `${model.restored}, and the requests that this model's last state followed cannot be told apart. ${how}`);
    if (seq !== own.position)
      throw new Refused(
        409,
        `${model.restored}: this model is as it was before request ${own.position}, and continues with that one. ${how}`,
      );
  }

  function checkModels(): void {
    let count = 0;
    for (const { ended, restored } of all.values()) if (ended === null && restored === null) count++;
    if (count >= limits.models) throw new Refused(429, `There are ${count} models in memory, as many as this server takes: unload one.`);
  }

  function room(bytes: number): void {
    let held = 0;
    for (const model of all.values()) held += model.queue.bytes;
    if (held > 0 && held + bytes > limits.bytes)
      throw new Refused(429, `The requests that wait hold ${Math.round(held / 2 ** 20)} MiB already; send this one later.`);
  }

  function end(model: Model, why: string): void {
    model.ended = why;
    for (const future of model.queue.clear()) futures.settle(future, { failed: `The model is not in memory: ${why}.`, user: true });
    if (model.isAwake) void compute.run("drop", { model: model.id }).catch(() => onEvent(`${model.id} could not be unloaded.`));
    model.isAwake = false;
  }

  /** What waits was meant for a model that is no more. */
  function anew(model: Model, restored: string, why: string): void {
    for (const future of model.queue.clear()) futures.settle(future, gone(model, why));
    model.queue = newQueue(model.saved?.next ?? 1);
    model.restored = restored;
  }

  const there = (model: Model): Model => {
    if (model.ended !== null) throw new Refused(404, `The model is not in memory: ${model.ended}. ${recourse(model)}`);
    return model;
  };

  return {
    ids: () => [...all.keys()],
    busy: () => [...all.values()].filter((model) => model.queue.size > 0),
    awake: () => [...all.values()].filter(({ isAwake }) => isAwake),
    find: (id) => all.get(id) ?? null,
    open(id) {
      const model = all.get(id);
      if (!model) throw new Refused(404, `There is no model ${JSON.stringify(id.slice(0, 100))}.`);
      touch(there(model).session);
      return model;
    },
    before(session, number, digest) {
      const model = all.get(modelIdOf(session, number));
      if (!model) return null;
      if (model.digest !== digest) throw new Refused(409, `Model ${number} of this session is another one.`);
      return there(model);
    },
    create(session, number, adapter, origin, digest) {
      checkModels();
      const id = modelIdOf(session, number);
      const state = { isAwake: false, restored: null, isUsed: origin !== null };
      const made = { id, session, created: new Date().toISOString(), digest, adapter, origin, saved: null, ended: null };
      const model: Model = { ...made, queue: newQueue(1), ...state };
      all.set(id, model);
      return model;
    },
    take(model, { seq, digest }, run, { isNeutral = false, bytes = 0 } = {}) {
      if (model.restored !== null && !isNeutral) {
        checkContinues(model, seq);
        checkModels();
      }
      const future = model.queue.add({ seq, digest, isNeutral }, () => {
        room(bytes);
        return {
          future: futures.open(),
          bytes,
          run: async () => {
            try {
              await rouse(model);
              return await run();
            } catch (cause) {
              const fault = compute.fault();
              return fault?.kind === "ended" ? gone(model, fault.reason) : failure(cause);
            }
          },
        };
      });
      if (!isNeutral) {
        model.restored = null;
        model.isUsed = true;
      }
      wake();
      return future;
    },
    keep,
    end,
    async unsave(model) {
      model.saved = null;
      // What is not in memory begins again as it began.
      const deleted = "The state that the model was to go on from was deleted";
      if (!model.isAwake) anew(model, deleted, `${deleted}.`);
      await keep(model);
    },
    fallBack(model, why) {
      anew(model, "The computing thread was started anew", why);
      model.isAwake = false;
    },
  };
}
