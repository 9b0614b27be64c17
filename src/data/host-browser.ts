import { GuerdonError } from "../error.ts";
import type { Host, Peer, PeerEnd } from "./host.ts";

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
    async digest(text) {
      const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
      return btoa(String.fromCharCode(...bytes.subarray(0, 24)))
        .replaceAll("+", "-")
        .replaceAll("/", "_");
    },
    readChunks: (path) => ({ [Symbol.asyncIterator]: () => ({ next: () => refuse(path) }) }),
    readRange: refuse,
    decompress(format) {
      throw new GuerdonError(
        "unsupported",
        `Data compressed with ${format} cannot be read in a browser here. Write it without compression or with snappy.`,
      );
    },
    stat: refuse,
    rename: refuse,
    truncate: refuse,
    remove: refuse,
    writeNew: refuse,
    sync: refuse,
    start: async (module, { kind, page }) => {
      if (kind === "process") throw new GuerdonError("unsupported", "A browser has no processes of its own: this part needs Node.");
      return pageWorker(page ? page() : new Worker(module, { type: "module" }));
    },
    find: () => Promise.resolve(null),
    run: (program) => Promise.reject(new GuerdonError("unsupported", `A browser cannot run the program ${program}: this part needs Node.`)),
    stripTypes: () =>
      Promise.reject(new GuerdonError("unsupported", "Types are stripped by Node, and this is a browser: give it JavaScript instead.")),
  };
}

function pageWorker(worker: Worker): Peer {
  const early: unknown[] = [];
  let hand: ((message: unknown) => void) | null = null;
  let settle!: (end: PeerEnd) => void;
  const ended = new Promise<PeerEnd>((resolve) => (settle = resolve));
  worker.addEventListener("message", ({ data }: MessageEvent) => (hand === null ? early.push(data) : hand(data)));
  worker.addEventListener("error", ({ message }) => {
    worker.terminate();
    settle({ kind: "threw", reason: `it threw ${message || "while it was loaded"}` });
  });
  return {
    post: (message) => worker.postMessage(message),
    listen(listener) {
      hand = listener;
      for (const message of early.splice(0)) listener(message);
    },
    async kill() {
      worker.terminate();
      settle({ kind: "killed", reason: "it was killed" });
    },
    ended,
  };
}
