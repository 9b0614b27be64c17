import { GuerdonError } from "../../src/error.ts";
import { diskFiles, ioError, type Files } from "../../src/training/runs/files.ts";

/** The operations that change something on the disk. */
const changes = ["makeFolder", "write", "writeNew", "append", "sync", "rename", "truncate", "remove"] as const;

/**
 * The real file system, with a hand on it: `before` is called ahead of each change with its number from 0 and a description. When it
 * throws or does not return, the change has not happened; of a `write` or `append`, the first half of the bytes is on the disk by then.
 */
export function watched(before: (number: number, what: string) => void, files: Files = diskFiles): Files {
  let number = 0;
  const out: Record<string, unknown> = { ...files };
  for (const name of changes) {
    const original = files[name] as (...values: unknown[]) => unknown;
    out[name] = (path: string, ...rest: unknown[]) => {
      const bytes = rest[0];
      const half =
        bytes instanceof Uint8Array && name !== "writeNew" ? () => void original(path, bytes.subarray(0, bytes.length >> 1)) : null;
      let failure: unknown;
      try {
        before(number++, `${name} ${path}`);
      } catch (cause) {
        failure = cause;
      }
      if (failure !== undefined) {
        half?.();
        throw failure;
      }
      return original(path, ...rest);
    };
  }
  return out as unknown as Files;
}

/** A disk that is full from the `at`-th change on that matches `what`. */
export function full(at: number, what: RegExp = /./): Files {
  let seen = 0;
  return watched((_, description) => {
    const writes = /^(write|append|makeFolder)/.test(description);
    if (writes && what.test(description) && seen++ >= at)
      throw ioError(
        "write",
        description.split(" ")[1]!,
        Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" }),
      );
  });
}

export const isIo = (error: unknown): boolean => error instanceof GuerdonError && error.code === "io";
