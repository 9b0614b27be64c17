import { groupAdvantage, lists } from "../credit/index.ts";
import { softmaxEngine } from "../engines/index.ts";
import { linearBandit } from "../environments/toy/index.ts";
import { listLoss } from "../objectives/index.ts";
import { stream } from "../statistics/index.ts";
import { grpo, practise, rolloutMethod } from "../training/index.ts";
import type { RolloutMethod, RolloutOptions } from "../training/index.ts";
import type { Arm } from "./claim.ts";
import { difference, mean, ratio } from "./estimates.ts";
import type { Paper } from "./paper.ts";

export interface AdpoOptions extends RolloutOptions {
  /** What log-ratios to the anchor are divided by; with pairs 1 / tau is the beta of DPO. Default 0.5. */
  readonly tau?: number;
  /** Temperature of the target, in deviations of the group's rewards. Default 0.3. */
  readonly temperature?: number;
  /** The policy as it was some steps ago ("previous", the default) or at the beginning ("reference"), or none. */
  readonly anchor?: "previous" | "reference" | "none";
  /** Steps after which the policy becomes its own anchor. Default 1. */
  readonly every?: number;
}

/**
 * Anchored direct preference optimisation (ADPO, arXiv 2510.18913): each group's log-ratios to an anchor, divided by tau, are a softmax that
 * is fitted to a soft target, the softmax of the group's rewards (mean 0, population deviation 1). At its minimum a policy is, on the group,
 * the anchor times target^tau: so one anchor allows one bounded step, and an anchor that moves along allows the next. Pairs with a hard
 * target are DPO. Log-probabilities are those of whole answers; the paper's code divides them by length.
 */
export function adpo(options: AdpoOptions = {}): RolloutMethod {
  const { tau = 0.5, temperature = 0.3, anchor = "previous", every = 1, groupSize = 8 } = options;
  return rolloutMethod(
    {
      name: "ADPO",
      settings: { tau, temperature, anchor },
      anchor: anchor === "previous" ? { reference: 0, every } : null,
      credit(table) {
        const reward = groupAdvantage(table.reward, table.keys.group, { scale: { ddof: 0, epsilon: 1e-8 } });
        return lists({ ...table, reward }, { temperature });
      },
      objective: listLoss("cross-entropy", { beta: 1 / tau, against: anchor === "previous" ? "anchor" : anchor }),
    },
    { ...options, groupSize },
  );
}

/**
 * What the policy's answers are worth in the mean (the best of 20 are worth 1.87) after 60 steps of 16 tasks x 8 answers, with Cauchy noise
 * on each reward. The reference has a taste of its own.
 */
const online =
  (method: RolloutMethod): Arm =>
  async (seed) => {
    const noise = (luck: () => number): number => 0.5 * Math.tan(Math.PI * (luck() - 0.5));
    const environment = linearBandit({ tasks: 100, arms: 20, dimension: 6, noise, rng: stream(seed, "tasks") });
    const { process, features, worth } = environment;
    const engine = softmaxEngine(process, { features, base: (task, arm) => features(task, arm)[0]!, optimizer: "sgd" });
    for await (const _ of practise({ engine, environment, method, steps: 60, tasksPerStep: 16, seed }));
    return { worth: engine.exact.value(worth) };
  };

/** Share of 60 tasks whose best of four answers is the likeliest, learnt from one group of a uniform policy's answers to each, without noise. */
const offline =
  (groupSize: number): Arm =>
  async (seed) => {
    const environment = linearBandit({ tasks: 60, arms: 4, dimension: 20, rng: stream(seed, "tasks") });
    const { process, features, accuracy } = environment;
    const engine = softmaxEngine(process, { features, optimizer: "sgd" });
    const method = adpo({ ...shared, groupSize, anchor: "reference", epochs: 100 });
    for await (const _ of practise({ engine, environment, method, steps: 1, seed }));
    return { accuracy: accuracy(engine.probs) };
  };

const shared = { tau: 0.5, temperature: 0.5, groupSize: 8, learningRate: 0.3, epochs: 10, optimizer: { clipNorm: null } } as const;

export const paper: Paper = {
  slug: "adpo",
  title: "ADPO: Anchored Direct Preference Optimization",
  year: 2025,
  arxiv: "2510.18913",
  family: "preference optimisation",
  summary:
    "DPO fits hard labels of pairs, and so learns noise by heart. ADPO fits the softmax of a whole group's log-ratios to an anchor to a soft target made of the rewards; with the policy's previous self as the anchor each step is small and safe, and none is the last.",
  parts: ["credit/lists", "credit/groupAdvantage", "objectives/listLoss", "training/rolloutMethod"],
  method: () => adpo(),
  claim: {
    label: "mechanism",
    statement:
      "With Cauchy noise on the rewards and the same tau and rate, an anchor that moves along learns answers worth at least twice those of one that stays, and of none. Without noise, groups of four tell the best answer for at least 8 % more of the tasks than pairs.",
    falsifiedBy:
      "A ratio to the reward of the moving anchor whose interval reaches a half, or a gain of groups over pairs whose interval reaches 0.08.",
    arms: {
      moving: online(adpo(shared)),
      fixed: online(adpo({ ...shared, anchor: "reference" })),
      none: online(adpo({ ...shared, anchor: "none" })),
      movingTuned: online(adpo({ ...shared, learningRate: 1 })),
      fixedTuned: online(adpo({ ...shared, anchor: "reference", learningRate: 3 })),
      noneFast: online(adpo({ ...shared, anchor: "none", learningRate: 3 })),
      fixedWide: online(adpo({ ...shared, anchor: "reference", tau: 5, learningRate: 30 })),
      grpo: online(grpo({ ...shared, as: "verl", learningRate: 3 })),
      groups: offline(4),
      pairs: offline(2),
    },
    method: "moving",
    baseline: "fixed",
    budget:
      "Same answers and updates, plain gradient descent; once at a rate of 0.3, once at the rate of 0.1, 0.3, 1 and 3 that is best for each (1; 3 for the fixed anchor and GRPO).",
    mustFail: ["fixed", "none", "pairs"],
    checks: [
      { say: "reward with the moving anchor (at most 1.87)", of: mean("moving", "worth"), above: 1.5 },
      { say: "reward with a fixed anchor over it", of: ratio("fixed", "moving", "worth"), below: 0.5 },
      { say: "reward without an anchor over it", of: ratio("none", "moving", "worth"), below: 0.5 },
      { say: "fixed over moving anchor, each at its best rate", of: ratio("fixedTuned", "movingTuned", "worth"), below: 0.85 },
      { say: "reward without an anchor at ten times the rate", of: mean("noneFast", "worth"), above: 1.2 },
      { say: "reward with a fixed anchor and ten times the tau", of: mean("fixedWide", "worth"), above: 1.4 },
      { say: "moving anchor over GRPO at its best rate", of: ratio("movingTuned", "grpo", "worth"), above: 0.9, below: 1.1 },
      { say: "best answers that groups tell, less those that pairs tell", of: difference("groups", "pairs", "accuracy"), above: 0.08 },
    ],
    seeds: 24,
    seconds: 60,
    notMiniaturised:
      "That only a moving anchor learns: with ten times the tau one step from a fixed anchor is long enough, and without an anchor steps so large that they never fit their group do as well. That it learns more than GRPO, which it does not. Nor targets of smoothed ranks, whose gain under noise the card calls weak, nor distillation and language models.",
  },
};
