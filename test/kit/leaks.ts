import { startArrays, upload } from "../../src/arrays/index.ts";

let slots: { readonly size: number } | null = null;

/** The wasm backend's table of live buffers. Private to the library, so this throws when its internals change. */
async function slotTable(): Promise<{ readonly size: number }> {
  if (slots) return slots;
  await startArrays();
  const found: Map<unknown, unknown>[] = [];
  const set = Object.getOwnPropertyDescriptor(Map.prototype, "set")!;
  const spy = function (this: Map<unknown, unknown>, key: unknown, value: unknown): unknown {
    if (typeof value === "object" && value !== null && "ptr" in value && "size" in value && "ref" in value) found.push(this);
    return (set.value as (key: unknown, value: unknown) => unknown).call(this, key, value);
  };
  Object.defineProperty(Map.prototype, "set", { ...set, value: spy });
  try {
    upload({ shape: [1000], data: Float32Array.from({ length: 1000 }, (_, i) => i) }).dispose();
  } finally {
    Object.defineProperty(Map.prototype, "set", set);
  }
  if (!found[0]) throw new Error("The table of live buffers was not found: the array library's internals have changed.");
  return (slots = found[0]);
}

/** Number of live device buffers (wasm). Buffers of fewer than about 128 equal numbers may not count: test with 1000 elements. */
export async function liveBuffers(): Promise<number> {
  return (await slotTable()).size;
}

/**
 * Calls f several times and throws unless the number of live device buffers stays the same. The first calls are not counted, because
 * compiling keeps constants.
 */
export async function expectNoLeak(f: () => unknown, calls = 4, warm = 2): Promise<void> {
  for (let i = 0; i < warm; i++) await f();
  const before = await liveBuffers();
  for (let i = 0; i < calls; i++) await f();
  const leaked = (await liveBuffers()) - before;
  if (leaked !== 0) throw new Error(`${leaked / calls} device buffers leak at each call`);
}
