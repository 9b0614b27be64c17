import { byPosterior, uniform } from "../curricula/index.ts";
import type { PosteriorOptions } from "../curricula/index.ts";
import { softmaxEngine } from "../engines/index.ts";
import { logitPool } from "../environments/toy/index.ts";
import { combine, entropyBonus } from "../objectives/index.ts";
import { spearman, stream } from "../statistics/index.ts";
import { grpo, practiseUntil } from "../training/index.ts";
import type { GrpoOptions, RolloutMethod } from "../training/index.ts";
import type { Arm } from "./claim.ts";
import { mean, ratio } from "./estimates.ts";
import type { Paper } from "./paper.ts";

export interface MoppsOptions extends Partial<GrpoOptions>, PosteriorOptions {
  /** Weight of the entropy bonus. Default 1e-3. */
  readonly entropy?: number;
}

/**
 * Model predictive prompt selection (MoPPS, arXiv 2507.04632): a Beta belief about each prompt's success rate, from the rollouts that were
 * made anyway; each step trains on the prompts whose rate, drawn from the beliefs, is closest to 1/2. On GRPO with clip 0.2 and 0.28.
 */
export function mopps(options: MoppsOptions = {}): RolloutMethod {
  const { target = 0.5, keep = 1, prior, pool, accept, guess, entropy = 1e-3, ...rest } = options;
  const beliefs = {
    target,
    keep,
    ...(prior && { prior: { ...prior } }),
    ...(pool && { pool }),
    ...(accept && { accept }),
    ...(guess && { guess }),
  };
  const method = grpo({ as: "verl", high: 0.28, ...rest });
  return {
    ...method,
    name: "MoPPS",
    objective:
      entropy === 0
        ? method.objective
        : combine({ policy: method.objective, entropy: entropyBonus({ coefficient: entropy, aggregation: "token-mean", divisor: null }) }),
    curriculum: { settings: { name: "by posterior", ...beliefs }, of: (environment) => byPosterior(environment, beliefs) },
  };
}

const prompts = 120;

/** Steps and rollouts until the mean success rate is 0.8, with 8 prompts of 8 answers a step; and how well the beliefs rank prompts then. */
function practice(method: RolloutMethod): Arm {
  return async (seed) => {
    const environment = logitPool({ tasks: prompts, dimension: 6, easiest: -6, hardest: 8, rng: stream(seed, "pool") });
    const { process, features, base } = environment;
    const engine = softmaxEngine(process, { features, base, optimizer: "sgd" });
    const curriculum = method.curriculum?.of(environment) ?? uniform(environment);
    const setting = { engine, environment, method, curriculum, steps: 200, tasksPerStep: 8, seed };
    const took = await practiseUntil(setting, () => environment.chance(engine.probs) >= 0.8);
    const tasks = environment.tasks("train");
    const believed = tasks.flatMap((task) => curriculum.expected?.(task) ?? []);
    const rates = tasks.map(({ prompt }) => engine.probs(prompt)[1]!);
    return { ...took, ...(believed.length > 0 && { rank: spearman(believed, rates) }) };
  };
}

const options = { groupSize: 8, learningRate: 2.3, scale: null, optimizer: { clipNorm: null }, entropy: 0 } as const;
const { entropy: _, ...plain } = { ...options, as: "verl", high: 0.28 } as const;
const fast = { learningRate: 16 };

export const paper: Paper = {
  slug: "mopps",
  title: "Can Prompt Difficulty be Online Predicted for Accelerating RL Finetuning of Reasoning Models?",
  year: 2025,
  arxiv: "2507.04632",
  family: "policy optimisation",
  summary:
    "Prompts that are always or never solved teach nothing, and finding out which ones costs rollouts. MoPPS keeps a Beta belief about each prompt's success rate from the answers that training draws anyway, and picks by Thompson sampling the prompts closest to one half.",
  parts: ["curricula/byPosterior", "statistics/betaUpdate", "statistics/betaSample", "training/grpo", "objectives/entropyBonus"],
  method: () => mopps(),
  claim: {
    label: "mechanism",
    statement:
      "Where learning is slow enough to visit prompts several times, MoPPS reaches a mean success of 0.8 with at most 0.8 of the rollouts of uniform picking and of dynamic sampling, and its beliefs rank the prompts by their true rates.",
    falsifiedBy: "A ratio of rollouts whose interval reaches 0.8, or a rank correlation of beliefs and truth below 0.7.",
    arms: {
      uniform: practice(grpo(plain)),
      dynamicSampling: practice(grpo({ ...plain, dynamicSampling: { rounds: 20 } })),
      mopps: practice(mopps(options)),
      means: practice(mopps({ ...options, guess: "mean" })),
      neverRight: practice(mopps({ ...options, accept: 2 })),
      easy: practice(mopps({ ...options, target: 1 })),
      uniformFast: practice(grpo({ ...plain, ...fast })),
      moppsFast: practice(mopps({ ...options, ...fast })),
    },
    method: "mopps",
    baseline: "uniform",
    budget: "Same learning rate and rollouts a step; dynamic sampling pays for the rollouts that it throws away.",
    mustFail: ["neverRight", "easy"],
    checks: [
      { say: "rollouts over those of uniform picking", of: ratio("mopps", "uniform", "rollouts"), below: 0.8 },
      { say: "rollouts over those of dynamic sampling", of: ratio("mopps", "dynamicSampling", "rollouts"), below: 0.8 },
      { say: "steps over those of uniform picking", of: ratio("mopps", "uniform", "steps"), below: 0.8 },
      { say: "rank correlation of beliefs and true rates", of: mean("mopps", "rank"), above: 0.7 },
      { say: "rollouts over those with means in place of draws", of: ratio("mopps", "means", "rollouts"), below: 1 },
      { say: "rollouts over uniform picking, where nothing counts as right", of: ratio("neverRight", "uniform", "rollouts"), above: 0.9 },
      { say: "rollouts over uniform picking, where easy prompts are picked", of: ratio("easy", "uniform", "rollouts"), above: 1 },
      { say: "rollouts over uniform picking at seven times the rate", of: ratio("moppsFast", "uniformFast", "rollouts"), above: 0.8 },
    ],
    seeds: 40,
    seconds: 30,
    notMiniaturised:
      "A gain where prompts are seen less than once: at seven times the learning rate beliefs are never formed, and it is gone. Nor the reasoning tasks of the paper.",
  },
};
