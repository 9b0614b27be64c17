export type { Arr, Arrays } from "./arr.ts";
export * from "./functions.ts";
export { checkIndices, host, values } from "./host.ts";
export { valueAndGradient, type Aux } from "./gradient.ts";
export { arraysDevice, startArrays, type DeviceOptions } from "./device.ts";
export { compile, type Inputs, type Leaf, type Program, type Results } from "./compile.ts";
export { readAll, settle, Tensor, upload, type HostArray } from "./tensor.ts";
export { adamw, clipByGlobalNorm, globalNorm, type AdamwOptions } from "./optimizers.ts";
export { formatSafetensors, parseSafetensors, type TensorFile } from "./safetensors.ts";
