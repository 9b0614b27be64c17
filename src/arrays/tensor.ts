import type * as Jax from "@jax-js/jax";
import { GuerdonError } from "../error.ts";
import { checkDevice, library } from "./device.ts";
import { show, sizeOf } from "./shape.ts";

type DeviceArray = Jax.numpy.Array;

/** A typed array with a shape, row-major, on its way to the device or back. */
export interface HostArray {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** An array on the device. Whoever is given one disposes it; programs only borrow what they are passed. */
export class Tensor {
  readonly shape: readonly number[];
  /** For files of arrays/ only; null once disposed. */
  array: DeviceArray | null;

  constructor(array: DeviceArray) {
    this.shape = array.shape;
    this.array = array;
  }

  /**
   * The numbers, row-major; waits until they are computed. The tensor stays usable.
   *
   * @throws GuerdonError "internal" when a thread or the graphics card has failed
   */
  async read(): Promise<Float32Array | Int32Array> {
    const data = await arrayOf(this, "read").ref.data().finally(checkDevice);
    if (data instanceof Float32Array || data instanceof Int32Array) return data;
    throw new GuerdonError("internal", `A tensor held ${data.constructor.name}.`);
  }

  /** A second handle on the same data, to be disposed on its own. Nothing is copied. */
  retain(): Tensor {
    return new Tensor(arrayOf(this, "retain").ref);
  }

  /** Frees the data when this was the last handle. Doing it twice is harmless. */
  dispose(): void {
    this.array?.dispose();
    this.array = null;
  }
}

/** The library's array, which stays owned by the tensor. For files of arrays/ only. */
export function arrayOf(tensor: Tensor, use: string): DeviceArray {
  if (!tensor.array) throw new GuerdonError("usage", `${use}: this tensor of shape ${show(tensor.shape)} was disposed`);
  return tensor.array;
}

/** Copies a typed array to the device. @throws GuerdonError "usage" when the shape does not fit the data */
export function upload(source: HostArray): Tensor {
  return new Tensor(uploaded(source, "upload"));
}

/** A new array of the library. For files of arrays/ only. */
export function uploaded({ shape, data }: HostArray, where: string): DeviceArray {
  if (sizeOf(shape) !== data.length) throw new GuerdonError("usage", `${where}: ${data.length} numbers do not fill shape ${show(shape)}`);
  // The library's types want an ArrayBuffer; it reads the bytes of either kind and copies them.
  return library().numpy.array(data as Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>, { shape: [...shape] });
}

/** Reads tensors by name into host arrays. */
export async function readAll<K extends string>(tensors: Readonly<Record<K, Tensor>>): Promise<Record<K, HostArray>> {
  const entries = Object.entries(tensors) as [K, Tensor][];
  const read = await Promise.all(
    entries.map(async ([name, tensor]) => [name, { shape: tensor.shape, data: await tensor.read() }] as const),
  );
  return Object.fromEntries(read) as Record<K, HostArray>;
}

/** Waits until everything is computed. Programs only queue work, so a long loop without `read` or `settle` piles up memory. */
export async function settle(tensors: Readonly<Record<string, Tensor>> | readonly Tensor[]): Promise<void> {
  await library()
    .blockUntilReady(Object.values(tensors).map((tensor) => arrayOf(tensor, "settle")))
    .finally(checkDevice);
}
