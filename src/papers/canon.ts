import { center, examples, halves, meanRecorded } from "../credit/index.ts";
import type { Column, Key, Scored } from "../credit/index.ts";
import { bandit, exercise } from "../environments/toy/index.ts";
import { softmaxEngine } from "../engines/index.ts";
import type { Rng } from "../statistics/index.ts";
import { stream } from "../statistics/index.ts";
import { drGrpo, practiseUntil, valueAt } from "../training/index.ts";
import type { GrpoOptions, RolloutMethod, Schedule } from "../training/index.ts";
import type { Arm } from "./claim.ts";
import { largest, ratio, smallest } from "./estimates.ts";
import type { Paper } from "./paper.ts";

export interface CanonOptions extends Omit<GrpoOptions, "as"> {
  readonly maxActions: number;
  /** What may go together with quality in a direction that nobody knows. Default: each answer's mean token entropy. */
  readonly metric?: (table: Scored<unknown>) => Column;
  /** Weight of the comparison with the other half; the rest is that with the own half (`cosineRestarts` for it, in the paper). Default 1. */
  readonly mu?: Schedule;
  /** Multiplies the rewards of one half, to lean one way. Default none. */
  readonly tilt?: Tilt | null;
}

type Tilt = { readonly half: "low" | "high"; readonly factor: number };

/**
 * Conditional advantages (arXiv 2509.23962, equation 8 for the tilt): each group is cut at the middle of a metric; an answer is compared
 * with the mean of the other half (weight mu) and of its own (1 - mu). With mu 1/2 and halves of one size this is Dr.GRPO.
 *
 * @throws GuerdonError "input" for a group of one, which has no halves
 */
export function conditionalAdvantage(
  { reward, group, metric }: { readonly reward: Column; readonly group: Key; readonly metric: Column },
  { mu, tilt = null, rng }: { readonly mu: number; readonly tilt?: Tilt | null; readonly rng: Rng },
): Column {
  const own = halves(metric, group, rng);
  const leaning = reward.map((r, i) => (tilt !== null && (own[i]! & 1) === (tilt.half === "high" ? 1 : 0) ? tilt.factor * r : r));
  const between = center(
    leaning,
    own,
    own.map((half) => half ^ 1),
  );
  const within = center(leaning, own);
  return between.map((a, i) => mu * a + (1 - mu) * within[i]!);
}

/** CANON (arXiv 2509.23962): amplifies what a metric does to the reward, without being told which way. No deviation, clip 0.2 and 0.28. */
export function canon(options: CanonOptions): RolloutMethod {
  const { metric = (table) => meanRecorded(table, "entropy"), mu = 1, tilt = null, ...rest } = options;
  const method = drGrpo({ high: 0.28, ...rest });
  return {
    ...method,
    name: "CANON",
    settings: { ...method.settings, metric: options.metric ? "own" : "entropy", mu: typeof mu === "number" ? mu : "schedule", tilt },
    credit(table, { rng, at }) {
      const rows = { reward: table.reward, group: table.keys.group, metric: metric(table) };
      return examples(table, { advantage: conditionalAdvantage(rows, { mu: valueAt(mu, at), tilt, rng }) });
    },
  };
}

const cap = 3000;
const good = (seed: number): number => seed % 2;
const even = (seed: number): boolean => good(seed) === 0;
const odd = (seed: number): boolean => good(seed) === 1;
const options = { maxActions: 1, groupSize: 16, learningRate: 0.05, metric: ({ parts }: Scored<unknown>): Column => parts["style"]! };

/**
 * Steps until the good style has a probability of 0.9. One weight z: an answer has style 1 with probability sigmoid(z), and is right with
 * probability 0.6 in the good style, which the seed decides, and 0.4 in the other.
 */
