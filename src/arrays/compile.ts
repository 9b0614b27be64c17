import type * as Jax from "@jax-js/jax";
import { GuerdonError } from "../error.ts";
import { Arr } from "./arr.ts";
import { library } from "./device.ts";
import { arrayOf, Tensor, uploaded, type HostArray } from "./tensor.ts";
import { constantOf, recording, unwrap, wrap } from "./traced.ts";
import { mapTree } from "./tree.ts";

type DeviceArray = Jax.numpy.Array;

/** What `run` takes where the function takes an Arr: a tensor (borrowed), a host array (uploaded) or a number (a float scalar). */
export type Leaf = Tensor | HostArray | number;
export type Inputs<T> = T extends Arr ? Leaf : { readonly [K in keyof T]: Inputs<T[K]> };
/** What `run` gives back where the function returns an Arr. */
export type Results<T> = T extends Arr ? Tensor : { readonly [K in keyof T]: Results<T[K]> };

export interface Program<A extends readonly unknown[], R> {
  /**
   * Queues the computation and returns at once. Tensors passed in are borrowed; the caller disposes all tensors that come back. A call
   * with new shapes compiles first (0.1 to 3 s), so batches come in few shapes.
   */
  run(...inputs: { readonly [K in keyof A]: Inputs<A[K]> }): Results<R>;
  /** Number of shapes compiled so far. */
  readonly shapes: number;
  /** Frees the constants of the compiled programs. */
  dispose(): void;
}

/**
 * Makes a program of a function of arrays. The function gets records or arrays of Arr, nested at will, and returns the same kind; it runs
 * once per shape, to be recorded, so it must not depend on anything that changes: numbers that change are arguments, numbers it closes over
 * are fixed at the first call.
 *
 * @throws GuerdonError "usage" from `run` when a leaf is missing, disposed or not an array; the inputs stay the caller's
 */
export function compile<A extends readonly unknown[], R>(f: (...inputs: A) => R): Program<A, R> {
  const programs = new Map<string, ReturnType<typeof record>>();
  let shapes = 0;
  let disposed = false;

  /** One program of the library per structure of the inputs; it distinguishes the shapes itself. */
  function record(structure: unknown) {
    const recorded = (leaves: DeviceArray[]): Jax.JsTree<DeviceArray> => {
      const results = recording(() => {
        const inputs = mapTree(structure, isSlot, ({ slot }) => wrap(leaves[slot]!), unreachable) as unknown as A;
        const taken = (array: Arr): DeviceArray => unwrap(array) ?? constantOf(array);
        return mapTree(f(...inputs), isArr, taken, (x, path) => {
          throw new GuerdonError("usage", `compile: the function returned ${describe(x)} at ${path || "its top"}, not an array`);
        });
      });
      shapes++;
      return results as Jax.JsTree<DeviceArray>;
    };
    return library().jit(recorded);
  }

  return {
    run(...inputs) {
      if (disposed) throw new GuerdonError("usage", "run: this program was disposed");
      const leaves: { array: DeviceArray; references: number }[] = [];
      try {
        const structure = mapTree(
          inputs,
          isLeaf,
          (leaf, path) => {
            const array =
              leaf instanceof Tensor
                ? arrayOf(leaf, `run: input ${path}`).ref
                : typeof leaf === "number"
                  ? library().numpy.full([], leaf, { dtype: library().DType.Float32 })
                  : uploaded(leaf, `run: input ${path}`);
            return { slot: leaves.push({ array, references: array.refCount - 1 }) - 1 };
          },
          (x, path) => {
            throw new GuerdonError("usage", `run: input ${path} is ${describe(x)}, not a tensor, host array or number`);
          },
        );
        const key = JSON.stringify(structure);
        let program = programs.get(key);
        if (!program) programs.set(key, (program = record(structure)));
        const results = program(leaves.map(({ array }) => array)) as unknown;
        return mapTree(results, isDeviceArray, (array) => new Tensor(array), unreachable) as Results<R>;
      } catch (cause) {
        // How far the library came tells which references it has consumed. The same tensor may be several leaves: each owns its own.
        for (const { array, references } of leaves.toReversed()) if (array.refCount > references) array.dispose();
        throw cause;
      }
    },
    get shapes() {
      return shapes;
    },
    dispose() {
      disposed = true;
      for (const program of programs.values()) program.dispose();
      programs.clear();
    },
  };
}

interface Slot {
  readonly slot: number;
}
const isSlot = (x: unknown): x is Slot => typeof x === "object" && x !== null && "slot" in x && typeof x.slot === "number";
const isArr = (x: unknown): x is Arr => x instanceof Arr;
const isDeviceArray = (x: unknown): x is DeviceArray => x instanceof library().Array;
const isLeaf = (x: unknown): x is Leaf =>
  x instanceof Tensor ||
  typeof x === "number" ||
  (typeof x === "object" && x !== null && "data" in x && "shape" in x && (x.data instanceof Float32Array || x.data instanceof Int32Array));

function unreachable(): never {
  throw new GuerdonError("internal", "compile lost the structure of its inputs or results.");
}

function describe(x: unknown): string {
  if (x === null || x === undefined) return `${x} (missing)`;
  return typeof x === "object" ? `an object (${x.constructor?.name ?? "no class"})` : `a ${typeof x}`;
}
