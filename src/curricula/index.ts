export type { Curriculum, Moment, Tasks } from "./curriculum.ts";
export { uniform } from "./uniform.ts";
export type { Attempt, Gathered } from "./dynamic-sampling.ts";
export { dynamicSampling, gather } from "./dynamic-sampling.ts";
export { byPosterior } from "./by-posterior.ts";
export type { PosteriorOptions } from "./by-posterior.ts";
