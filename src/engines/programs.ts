import { adamw, clipByGlobalNorm, compile, globalNorm, readAll, startArrays, upload, valueAndGradient } from "../arrays/index.ts";
import type { Arr, Arrays, HostArray, Tensor } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import type { Policy } from "../policies/policy.ts";
import { chunks } from "./chunks.ts";
import type { Chunk } from "./chunks.ts";
import type { Outputs, UpdateOptions } from "./engine.ts";
import { counted, memoryError } from "./memory.ts";

/** Where and in what pieces to compute. */
export interface LocalPlace {
  /** The most cells (rows * positions) computed at once: sets speed and memory, not results. Default 6144, or what the policy says. */
  readonly cells?: number;
  /** Default "wasm". */
  readonly device?: "wasm" | "webgpu";
  readonly threads?: number;
}

export const startDevice = ({ device = "wasm", threads }: LocalPlace): Promise<unknown> =>
  startArrays({ device, ...(threads === undefined ? {} : { threads }) });

export type Tensors = Readonly<Record<string, Tensor>>;

/** Parameters on the device, in two parts: those that an update changes and those that it does not. */
export interface Weights {
  readonly trainable: Tensors;
  readonly frozen: Tensors;
}

/** Adam's moments of the trainable parameters. */
export interface Moments {
  readonly first: Tensors;
  readonly second: Tensors;
}

type UpdateNumber = keyof UpdateOptions | "bias1" | "bias2";

export const disposeAll = (tensors: Tensors): void => {
  for (const tensor of Object.values(tensors)) tensor.dispose();
};

/** Tensors on the device, by name; none stays there when they do not all fit. @throws GuerdonError "unsupported" then */
export function uploadAll(tensors: Readonly<Record<string, HostArray>>): Tensors {
  const made: Record<string, Tensor> = {};
  try {
    for (const [name, tensor] of Object.entries(tensors)) made[name] = upload(tensor);
    return made;
  } catch (cause) {
    disposeAll(made);
    throw memoryError(cause, counted(Object.values(tensors)));
  }
}

/** A second set of handles on the same data: free. */
export const retainAll = (tensors: Tensors): Tensors => Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, t.retain()]));

/**
 * What a policy's engine computes: its outputs, their gradient, and the optimizer's step, each compiled once a shape. Nothing here has
 * state but the compiled programs.
 */
export interface Programs<X> {
  /** Outputs of rows, in the order given. */
  forward(weights: Weights, rows: readonly X[], names: readonly string[]): Promise<Outputs>;
  /** One vector a row, in the order given. */
  features(weights: Weights, rows: readonly X[]): Promise<Float32Array[]>;
  /** `gradient` plus that of sum(gradients * outputs), as new tensors, and the outputs. The tensors given stay the caller's. */
  backward(weights: Weights, gradient: Tensors, rows: readonly X[], gradients: Outputs): Promise<{ outputs: Outputs; gradient: Tensors }>;
  /** The parameters and moments after a step, as new tensors, and the norm of the gradient before clipping. */
  update(
    trainable: Tensors,
    gradient: Tensors,
    moments: Moments,
    step: number,
    options: UpdateOptions,
  ): Promise<{ trainable: Tensors; moments: Moments; gradientNorm: number }>;
  /** Shapes compiled so far. */
  readonly shapes: number;
  dispose(): void;
}

