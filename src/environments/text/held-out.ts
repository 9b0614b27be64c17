import { GuerdonError } from "../../error.ts";
import type { Split } from "../environment.ts";

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let c = byte;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c;
});

/** CRC-32 of a text's UTF-8 bytes (the polynomial of zip, gzip and PNG; equals Python's `zlib.crc32`), a whole number in [0, 2^32). */
export function crc32(text: string): number {
  let c = 0xffffffff;
  for (const byte of new TextEncoder().encode(text)) c = table[(c ^ byte) & 0xff]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/** The split a generated task belongs to, by its key alone: one task in five is held out, on every machine and in every run the same. */
export const splitOf = (key: string): Split => (crc32(key) % 5 === 0 ? "test" : "train");

/**
 * Refuses a set of tasks in which one split is empty, because a sampler that redraws until it meets the right split would never end.
 * Stops reading as soon as both splits have been seen.
 *
 * @param keys the keys of all tasks
 * @param what names the environment in the message
 * @throws GuerdonError "usage"
 */
export function requireBothSplits(keys: Iterable<string>, what: string): void {
  const seen = new Set<Split>();
  let count = 0;
  for (const key of keys) {
    count++;
    if (seen.add(splitOf(key)).size === 2) return;
  }
  throw new GuerdonError(
    "usage",
    `${what} has ${count} tasks in all and none of them ${seen.has("train") ? "is held out for testing" : "is for training"}, so drawing one would never end. Use a wider range of numbers.`,
  );
}
