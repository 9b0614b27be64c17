import { normal } from "../../statistics/stream.ts";
import type { Rng } from "../../statistics/stream.ts";
import { GuerdonError } from "../../error.ts";
import type { Finite } from "./finite.ts";
import { bandit } from "./processes.ts";

/**
 * Answers to one prompt, a few of which fool a reward model: an answer has a quality, normal with mean 0 and deviation 1, and a share of them
 * carries a hack, exponential with the given mean. The proxy (what the reward model says) is quality plus hack; the truth is quality less a
 * part of the hack. What over-optimises the proxy loses truth, and both are known for every answer.
 *
 * @param o.share of the answers that carry a hack
 * @param o.mean of the hacks
 * @param o.cost truth lost for each unit of hack
 */
export function hackableAnswers(o: {
  readonly answers: number;
  readonly share: number;
  readonly mean: number;
  readonly cost: number;
  readonly rng: Rng;
}): {
  readonly process: Finite;
  readonly quality: Float64Array;
  readonly hack: Float64Array;
  readonly proxy: Float64Array;
  readonly truth: Float64Array;
} {
  const { answers, share, mean, cost, rng } = o;
  if (!(share >= 0 && share <= 1 && mean > 0))
    throw new GuerdonError("usage", `hackableAnswers: share must be from 0 to 1 and mean above 0, not ${share} and ${mean}.`);
  const process: Finite = { ...bandit({ tasks: 1, actions: answers }), name: "hackable answers" };
  const quality = new Float64Array(answers);
  const hack = new Float64Array(answers);
  for (let i = 0; i < answers; i++) {
    quality[i] = normal(rng);
    hack[i] = rng() < share ? -mean * Math.log(1 - rng()) : 0;
  }
  return { process, quality, hack, proxy: quality.map((g, i) => g + hack[i]!), truth: quality.map((g, i) => g - cost * hack[i]!) };
}
