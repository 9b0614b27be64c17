/** A typed array with a shape, on its way to the device. */
export interface HostArray {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}
/** An array on the device. */
export interface Tensor {
  readonly shape: readonly number[];
}
