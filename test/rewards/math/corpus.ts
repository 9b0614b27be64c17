import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

export interface Pair {
  readonly category: string;
  /** An answer without prose, or a whole completion. */
  readonly answer?: string;
  readonly completion?: string;
  readonly reference: string;
  readonly same: boolean;
  readonly tolerance?: number;
}

export function readPairs(path = resolve(import.meta.dirname, "corpus.jsonl")): Pair[] {
  return readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Pair);
}

/** A third of the pairs, by hash, at which nobody looks while tuning. */
export const heldOut = ({ category, answer, completion, reference }: Pair): boolean =>
  createHash("sha256")
    .update(JSON.stringify([category, answer ?? completion, reference]))
    .digest()[0]! %
    3 ===
  0;
