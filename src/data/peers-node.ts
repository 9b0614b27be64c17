import { fork } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { findPackageJSON } from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { GuerdonError } from "../error.ts";
import type { Peer, PeerEnd, StartOptions } from "./host.ts";

/** Starts a module in a worker thread or in a process of its own; see `Host.start`. */
export function startPeer(module: URL, options: StartOptions): Promise<Peer> {
  const url = lying(module);
  if (options.kind === "worker" && options.flags !== undefined)
    throw new GuerdonError("usage", "Flags are for peer processes: V8 takes them for a whole process only.");
  return options.kind === "worker" ? startWorker(url, options) : startProcess(url, options);
}

/** The module's own address, or that of its compiled form where only this is there: published packages hold no TypeScript to run. */
function lying(module: URL): URL {
  if (module.protocol !== "file:") throw new GuerdonError("usage", `A peer's module must be a file, not ${module.href}.`);
  if (existsSync(module)) return module;
  const compiled = new URL(module.href.replace(/\.ts$/, ".js"));
  if (existsSync(compiled)) return compiled;
  throw new GuerdonError("io", `There is no module ${fileURLToPath(module)} to start.`);
}

function startWorker(url: URL, { memoryMiB }: StartOptions): Promise<Peer> {
  const worker = new Worker(url, {
    // Without the options of this process: --input-type or a loader, for one, would change what the module means.
    execArgv: ["--disable-warning=ExperimentalWarning"],
    env: {},
    ...(memoryMiB === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: memoryMiB } }),
  });
  const box = mailbox();
  let end: PeerEnd | null = null;
  const ended = new Promise<PeerEnd>((settle) => {
    worker.on("message", box.deliver);
    worker.on("error", (cause: Error & { code?: string }) => {
      end ??= cause.code === "ERR_WORKER_OUT_OF_MEMORY" ? overLimit(memoryMiB) : { kind: "threw", reason: `it threw ${textOf(cause)}` };
    });
    worker.on("exit", (code) => settle(end ?? { kind: "exited", reason: `it exited with code ${code}` }));
  });
  worker.unref();
  return Promise.resolve({
    post: (message) => worker.postMessage(message),
    listen: box.listen,
    async kill() {
      end ??= { kind: "killed", reason: "it was killed" };
      await worker.terminate();
      await ended;
    },
    ended,
  });
}

async function startProcess(url: URL, { flags = [], memoryMiB, trusted = false, reads }: StartOptions): Promise<Peer> {
  const guard = lying(new URL("./guard.ts", import.meta.url));
  const heap = memoryMiB === undefined ? [] : [`--max-old-space-size=${memoryMiB}`];
  const child = fork(fileURLToPath(url), memoryMiB === undefined ? [] : [String(memoryMiB)], {
    execArgv: [
      ...(trusted ? loading(process.execArgv) : []),
      ...heap,
      ...flags,
      ...(reads === undefined ? [] : permissions(url, reads)),
      "--disable-warning=ExperimentalWarning",
      "--import",
      pathToFileURL(resolve(fileURLToPath(guard))).href,
    ],
    // Nothing of this process's environment, which may hold keys, unless the code is the user's own.
    env: trusted ? { ...process.env, GUERDON_GUARDED: undefined } : {},
    cwd: trusted ? process.cwd() : dirname(fileURLToPath(url)),
    serialization: "advanced",
    stdio: ["ignore", trusted ? 2 : "ignore", "pipe", "ipc"],
  });
  const box = mailbox();
  let end: PeerEnd | null = null;
  let said = "";
  child.stderr?.on("data", (bytes: Buffer) => {
    said = (said + bytes.toString("latin1")).slice(-4096);
    if (trusted) process.stderr.write(bytes);
  });
  const ended = new Promise<PeerEnd>((settle) => {
    child.on("message", box.deliver);
    child.on("error", (cause) => {
      // Also emitted for a message that came too late for it: only a process that never started ends here.
      if (child.pid === undefined) settle({ kind: "threw", reason: `it could not be started: ${cause.message}` });
    });
    // The end of a process may be known before its last words are read: one turn of the event loop brings them.
    child.on("exit", (code, signal) => {
      setImmediate(() => setImmediate(() => settle(end ?? endOf(code, signal, said, memoryMiB))));
    });
  });
  // Node counts the pipe, the channel and the process each.
  child.unref();
  child.channel?.unref();
  (child.stderr as unknown as { unref?(): void } | null)?.unref?.();
  const peer: Peer = {
    ...(child.pid === undefined ? {} : { pid: child.pid }),
    post(message) {
      if (child.connected) child.send(message as object, () => undefined);
    },
    listen: box.listen,
    async kill() {
      end ??= { kind: "killed", reason: "it was killed" };
      child.kill("SIGKILL");
      // Nothing else would keep this process from ending before that one has.
      const awake = setInterval(() => undefined, 1000);
      await ended;
      clearInterval(awake);
    },
    ended,
  };
  if (child.pid === undefined) throw new GuerdonError("io", `Cannot start a process: ${(await ended).reason}.`);
  return peer;
}

/** Node's own permissions; threads stay allowed, because the guard is one. */
function permissions(module: URL, packages: readonly string[]): string[] {
  const folders = packages.map((name) => {
    const manifest = findPackageJSON(name, import.meta.url);
    if (manifest === undefined) throw new GuerdonError("missing-dependency", `This needs ${name}: npm install ${name}`);
    return dirname(realpathSync(manifest));
  });
  const own = findPackageJSON(module);
  if (own !== undefined) folders.push(dirname(realpathSync(own)));
  return ["--permission", "--allow-worker", "--no-warnings", ...folders.map((folder) => `--allow-fs-read=${folder}`)];
}

/** Of this process's options those that say how modules are found and loaded; an inspector's port, say, is not for two. */
function loading(given: readonly string[]): string[] {
  const taken = /^(?:-C|--conditions|-r|--require|--import|--loader|--experimental-loader|--preserve-symlinks)(=|$)/;
  return given.flatMap((word, i) => {
    const match = taken.exec(word);
    if (match === null) return [];
    return match[1] === "=" || word === "--preserve-symlinks" ? [word] : given.slice(i, i + 2);
  });
}

function endOf(code: number | null, signal: string | null, said: string, memoryMiB: number | undefined): PeerEnd {
  if (/guerdon: too much memory|heap out of memory|Zone Allocation failed|bad_alloc/i.test(said)) return overLimit(memoryMiB);
  const last = said
    .trim()
    .split("\n")
    .findLast((line) => /error|fatal|abort/i.test(line));
  const how = signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`;
  return { kind: "exited", reason: last === undefined ? how : `${how}: ${last.slice(0, 200)}` };
}

const overLimit = (memoryMiB: number | undefined): PeerEnd => ({
  kind: "memory",
  reason: memoryMiB === undefined ? "it ran out of memory" : `it used more than ${memoryMiB} MiB of memory`,
});

const textOf = (cause: unknown): string => (cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause));

/** Keeps messages until somebody listens. */
function mailbox(): { deliver: (message: unknown) => void; listen: (listener: (message: unknown) => void) => void } {
  let hand: ((message: unknown) => void) | null = null;
  const early: unknown[] = [];
  return {
    deliver: (message) => (hand === null ? void early.push(message) : hand(message)),
    listen(listener) {
      hand = listener;
      for (const message of early.splice(0)) listener(message);
    },
  };
}
