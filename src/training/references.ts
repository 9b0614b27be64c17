import type { Engine, Reader } from "../engines/engine.ts";
import type { Snapshot, Stateful } from "../statistics/snapshot.ts";
import type { TextSequence } from "../policies/policy.ts";
import { GuerdonError } from "../error.ts";

/** A reference policy as a run keeps it: nothing that the run does to the engine's weights changes it. */
export interface FrozenReference<X = TextSequence> extends Stateful {
  /** The present reference. Throws "internal" when `refresh` was never called. */
  reader(): Reader<X>;
  /** Takes the reference; called when the phase that needs it begins. */
  refresh(): Promise<void>;
  dispose(): void;
}

/**
 * The engine's weights as they were when `refresh` was last called. It survives a resume with any engine: beside the reader it keeps a
 * snapshot of the engine from the same moment, in host memory. Restoring puts the old weights in for a moment, freezes them, and puts the
 * present ones back.
 */
export function frozenReference<X = TextSequence>(engine: Engine<X>): FrozenReference<X> {
  let held: { readonly reader: Reader<X>; readonly weights: Snapshot } | null = null;
  const dispose = (): void => {
    held?.reader.dispose?.();
    held = null;
  };
  return {
    dispose,
    reader: () => begun(held).reader,
    async refresh() {
      dispose();
      held = { reader: await engine.freeze(), weights: await engine.snapshot() };
    },
    async snapshot() {
      if (held === null) return { version: 1, json: null, tensors: {} };
      return { version: 1, json: { version: held.weights.version, json: held.weights.json }, tensors: held.weights.tensors };
    },
    async restore(saved) {
      const inner = kept(saved);
      if (typeof inner === "string") throw other(inner, "the engine's own weights");
      dispose();
      if (inner === null) return;
      const weights: Snapshot = { ...(inner as Pick<Snapshot, "version" | "json">), tensors: saved.tensors };
      const present = await engine.snapshot();
      await engine.restore(weights);
      held = { reader: await engine.freeze(), weights };
      await engine.restore(present);
    },
  };
}

/**
 * The model under the engine's adapter: costs no copy, and a checkpoint holds nothing of it.
 *
 * @throws GuerdonError "usage" when the engine's policy has no adapter
 */
export function baseReference<X = TextSequence>(engine: Engine<X>): FrozenReference<X> {
  const base = engine.base?.bind(engine);
  if (!base)
    throw new GuerdonError(
      "usage",
      "The base model can be the reference only where an adapter is trained on it, and this engine's policy has none.",
    );
  return unsaved("the model under the adapter", base, (reader) => reader.dispose?.());
}

/**
 * A reader of the caller's, for instance a checkpoint: `givenReference("models/base", await localReader(await readModel("models/base")))`.
 * It stays the caller's, who gives it again on resume.
 *
 * @param name goes into checkpoints, so that a run is not resumed with another one
 */
export const givenReference = <X = TextSequence>(name: string, reader: Reader<X>): FrozenReference<X> =>
  unsaved(
    name,
    async () => reader,
    () => {},
  );

/** A reference that can be had again at any time: a checkpoint holds its name. */
function unsaved<X>(name: string, take: () => Promise<Reader<X>>, free: (reader: Reader<X>) => void): FrozenReference<X> {
  let held: { readonly reader: Reader<X> } | null = null;
  const dispose = (): void => {
    if (held !== null) free(held.reader);
    held = null;
  };
  const refresh = async (): Promise<void> => {
    dispose();
    held = { reader: await take() };
  };
  return {
    dispose,
    refresh,
    reader: () => begun(held).reader,
    snapshot: async () => ({ version: 1, json: held === null ? null : name, tensors: {} }),
    async restore(saved) {
      const inner = kept(saved);
      if (inner !== null && inner !== name) throw other(typeof inner === "string" ? inner : "the engine's own weights", name);
      if (inner === null) dispose();
      else await refresh();
    },
  };
}

function begun<H>(held: H | null): H {
  if (held === null) throw new GuerdonError("internal", "The reference policy was read before the phase that needs it had begun.");
  return held;
}

function kept(saved: Snapshot): Snapshot["json"] {
  if (saved.version === 1) return saved.json;
  throw new GuerdonError("input", `The checkpoint's reference has version ${saved.version}; this version of guerdon reads version 1.`);
}

const other = (theirs: string, ours: string): GuerdonError =>
  new GuerdonError("input", `The checkpoint's reference policy is ${theirs}, and this run's is ${ours}: resume with the same one.`);
