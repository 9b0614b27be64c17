import type { Engine, Reader } from "../engines/engine.ts";
import type { Snapshot, Stateful } from "../statistics/snapshot.ts";
import type { TextSequence } from "../policies/policy.ts";
import { GuerdonError } from "../error.ts";

/** A reference policy: the engine's weights as they were when `refresh` was last called. */
export interface FrozenReference<X = TextSequence> extends Stateful {
  /** The present reference. Throws "internal" when `refresh` was never called. */
  reader(): Reader<X>;
  /** Takes the engine's present weights as the reference. */
  refresh(): Promise<void>;
  dispose(): void;
}

/**
 * A reference policy that survives a resume with any engine: beside the reader it keeps a snapshot of the engine from the same moment,
 * in host memory. Restoring puts the old weights in for a moment, freezes them, and puts the present ones back.
 */
export function frozenReference<X = TextSequence>(engine: Engine<X>): FrozenReference<X> {
  let held: { readonly reader: Reader<X>; readonly weights: Snapshot } | null = null;
  const dispose = (): void => {
    held?.reader.dispose?.();
    held = null;
  };
  return {
    dispose,
    reader() {
      if (held === null) throw new GuerdonError("internal", "The reference policy was read before the phase that needs it had begun.");
      return held.reader;
    },
    async refresh() {
      dispose();
      held = { reader: await engine.freeze(), weights: await engine.snapshot() };
    },
    async snapshot() {
      if (held === null) return { version: 1, json: null, tensors: {} };
      return { version: 1, json: { version: held.weights.version, json: held.weights.json }, tensors: held.weights.tensors };
    },
    async restore(saved) {
      if (saved.version !== 1)
        throw new GuerdonError(
          "input",
          `The checkpoint's reference has version ${saved.version}; this version of guerdon reads version 1.`,
        );
      dispose();
      const inner = saved.json as Pick<Snapshot, "version" | "json"> | null;
      if (inner === null) return;
      const weights: Snapshot = { version: inner.version, json: inner.json, tensors: saved.tensors };
      const present = await engine.snapshot();
      await engine.restore(weights);
      held = { reader: await engine.freeze(), weights };
      await engine.restore(present);
    },
  };
}
