import { rm } from "node:fs/promises";
import type { Compute } from "./compute.ts";
import type { Model, Models } from "./models.ts";
import type { Store } from "./store.ts";
import type { Source } from "./turns.ts";

export interface MendingSetting {
  readonly compute: Compute;
  readonly known: Models;
  readonly store: Store;
  /** The base model's folder. */
  readonly folder: string;
  /** Weights that were in memory only are gone. */
  readonly onLoss: () => void;
  readonly onEvent: (sentence: string) => void;
}

export interface Mending extends Source {
  /** The thread has a fault and is to be replaced, or is just being replaced. */
  isDue(): boolean;
}

/**
 * Puts a new computing thread in the place of one with a fault. Of a thread that ended nothing is left: its models are as they were last
 * saved. One whose memory is full is read before it ends, so that its models go on as they are, but for those where a gradient waits.
 */
export function mending({ compute, known, store, folder, onLoss, onEvent }: MendingSetting): Mending {
  let isHopeless = false;
  let isUnderWay = false;
  /** Not a name that a checkpoint can have. */
  const folderOf = ({ id }: Model): string => store.folder({ model: id, kind: "weights", name: "moving.partial" });

  /** Whether the model is on the disk as it is. */
  async function written(model: Model): Promise<boolean> {
    try {
      const { hasGradient } = await compute.run("save", { model: model.id, folder: folderOf(model), state: true, base: folder });
      return !hasGradient;
    } catch (cause) {
      onEvent(`${model.id} could not be taken to another computing thread: ${String(cause)}`);
      return false;
    }
  }

  async function read(model: Model): Promise<boolean> {
    try {
      await compute.run("load", { model: model.id, adapter: model.adapter, folder: folderOf(model), optimizer: true });
      return true;
    } catch (cause) {
      onEvent(`${model.id} could not be taken to another computing thread: ${String(cause)}`);
      return false;
    }
  }

  async function mend(): Promise<void> {
    isUnderWay = true;
    const { kind, reason } = compute.fault()!;
    const models = known.awake();
    const moving: Model[] = [];
    if (kind === "full") for (const model of models) if (model.isAwake && (await written(model))) moving.push(model);
    try {
      await compute.restart();
    } catch (cause) {
      isHopeless = true;
      onEvent(`No other computing thread can be had: ${String(cause)}`);
    }
    onLoss();
    const why =
      kind === "ended" ? reason : "The computing thread had no memory left, and what waited for an update could not be taken to another.";
    let [moved, fallen] = [0, 0];
    // Those that somebody ended in the meantime are left alone.
    for (const model of models)
      if (!isHopeless && model.isAwake && moving.includes(model) && (await read(model))) moved++;
      else if (model.isAwake) {
        known.fallBack(model, why);
        fallen++;
      }
    for (const model of models)
      await rm(folderOf(model), { recursive: true, force: true }).catch((cause: unknown) => onEvent(`A leftover stays: ${String(cause)}`));
    const told = kind === "ended" ? reason : `The computing thread had no memory left (${reason})`;
    onEvent(`${told} Models that go on in another as they are: ${moved}; as they were last saved: ${fallen}.`);
    isUnderWay = false;
  }

  return {
    isDue: () => isUnderWay || (compute.fault() !== null && !isHopeless),
    next: () => mend,
  };
}