function steps(methodOf: (seed: number) => RolloutMethod, bonus = 0): Arm {
  return async (seed) => {
    const process = bandit({ tasks: 1, actions: 2 });
    const environment = exercise(process, ({ actions: [style = 0] }, _, rng) => {
      const right = rng() < (style === good(seed) ? 0.6 : 0.4) ? 1 : 0;
      return { value: right + bonus * style, parts: { style } };
    });
    const engine = softmaxEngine(process, { features: (_, action) => [action], optimizer: "sgd" });
    const setting = { engine, environment, method: methodOf(seed), steps: cap, seed };
    return practiseUntil(setting, () => engine.probs(0)[good(seed)]! >= 0.9);
  };
}

/** A metric that says nothing. */
const random = (seed: number) => {
  const rng = stream(seed, "random metric");
  return ({ reward }: Scored<unknown>): Column => reward.map(() => rng());
};

export const paper: Paper = {
  slug: "canon",
  title: "Conditional Advantage Estimation for Reinforcement Learning in Large Reasoning Models",
  year: 2025,
  arxiv: "2509.23962",
  family: "policy optimisation",
  summary:
    "A metric of answers, such as their entropy or length, goes together with quality, but nobody knows in which direction. CANON compares each answer with the mean of the other half of its group, split by the metric, and so amplifies the metric's effect whichever way it points.",
  parts: ["credit/halves", "credit/center", "credit/meanRecorded", "training/drGrpo", "objectives/clippedSurrogate"],
  method: ({ environment: { maxActions } }) => canon({ maxActions }),
  claim: {
    label: "mechanism",
    statement:
      "At the same learning rate CANON learns the better of two styles in at most 0.8 of the steps of Dr.GRPO, whichever style is better; with a random metric it does not, and a bonus for one style never gets there when it is the wrong one.",
    falsifiedBy: "A ratio of steps whose interval reaches 0.8 for one of the styles, or a random metric that helps as much.",
    arms: {
      drGrpo: steps(() => drGrpo(options)),
      canon: steps(() => canon(options)),
      randomMetric: steps((seed) => canon({ ...options, metric: random(seed) })),
      directionalBonus: steps(() => drGrpo(options), 0.2),
      drGrpoTwiceTheRate: steps(() => drGrpo({ ...options, learningRate: 0.1 })),
      drGrpoTuned: steps(() => drGrpo({ ...options, learningRate: 0.2 })),
      canonTuned: steps(() => canon({ ...options, learningRate: 0.2 })),
    },
    method: "canon",
    baseline: "drGrpo",
    budget:
      "Same rollouts a step, plain gradient descent. Once at a rate of 0.05, once at the rate of 0.05, 0.1 and 0.2 that is best for each, which is 0.2 for both.",
    mustFail: ["randomMetric", "directionalBonus"],
    checks: [
      { say: "steps over those of Dr.GRPO, where style 0 is better", of: ratio("canon", "drGrpo", "steps", { seeds: even }), below: 0.8 },
      { say: "steps over those of Dr.GRPO, where style 1 is better", of: ratio("canon", "drGrpo", "steps", { seeds: odd }), below: 0.8 },
      { say: "steps over those of Dr.GRPO, each at its best rate", of: ratio("canonTuned", "drGrpoTuned", "steps"), below: 0.8 },
      { say: "steps over those of Dr.GRPO at twice the rate", of: ratio("canon", "drGrpoTwiceTheRate", "steps"), above: 1 },
      { say: "steps with a random metric over those of Dr.GRPO", of: ratio("randomMetric", "drGrpo", "steps"), above: 0.85, below: 1.1 },
      {
        say: "steps with a bonus for style 1, where style 0 is better",
        of: smallest("directionalBonus", "steps", { seeds: even }),
        above: cap - 1,
      },
      { say: "steps with a bonus for style 1, where it is better", of: largest("directionalBonus", "steps", { seeds: odd }), below: cap },
    ],
    seeds: 40,
    seconds: 60,
    notMiniaturised:
      "That CANON does what no learning rate could: here its advantages are those of Dr.GRPO made larger where the halves differ, and Dr.GRPO at twice the rate is faster. Nor the accuracy of language models, nor the balance of accuracy and length.",
  },
};
