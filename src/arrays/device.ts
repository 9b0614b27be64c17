import type * as Jax from "@jax-js/jax";
import { GuerdonError } from "../error.ts";

export interface DeviceOptions {
  /**
   * "wasm" (default) computes on the processor, "webgpu" on a graphics card, whose language promises less: `max`, `minimum`, `maximum` and
   * `relu` may lose a NaN, comparisons with one may hold, and `sin` and `cos` may be off by 5e-4.
   */
  readonly device?: "wasm" | "webgpu";
  /** Threads for wasm; default 1. More than one pays for models above about 100,000 weights, and makes small ones slower. */
  readonly threads?: number;
}

interface Started {
  readonly jax: typeof Jax;
  readonly device: "wasm" | "webgpu";
  readonly threads: number;
}

let starting: { readonly device: "wasm" | "webgpu"; readonly threads: number; readonly done: Promise<Started> } | null = null;
let started: Started | null = null;
/** Threads that the library was imported with, which is for good. */
let imported: number | null = null;
/** The first failure of a thread or of the graphics card: what it was and what to do. Results are garbage from then on. */
let failure: { readonly message: string; readonly cause: unknown } | null = null;

/**
 * Loads the array library once, for `compile`, `upload` and `Tensor`. The host kernel needs no start. Calling again with the same
 * settings does nothing.
 *
 * @throws GuerdonError "usage" when it runs already with other settings; "missing-dependency" or "unsupported" when the device is not there
 */
export async function startArrays(options: DeviceOptions = {}): Promise<void> {
  const { device = "wasm", threads = 1 } = options;
  if (device !== "wasm" && device !== "webgpu")
    throw new GuerdonError("usage", `startArrays: device ${JSON.stringify(device)} is not known; choose "wasm" or "webgpu"`);
  if (!(Number.isInteger(threads) && threads >= 1))
    throw new GuerdonError("usage", `startArrays: threads must be a whole number from 1, not ${threads}`);
  if (device === "webgpu" && threads !== 1)
    throw new GuerdonError("usage", "startArrays: threads are for wasm; leave them out with WebGPU");
  if (starting && (starting.device !== device || starting.threads !== threads))
    throw new GuerdonError(
      "usage",
      `startArrays: arrays run on ${starting.device} with ${starting.threads} thread(s) already; one process has one setting, so ${device} with ${threads} needs a process of its own`,
    );
  starting ??= { device, threads, done: load(device, threads) };
  try {
    started = await starting.done;
  } catch (cause) {
    starting = null;
    throw cause;
  }
}

/** What `startArrays` was called with, or null before it. */
export const arraysDevice = (): { readonly device: "wasm" | "webgpu"; readonly threads: number } | null =>
  started && { device: started.device, threads: started.threads };

/** The array library. For files of arrays/ only. */
export function library(): typeof Jax {
  if (!started) throw new GuerdonError("usage", "Call `await startArrays()` before compiling programs or uploading tensors.");
  return started.jax;
}

/** Throws when a thread or the graphics card has failed: the library itself goes on with whatever is in memory. For files of arrays/ only. */
export function checkDevice(): void {
  if (failure) throw new GuerdonError("internal", failure.message, { cause: failure.cause });
}

function threadFailed(cause: Error): void {
  failure ??= { message: `A thread of the array library failed (${cause.message}); use threads: 1.`, cause };
}

function cardFailed(cause: { readonly message: string }): void {
  failure ??= {
    message: `The graphics card failed, and what is computed since is wrong: ${cause.message}\nCompute less at once (the engine's \`cells\`), or use device: "wasm" in a new process.`,
    cause,
  };
}

const inNode = (): boolean => typeof process !== "undefined" && typeof process.versions?.node === "string";

async function load(device: "wasm" | "webgpu", threads: number): Promise<Started> {
  if (device === "webgpu") await prepareWebgpu();
  else if (threads > 1) await prepareThreads();
  imported ??= threads;
  if (imported !== threads)
    throw new GuerdonError("usage", `startArrays: the array library was loaded with ${imported} thread(s); ${threads} need a new process`);
  const restore = pretend(threads);
  let jax: typeof Jax;
  try {
    jax = await import("@jax-js/jax");
  } finally {
    restore();
  }
  // `init` does not complain about a device that it could not get.
  const available = await jax.init(device);
  if (!available.includes(device))
    throw new GuerdonError(
      "unsupported",
      device === "webgpu" ? 'No usable WebGPU adapter was found; use device: "wasm".' : "This runtime has no WebAssembly.",
    );
  jax.defaultDevice(device);
  if (device === "webgpu") {
    const card = jax.getWebGPUDevice();
    card.addEventListener("uncapturederror", ({ error }) => cardFailed(error));
    void card.lost.then(cardFailed);
  }
  return { jax, device, threads };
}

/**
 * The library decides while it is imported how many workers it uses. Where a page has workers it uses one even for `threads: 1`: its
 * kernels are then compiled for shared memory, so the workers cannot be hidden from it for a moment.
 */
function pretend(threads: number): () => void {
  const scope = globalThis as { navigator?: object };
  const navigator = Object.getOwnPropertyDescriptor(scope, "navigator");
  Object.defineProperty(scope, "navigator", {
    value: Object.create(scope.navigator ?? null, { hardwareConcurrency: { value: threads } }),
    configurable: true,
  });
  return () => {
    if (navigator) Object.defineProperty(scope, "navigator", navigator);
    else delete scope.navigator;
  };
}

async function prepareThreads(): Promise<void> {
  if (inNode()) (globalThis as { Worker?: unknown }).Worker ??= (await import("./worker.ts")).nodeWebWorker(threadFailed);
  if (typeof SharedArrayBuffer === "undefined" || typeof Worker === "undefined")
    throw new GuerdonError(
      "unsupported",
      "Threads need SharedArrayBuffer and workers: serve the page with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or use threads: 1.",
    );
}

async function prepareWebgpu(): Promise<void> {
  const present = () => typeof navigator !== "undefined" && "gpu" in navigator && Boolean(navigator.gpu);
  if (present()) return;
  if (!inNode()) throw new GuerdonError("unsupported", 'This browser has no WebGPU; use device: "wasm".');
  let webgpu: { create(options: string[]): unknown; globals: object };
  const name = "webgpu";
  try {
    webgpu = (await import(name)) as typeof webgpu;
  } catch (cause) {
    throw new GuerdonError(
      "missing-dependency",
      'WebGPU under Node needs an optional package: npm install webgpu@0.6.2 (or use device: "wasm").',
      { cause },
    );
  }
  Object.assign(globalThis, webgpu.globals);
  Object.defineProperty(globalThis.navigator, "gpu", { value: webgpu.create([]), configurable: true });
}
