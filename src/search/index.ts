export { beamSearch } from "./beam.ts";
export type { BeamOptions, Found } from "./beam.ts";
export { finiteSteps, textSteps } from "./stepwise.ts";
export type { Stepwise } from "./stepwise.ts";
