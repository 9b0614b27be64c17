/**
 * The machine's files, as far as rooms that also run in a browser need them. There is one implementation for Node and one for browsers,
 * where every operation is one clear error. Paths are as the user wrote them.
 */
export interface Host {
  /** The whole file as UTF-8 text, without a byte-order mark. */
  readText(path: string): Promise<string>;
  readBytes(path: string): Promise<Uint8Array>;
  /** The lines of a UTF-8 file without their ends (LF or CRLF) and without a byte-order mark, read as they are asked for. */
  readLines(path: string): AsyncIterable<string>;
  /** Replaces the file in one step: readers see the old content or the new, never a half. Makes missing folders. */
  writeAtomic(path: string, content: string | Uint8Array): Promise<void>;
  /** Adds to the end of a file, which is made if need be. */
  append(path: string, text: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** The names in a folder, sorted. */
  list(path: string): Promise<string[]>;
}

/** The host of this process: Node's file system, or the browser's refusal. */
export async function thisHost(): Promise<Host> {
  const onNode = typeof process === "object" && typeof process.versions?.node === "string";
  return onNode ? (await import("./host-node.ts")).nodeHost() : (await import("./host-browser.ts")).browserHost();
}
