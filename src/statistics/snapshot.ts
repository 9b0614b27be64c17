export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A tensor in host memory, row-major. Storage for checkpoints and files; arithmetic happens on `Arr` (arrays/). */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** Everything that an object needs to go on exactly where it stopped. `json` survives JSON.stringify; tensors go to safetensors. */
export interface Snapshot {
  readonly version: number;
  readonly json: Json;
  readonly tensors: Readonly<Record<string, HostTensor>>;
}

/** What outlives a training step: engines, curricula, buffers, references. Random streams are derived, hence never here. */
export interface Stateful {
  snapshot(): Promise<Snapshot>;
  restore(snapshot: Snapshot): Promise<void>;
}
