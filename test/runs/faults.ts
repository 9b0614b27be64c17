import { diskFiles, ioError, type Files } from "../../src/training/runs/files.ts";

/** The operations that change something on the disk. */
const changes = ["makeFolder", "write", "writeNew", "append", "sync", "rename", "truncate", "remove"] as const;

/**
 * The real file system, with a hand on it: `before` is called ahead of each change with its number from 0, a description, and a function
 * that puts the first half of the bytes of a `write` or `append` on the disk. When `before` throws or does not return, nothing else of
 * the change happens.
 */
export function watched(before: (number: number, what: string, half: () => void) => void, files: Files = diskFiles): Files {
  let number = 0;
  const out: Record<string, unknown> = { ...files };
  for (const name of changes) {
    const original = files[name] as (...values: unknown[]) => unknown;
    out[name] = (path: string, ...rest: unknown[]) => {
      const bytes = rest[0];
      before(number++, `${name} ${path}`, () => {
        if (bytes instanceof Uint8Array) original(path, bytes.subarray(0, bytes.length >> 1));
      });
      return original(path, ...rest);
    };
  }
  return out as unknown as Files;
}

/** A disk that is full from the `at`-th change on that matches `what`. */
export function full(at: number, what: RegExp = /./): Files {
  let seen = 0;
  return watched((_, description, half) => {
    const writes = /^(write|append|makeFolder)/.test(description);
    if (!writes || !what.test(description) || seen++ < at) return;
    if (!description.startsWith("makeFolder")) half();
    throw ioError(
      "write",
      description.split(" ")[1]!,
      Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" }),
    );
  });
}