/** The programs of a policy on a device that has been started. */
export function programs<X>(policy: Policy<X>, { cells = policy.comfortableCells ?? 6144, device = "wasm" }: LocalPlace): Programs<X> {
  // On a GPU the next chunks are prepared while one computes. A processor gains nothing, and each chunk that waits holds its temporaries.
  const inFlight = device === "webgpu" ? 4 : 1;
  const forwards = new Map<string, ReturnType<typeof forwardProgram>>();
  const backwards = new Map<string, ReturnType<typeof backwardProgram>>();
  let encoding: ReturnType<typeof featuresProgram> | null = null;
  let updating: ReturnType<typeof updateProgram> | null = null;

  function forwardProgram(names: readonly string[]) {
    return compile((trainable: Arrays, frozen: Arrays, inputs: Arrays) => policy.apply({ ...frozen, ...trainable }, inputs, names));
  }

  function featuresProgram(features: NonNullable<Policy<X>["features"]>) {
    return compile((trainable: Arrays, frozen: Arrays, inputs: Arrays) => ({ features: features({ ...frozen, ...trainable }, inputs) }));
  }

  function backwardProgram(names: readonly string[]) {
    return compile((trainable: Arrays, frozen: Arrays, inputs: Arrays, gradients: Arrays, before: Arrays) => {
      const { aux, gradient } = valueAndGradient((parameters: Arrays) => {
        const outputs = policy.apply({ ...frozen, ...parameters }, inputs, names);
        const parts = names.map((name) => outputs[name]!.mul(gradients[name]!).sum());
        return { value: parts.reduce((a, b) => a.add(b)), aux: outputs };
      }, trainable);
      return { outputs: aux, gradient: zip(before, gradient, (a, b) => a.add(b)) };
    });
  }

  function updateProgram() {
    return compile(
      (state: { parameters: Arrays; gradient: Arrays; first: Arrays; second: Arrays }, o: Readonly<Record<UpdateNumber, Arr>>) => {
        const norm = globalNorm(state.gradient);
        const clipped = clipByGlobalNorm(state.gradient, o.clipNorm);
        const stepped = zip(state.parameters, clipped, (parameter, gradient, name) =>
          adamw(parameter, gradient, state.first[name]!, state.second[name]!, {
            ...o,
            weightDecay: parameter.shape.length > 1 ? o.weightDecay : 0,
          }),
        );
        const part = (key: "parameter" | "m" | "v"): Arrays =>
          Object.fromEntries(Object.entries(stepped).map(([name, s]) => [name, s[key]]));
        return { parameters: part("parameter"), first: part("m"), second: part("v"), norm };
      },
    );
  }

  /** Runs `dispatch` for each chunk and reads what it made, a few chunks later: `cut` takes a row's part out of a table of the chunk. */
  async function inChunks<N extends string>(
    rows: readonly X[],
    names: readonly N[],
    dispatch: (chunk: Chunk, members: X[]) => Readonly<Record<N, Tensor>>,
    cut: (table: Float32Array, place: number, chunk: Chunk, row: X) => Float32Array,
  ): Promise<Record<N, Float32Array[]>> {
    const outputs = Object.fromEntries(names.map((name) => [name, Array.from<Float32Array>({ length: rows.length })])) as Record<
      N,
      Float32Array[]
    >;
    const waiting: { chunk: Chunk; made: Readonly<Record<N, Tensor>> }[] = [];
    let asked = "";
    const collect = async (): Promise<void> => {
      const { chunk, made } = waiting[0]!;
      const read = await readAll(made);
      waiting.shift();
      disposeAll(made);
      for (const name of names) {
        const table = read[name].data as Float32Array;
        chunk.members.forEach((i, place) => (outputs[name][i] = cut(table, place, chunk, rows[i]!)));
      }
    };
    try {
      const lengths = rows.map((row) => policy.cells(row));
      for (const chunk of chunks(lengths, cells)) {
        if (waiting.length >= inFlight) await collect();
        asked = `${chunk.rowCount} rows of ${chunk.length} positions at once`;
        waiting.push({
          chunk,
          made: dispatch(
            chunk,
            chunk.members.map((i) => rows[i]!),
          ),
        });
      }
      while (waiting.length > 0) await collect();
      return outputs;
    } catch (cause) {
      throw memoryError(cause, asked);
    } finally {
      for (const { made } of waiting) disposeAll(made);
    }
  }

  /** The actions' part of a row of [rows, positions]. */
  const ofActions = (table: Float32Array, place: number, chunk: Chunk, row: X): Float32Array => {
    const from = place * chunk.length + policy.start(row);
    return table.slice(from, from + policy.actions(row));
  };

  return {
    forward(weights, rows, names) {
      const program = cached(forwards, names, forwardProgram);
      return inChunks(
        rows,
        names,
        (chunk, members) => program.run(weights.trainable, weights.frozen, policy.collate(members, chunk.rowCount, chunk.length)),
        ofActions,
      );
    },

    async features(weights, rows) {
      const of = policy.features?.bind(policy);
      if (!of) throw new GuerdonError("unsupported", `A policy of the family "${policy.family}" has no features.`);
      const program = (encoding ??= featuresProgram(of));
      const { features } = await inChunks(
        rows,
        ["features"],
        (chunk, members) => program.run(weights.trainable, weights.frozen, policy.collate(members, chunk.rowCount, chunk.length)),
        (table, place, { rowCount }) => table.slice((place * table.length) / rowCount, ((place + 1) * table.length) / rowCount),
      );
      return features;
    },

    async backward(weights, before, rows, gradients) {
      const names = Object.keys(gradients).sort();
      const program = cached(backwards, names, backwardProgram);
      let gradient = retainAll(before);
      try {
        const dispatch = (chunk: Chunk, members: X[]): Tensors => {
          const padded = Object.fromEntries(names.map((name) => [name, pad(chunk, members, gradients[name]!)]));
          const inputs = policy.collate(members, chunk.rowCount, chunk.length);
          const made = program.run(weights.trainable, weights.frozen, inputs, padded, gradient);
          disposeAll(gradient);
          gradient = made.gradient;
          return made.outputs;
        };
        const outputs = await inChunks(rows, names, dispatch, ofActions);
        return { outputs, gradient };
      } catch (error) {
        disposeAll(gradient);
        throw error;
      }
    },

    async update(trainable, gradient, moments, step, o) {
      updating ??= updateProgram();
      const numbers = {
        learningRate: o.learningRate,
        beta1: o.beta1,
        beta2: o.beta2,
        epsilon: o.epsilon,
        weightDecay: o.weightDecay ?? 0,
        // Any gradient that fits into float32 is shorter.
        clipNorm: o.clipNorm ?? 3e38,
        bias1: 1 - o.beta1 ** step,
        bias2: 1 - o.beta2 ** step,
      };
      let made: ReturnType<typeof updating.run>;
      try {
        made = updating.run({ parameters: trainable, gradient, ...moments }, numbers);
      } catch (cause) {
        throw memoryError(cause, `an update of ${counted(Object.values(trainable))}`);
      }
      const norm = await made.norm.read();
      made.norm.dispose();
      return { trainable: made.parameters, moments: { first: made.first, second: made.second }, gradientNorm: norm[0]! };
    },

    get shapes() {
      return all().reduce((sum, program) => sum + program.shapes, 0);
    },

    dispose() {
      for (const program of all()) program.dispose();
      forwards.clear();
      backwards.clear();
      encoding = null;
      updating = null;
    },
  };

  function all(): { readonly shapes: number; dispose(): void }[] {
    return [...forwards.values(), ...backwards.values(), ...(encoding ? [encoding] : []), ...(updating ? [updating] : [])];
  }

  /** Gradients of a chunk's rows on the [rows, positions] grid of the policy's outputs; 0 where no action is. */
  function pad(chunk: Chunk, members: readonly X[], perRow: readonly Float32Array[]): HostArray {
    const data = new Float32Array(chunk.rowCount * chunk.length);
    chunk.members.forEach((i, r) => data.set(perRow[i]!, r * chunk.length + policy.start(members[r]!)));
    return { shape: [chunk.rowCount, chunk.length], data };
  }
}

/** The program for these outputs, made on first use. */
function cached<P>(made: Map<string, P>, names: readonly string[], make: (names: readonly string[]) => P): P {
  const key = names.join(" ");
  let program = made.get(key);
  if (!program) made.set(key, (program = make(names)));
  return program;
}

const zip = <R>(a: Arrays, b: Arrays, f: (a: Arr, b: Arr, name: string) => R): Record<string, R> =>
  Object.fromEntries(Object.entries(a).map(([name, x]) => [name, f(x, b[name]!, name)]));
