import { GuerdonError } from "../error.ts";
import type { HostTensor, Json, Snapshot } from "../statistics/snapshot.ts";

const version = 1;

/** What an engine counts. */
export interface Counters {
  readonly weightsVersion: number;
  readonly optimizerStep: number;
}

/** Whose snapshot it is, so that it is not restored into something else. */
export interface Owner {
  /** Kind of engine. */
  readonly engine: string;
  /** Of the policy. */
  readonly family: string;
  /** Fingerprint of the weights that are not in the snapshot; "" when all are. */
  readonly frozen: string;
}

export const engineSnapshot = ({ engine, family, frozen }: Owner, counters: Counters, tensors: Snapshot["tensors"]): Snapshot => ({
  version,
  json: { engine, family, frozen, weightsVersion: counters.weightsVersion, optimizerStep: counters.optimizerStep },
  tensors,
});

/** @throws GuerdonError "input" when the snapshot is of another kind of engine or policy, of other frozen weights, or of another version */
export function countersOf(snapshot: Snapshot, { engine, family, frozen }: Owner): Counters {
  const json: Readonly<Record<string, Json>> =
    typeof snapshot.json === "object" && snapshot.json !== null && !Array.isArray(snapshot.json)
      ? (snapshot.json as Readonly<Record<string, Json>>)
      : {};
  const { weightsVersion, optimizerStep } = json;
  if (snapshot.version !== version || json["engine"] !== engine || json["family"] !== family)
    throw new GuerdonError(
      "input",
      `This snapshot (version ${snapshot.version}, ${JSON.stringify(snapshot.json)}) does not fit: version ${version} of a "${engine}" engine with a "${family}" policy is needed.`,
    );
  if (json["frozen"] !== frozen)
    throw new GuerdonError(
      "input",
      "This snapshot is of an adapter (or another trainable part) on other frozen weights: make the engine from the model that it was trained on.",
    );
  if (typeof weightsVersion !== "number" || typeof optimizerStep !== "number")
    throw new GuerdonError("input", `This snapshot lacks its counters: ${JSON.stringify(snapshot.json)}.`);
  return { weightsVersion, optimizerStep };
}

/** 32 bits, in hexadecimal, that change when a name, shape or number does (FNV-1a over names, shapes and the words of the data); "" for no tensors. */
export function fingerprint(tensors: Readonly<Record<string, HostTensor>>): string {
  if (Object.keys(tensors).length === 0) return "";
  let hash = 0x811c9dc5;
  const add = (word: number): void => {
    hash = Math.imul(hash ^ word, 0x01000193);
    // A product's low bits depend on low bits alone; the shift lets the high bits of a float count.
    hash ^= hash >>> 15;
  };
  for (const name of Object.keys(tensors).sort()) {
    const { shape, data } = tensors[name]!;
    for (let i = 0; i < name.length; i++) add(name.charCodeAt(i));
    for (const n of shape) add(n);
    const words = new Int32Array(data.buffer, data.byteOffset, data.length);
    for (let i = 0; i < words.length; i++) add(words[i]!);
  }
  return (hash >>> 0).toString(16).padStart(8, "0");
}
