import { GuerdonError } from "../error.ts";
import type { Host } from "./host.ts";

/** In a browser there are no paths: each operation fails with a sentence that says so. */
export function browserHost(): Host {
  const refusal = (path: string): GuerdonError =>
    new GuerdonError(
      "unsupported",
      `"${path}" is a path, and a browser cannot open paths. Fetch the file or let the user choose it, and pass its rows.`,
    );
  const refuse = (path: string): Promise<never> => Promise.reject(refusal(path));
  return {
    readText: refuse,
    readBytes: refuse,
    readLines: (path) => ({ [Symbol.asyncIterator]: () => ({ next: () => refuse(path) }) }),
    writeAtomic: refuse,
    append: refuse,
    exists: refuse,
    list: refuse,
  };
}
