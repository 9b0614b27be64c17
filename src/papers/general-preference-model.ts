import { center, examples } from "../credit/index.ts";
import { hostEngine } from "../engines/index.ts";
import { gpo } from "../objectives/index.ts";
import { scorer } from "../policies/index.ts";
import { normal, stream } from "../statistics/index.ts";
import { featurePairs, fitReward, pairReward, preferenceReward, rolloutMethod } from "../training/index.ts";
import type { RewardForm, RolloutMethod, RolloutOptions } from "../training/index.ts";
import type { Measured } from "./claim.ts";
import { difference, mean } from "./estimates.ts";
import type { Paper } from "./paper.ts";

/**
 * The general preference model (arXiv 2410.02197): answers are embedded once, and a skew-symmetric product of two embeddings says which is
 * preferred, cycles included. `fitReward({ form: generalPreferenceModel({ size: 4 }), ... })` fits it.
 */
export const generalPreferenceModel = preferenceReward;

/**
 * General preference optimisation (GPO): the log-ratio of each answer to the policy that drew it is pulled to score / beta, where the score
 * is the mean preference of the answer over the answers to the same task. A reward of groups as `generalPreferenceModel` gives is that score;
 * of any other reward it is the difference to the group's mean.
 *
 * @param options.beta default 1
 */
export function generalPreferenceOptimisation(options: RolloutOptions & { readonly beta?: number } = {}): RolloutMethod {
  const { beta = 1 } = options;
  return rolloutMethod(
    {
      name: "GPO",
      settings: { beta, against: "behaviour" },
      credit: (table) => examples(table, { row: { score: center(table.reward, table.keys.group) } }),
      objective: gpo({ beta, against: "behaviour" }),
    },
    options,
  );
}

const pairs = { fit: 1500, test: 1000 };
type World = "cyclic" | "transitive";

/** Items on a circle. Around the circle each beats those a little further on; from right to left it is an order. */
const beats: Readonly<Record<World, (one: number, other: number) => boolean>> = {
  cyclic: (one, other) => Math.sin(other - one) > 0,
  transitive: (one, other) => Math.cos(one) > Math.cos(other),
};

/** Pairs of items, each seen as its place on the circle mixed into 8 numbers with noise. */
function worldPairs(world: World, seed: number, labels: "true" | "random") {
  const mixing = stream(seed, "mixing");
  const mix = Array.from({ length: 8 }, () => [normal(mixing), normal(mixing)] as const);
  const made = (part: keyof typeof pairs) => {
    const rng = stream(seed, world, part);
    const seen = (angle: number) => mix.map(([a, b]) => a * Math.cos(angle) + b * Math.sin(angle) + 0.05 * normal(rng));
    return featurePairs(
      Array.from({ length: pairs[part] }, () => {
        const [one, other] = [2 * Math.PI * rng(), 2 * Math.PI * rng()];
        const right = labels === "random" && part === "fit" ? rng() < 0.5 : beats[world](one, other);
        const [chosen, rejected] = right ? [one, other] : [other, one];
        return { chosen: seen(chosen), rejected: seen(rejected) };
      }),
    );
  };
  return { examples: made("fit"), heldOut: made("test") };
}

/** Accuracy of one kind of model in both worlds, on pairs that it has not seen. */
function accuracy(form: RewardForm, scores: number, labels: "true" | "random" = "true") {
  return async (seed: number): Promise<Measured> => {
    const of = async (world: World) => {
      const policy = scorer({ features: 8, hidden: [32], scores });
      const engine = () => hostEngine({ policy, seed });
      const { heldOut } = await fitReward({ form, engine, ...worldPairs(world, seed, labels), epochs: 20, learningRate: 0.01, seed });
      return heldOut!.accuracy;
    };
    return { cyclic: await of("cyclic"), transitive: await of("transitive") };
  };
}

export const paper: Paper = {
  slug: "general-preference-model",
  title: "Beyond Bradley-Terry Models: A General Preference Model for Language Model Alignment",
  year: 2024,
  arxiv: "2410.02197",
  family: "reward models",
  summary:
    "A scalar reward can only rank answers in one order, and people's preferences need not have one. Each answer is embedded once, and a skew-symmetric product of two embeddings gives the log-odds of the preference: as cheap as a scalar model, and cycles can be said.",
  parts: ["training/fitReward", "objectives/generalPreference", "objectives/gpo", "policies/scorer", "credit/center"],
  method: () => generalPreferenceOptimisation(),
  claim: {
    label: "mechanism",
    statement:
      "From 1500 noisy pairs a general preference model learns a cyclic preference, which a Bradley-Terry model of the same network cannot express, and loses at most 0.03 of its accuracy where the preference is an order.",
    falsifiedBy:
      "A Bradley-Terry model well above chance on the cycle, a general preference model below 0.93 there, or more than 0.03 behind on the order.",
    arms: {
      generalPreference: accuracy(generalPreferenceModel({ size: 4 }), 4),
      bradleyTerry: accuracy(pairReward(), 1),
      randomLabels: accuracy(generalPreferenceModel({ size: 4 }), 4, "random"),
    },
    method: "generalPreference",
    baseline: "bradleyTerry",
    budget: "The same pairs, network (8-32, then 4 or 1 outputs), optimizer, rate and number of steps.",
    mustFail: ["bradleyTerry", "randomLabels"],
    checks: [
      { say: "accuracy of the general preference model on the cycle", of: mean("generalPreference", "cyclic"), above: 0.93 },
      { say: "accuracy of Bradley-Terry on the cycle", of: mean("bradleyTerry", "cyclic"), above: 0.4, below: 0.62 },
      {
        say: "accuracy that the general preference model gains on the order",
        of: difference("generalPreference", "bradleyTerry", "transitive"),
        above: -0.03,
      },
      { say: "accuracy of Bradley-Terry on the order", of: mean("bradleyTerry", "transitive"), above: 0.93 },
      { say: "accuracy on the cycle after random labels", of: mean("randomLabels", "cyclic"), below: 0.93 },
    ],
    seeds: 10,
    seconds: 60,
    notMiniaturised:
      "The gains on RewardBench, AlpacaEval and MT-Bench, the prompt's own weights of the embedding's parts, and policies trained with GPO.",
  },
};
