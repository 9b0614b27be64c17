export type { Arr, Arrays } from "./arr.ts";
export type { HostArray, Tensor } from "./tensor.ts";
