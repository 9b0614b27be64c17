import type { LargeFiles } from "./large-files.ts";

/**
 * The machine's files, workers and processes, as far as rooms that also run in a browser need them. There is one implementation for Node
 * and one for browsers, where whatever a page cannot do is one clear error. Paths are as the user wrote them.
 */
export interface Host extends LargeFiles {
  /** The whole file as UTF-8 text, without a byte-order mark. */
  readText(path: string): Promise<string>;
  readBytes(path: string): Promise<Uint8Array>;
  /** The lines of a UTF-8 file, compressed or not, without their ends (LF or CRLF) and without a byte-order mark, read as they are asked for. */
  readLines(path: string): AsyncIterable<string>;
  /** Replaces the file in one step: readers see the old content or the new, never a half. Makes missing folders. */
  writeAtomic(path: string, content: string | Uint8Array): Promise<void>;
  /** Adds to the end of a file, which is made if need be. */
  append(path: string, text: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** The names in a folder, sorted. */
  list(path: string): Promise<string[]>;
  /** A short name for a text: the first 192 bits of its SHA-256 in URL-safe base64. */
  digest(text: string): Promise<string>;
  /**
   * Starts a module in a worker or in a process of its own. The module listens with `listen` or `answerJobs` of peer.ts. Name it by
   * `new URL("./name.ts", import.meta.url)`: where only the compiled name.js lies there, that is taken. Bundlers for pages need `page` as well.
   *
   * A peer never keeps this process alive by itself, and none outlives it: a peer process watches its parent from a thread of its own, so
   * that even one that never yields ends within a second of it.
   *
   * @throws GuerdonError "unsupported" for a process in a browser; "io" when it cannot be started
   */
  start(module: URL, options: StartOptions): Promise<Peer>;
  /** Where a program lies on this machine's PATH; null where it does not. */
  find(program: string): Promise<string | null>;
  /**
   * Runs a program of this machine in a new folder that holds the given files and is removed afterwards: without this process's environment
   * and input, under limits, and without a network or sight of other processes where the system has `unshare`. The program and all that it
   * started are gone when the promise settles.
   *
   * @throws GuerdonError "unsupported" in a browser; "io" when it cannot be started; "interrupted"
   */
  run(program: string, args: readonly string[], options: RunOptions): Promise<RunResult>;
  /** TypeScript with its types replaced by spaces. @throws GuerdonError "unsupported" in a browser; SyntaxError for what is no erasable TypeScript */
  stripTypes(source: string): Promise<string>;
}

export interface StartOptions {
  /** A worker is cheap and shares this process; a process can be killed at any point, whatever native code it is in. */
  readonly kind: "worker" | "process";
  /** Options of Node or V8 for a peer process, such as `--wasm-max-mem-pages=4096`. */
  readonly flags?: readonly string[];
  /** A peer that grows beyond it is ended. A worker's counts only its JavaScript heap, a process's everything that is resident. */
  readonly memoryMiB?: number;
  /**
   * For a peer process that runs the user's own code: it gets this process's environment, folder and Node options, and what it prints comes
   * out on this process's standard error. Without it a peer gets none of these.
   */
  readonly trusted?: boolean;
  /**
   * For a peer process that runs what nobody trusts: it may write no file, start no process, load no native code, and read nothing but this
   * package and the packages named here.
   */
  readonly reads?: readonly string[];
  /** How a page starts the worker, in the form that bundlers see through: `() => new Worker(new URL("./name.js", import.meta.url), { type: "module" })`. */
  readonly page?: () => Worker;
}

export interface RunOptions {
  /** Files of the folder in which it runs, by name. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  readonly timeoutMs: number;
  readonly memoryMiB: number;
  /** The most bytes that it may write to its outputs together; the largest file that it may write. */
  readonly outputLimit: number;
  /** Names of files that are read back. */
  readonly keep?: readonly string[];
  readonly signal?: AbortSignal | undefined;
}
export interface RunResult {
  /** How it ended: by itself, or ended by us because it was too late or wrote too much. */
  readonly end: "exited" | "timeout" | "output";
  /** Its exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
}

/** A module that runs somewhere else. Messages are structured clones. */
export interface Peer {
  /** The process id of a peer process. */
  readonly pid?: number;
  post(message: unknown): void;
  /** Sets the one listener for its messages; messages that came before are handed over at once. */
  listen(listener: (message: unknown) => void): void;
  /** Ends it at once, whatever it is doing; resolves when it is gone. */
  kill(): Promise<void>;
  /** Resolves when it has ended, however that came about, with a sentence that says how. */
  readonly ended: Promise<PeerEnd>;
}

export interface PeerEnd {
  readonly kind: "killed" | "memory" | "exited" | "threw";
  readonly reason: string;
}

/** The host of this process: Node's file system, or the browser's refusal. */
export async function thisHost(): Promise<Host> {
  const onNode = typeof process === "object" && typeof process.versions?.node === "string";
  return onNode ? (await import("./host-node.ts")).nodeHost() : (await import("./host-browser.ts")).browserHost();
}
