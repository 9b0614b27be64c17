import { bothKinds, cumulativeTokenWeights, examples, leaveOneOut, select } from "../credit/index.ts";
import { bandit, finiteTasks, given, hiddenSymbols, tilt } from "../environments/toy/index.ts";
import { softmaxEngine } from "../engines/index.ts";
import { combine, klPenalty, onRows, outcomeLoss, scoreFunction } from "../objectives/index.ts";
import { rollOut } from "../rollouts/index.ts";
import { below, chiSquareTest, normal, stream } from "../statistics/index.ts";
import type { Rng } from "../statistics/index.ts";
import { grpo, practise, rloo } from "../training/index.ts";
import type { RolloutMethod, RolloutOptions } from "../training/index.ts";
import type { Arm } from "./claim.ts";
import { difference, largest, mean, ratio, smallest } from "./estimates.ts";
import type { Paper } from "./paper.ts";

export interface OrealOptions extends RolloutOptions {
  /** The smallest reward of a right answer; default 1, a verifier's yes. */
  readonly accept?: number;
  /** The most right and the most wrong answers of a task that are learnt from, drawn at random. Default 1. */
  readonly perTask?: number;
  /** Weight of the wrong answers' term; default 0.5. */
  readonly wrongWeight?: number;
  /** What pushes a wrong answer down: the more, the better the others of its group did ("leave-one-out", the default), or all alike. */
  readonly wrongAdvantage?: "leave-one-out" | "constant";
  /** Coefficient of the divergence from the reference policy; default 0.01. */
  readonly kl?: number;
  /**
   * "uniform": all tokens count alike. "score": by a token reward model that is fitted to the verdicts along the way: the policy's own score
   * head, which a model needs to have (those of the built-in jobs have none). The paper trains a second model; a head on a shared body moves
   * that body too. Default "uniform".
   */
  readonly tokenWeights?: "uniform" | "score";
  /** Weight of the token reward model's loss; default 1. */
  readonly tokenRewardWeight?: number;
  /** Steps at the beginning in which the token reward model's loss is the only one. Default 10 where there is such a model. */
  readonly frozenSteps?: number;
}

/**
 * OREAL (arXiv 2502.06781), for verdicts of right and wrong: clones right answers, which are samples of the best policy near the reference
 * given that they are right; pushes wrong ones down by their leave-one-out advantage, which gives both gradients one scale; and stays near
 * the reference policy (k3). Each term is a mean over its own tokens. Tasks that are answered all right or all wrong teach nothing.
 */
export function oreal(options: OrealOptions = {}): RolloutMethod {
  const { accept = 1, perTask = 1, wrongWeight = 0.5, wrongAdvantage = "leave-one-out", kl = 0.01 } = options;
  const { tokenWeights = "uniform", tokenRewardWeight = 1 } = options;
  const judged = tokenWeights === "score";
  const { frozenSteps = judged ? 10 : 0 } = options;
  const aggregation = { aggregation: "token-mean", divisor: null } as const;
  const weights = { right: 1, wrong: wrongWeight, ...(kl > 0 && { kl: 1 }), ...(judged && { tokenReward: tokenRewardWeight }) };
  return {
    ...rloo(options),
    name: "OREAL",
    settings: { accept, perTask, wrongAdvantage, tokenWeights, frozenSteps, ...aggregation },
    creditNeeds: judged ? ["score"] : [],
    credit(table, { rng }) {
      const right = table.reward.map((r) => (r >= accept ? 1 : 0));
      const kept = bothKinds(right, table.keys.group, perTask, rng);
      if (kept.length === 0) return null;
      const verdict = right.map((r) => 2 * r - 1);
      const wrong = wrongAdvantage === "constant" ? verdict : leaveOneOut(verdict, table.keys.group);
      const advantage = table.rollouts.map(({ mask }, i) => {
        const own = judged ? cumulativeTokenWeights(table.token["score"]![i]!, mask)[right[i] === 1 ? "right" : "wrong"] : null;
        return Float64Array.from(mask, (_, j) => (own?.[j] ?? 1) * (right[i] === 1 ? 1 : wrong[i]!));
      });
      return select(examples(table, { advantage, row: { right, wrong: right.map((r) => 1 - r), label: right } }), kept);
    },
    // On the policy's own samples a ratio to itself has the gradient of the score function.
    objective: combine(
      {
        right: onRows("right", scoreFunction(aggregation)),
        wrong: onRows("wrong", scoreFunction(aggregation)),
        ...(kl > 0 && { kl: klPenalty({ estimator: "k3", coefficient: kl, ...aggregation }) }),
        ...(judged && { tokenReward: outcomeLoss({ read: "mean" }) }),
      },
      weights,
    ),
    coefficients: Object.fromEntries(
      (["right", "wrong", "kl"] as const)
        .filter((term) => frozenSteps > 0 && term in weights)
        .map((term) => [`${term}.weight`, ({ inPhase }) => (inPhase < frozenSteps ? 0 : weights[term]!)]),
    ),
  };
}

const cap = 400;
const symbols = 4;
/** The card's rate is for sums over the 12 tokens of an answer, and these terms are means. */
const atRate = (rate: number) => ({ groupSize: 16, learningRate: 12 * rate });
/** One task, so all of its answers are kept. */
const whole = { ...atRate(0.3), perTask: Infinity };

/**
 * Steps until a right answer has a probability of 0.9, and that probability after 400 steps. Three of twelve tokens matter; their right
 * symbols begin with a logit of 0.7, a chance of 0.065 in all.
 */
const learnt =
  (method: RolloutMethod): Arm =>
  async (seed) => {
    const environment = hiddenSymbols({ length: 12, symbols, hidden: 3, rng: stream(seed, "hidden symbols") });
    const base = (position: number, symbol: number): number => (environment.right.get(position) === symbol ? 0.7 : 0);
    const engine = softmaxEngine(environment.process, { base, optimizer: "sgd", scores: method.creditNeeds.includes("score") });
    let steps = cap;
    for await (const { index } of practise({ engine, environment, method, steps: cap, seed }))
      if (steps === cap && environment.chance(engine.probs) > 0.9) steps = index;
    return { steps, final: environment.chance(engine.probs) };
  };

/** Right answers among the best of 16, one of which `pick` takes: against the best policy near the reference, given a right answer. */
const bestOf16 =
  (pick: (right: readonly number[], likelihood: Float64Array, rng: Rng) => number): Arm =>
  async (seed) => {
    const rng = stream(seed, "best of 16");
    const hidden = hiddenSymbols({ length: 6, symbols, hidden: 3, rng });
    const answers = hidden.answers();
    const isRight = (answer: number): boolean => hidden.isRight(answers[answer]!);
    const taste = Float64Array.from({ length: 6 * symbols }, () => 0.7 * normal(rng));
    const logit = (symbol: number, at: number): number => {
      if (hidden.right.has(at)) return hidden.right.get(at) === symbol ? 1.4 : 0;
      return taste[at * symbols + symbol]!;
    };
    const process = bandit({ tasks: 1, actions: answers.length });
    const engine = softmaxEngine(process, {
      base: (_, answer) => answers[answer]!.reduce((sum, symbol, at) => sum + logit(symbol, at), 0),
    });
    const reference = engine.probs(0);
    const verdicts = reference.map((_, answer) => Number(isRight(answer)));
    const cloned = given(reference, isRight);
    const best = [0.05, 0.3, 2].map((beta) => given(tilt(reference, verdicts, beta), isRight));
    const gaps = best.flatMap((policy) => Array.from(policy, (p, i) => Math.abs(p - cloned[i]!)));
    const drawn = await rollOut(engine, { maxActions: 1 }, finiteTasks(process), { groupSize: 16 * 2500, seed, step: 0 });
    const counts = new Float64Array(answers.length);
    for (let i = 0; i < drawn.length; i += 16) {
      const found = drawn.slice(i, i + 16).flatMap(({ row }) => Array.from(row.actions).filter(isRight));
      if (found.length > 0) counts[pick(found, reference, rng)]!++;
    }
    return { gap: Math.max(...gaps), p: chiSquareTest(counts, cloned).p };
  };

const likeliest = (found: readonly number[], likelihood: Float64Array): number =>
  found.reduce((best, i) => (likelihood[i]! > likelihood[best]! ? i : best));

export const paper: Paper = {
  slug: "oreal",
  title: "Exploring the Limit of Outcome Reward for Learning Mathematical Reasoning",
  year: 2025,
  arxiv: "2502.06781",
  family: "reward design",
  summary:
    "With only a verdict for a long solution, what is the right update? A right answer of best-of-n is a sample of the best policy near the reference, given that it is right, so cloning it is right; wrong answers must be weighed so that their gradient has the same scale, for which a leave-one-out advantage serves; a token reward model may say which tokens count.",
  parts: [
    "credit/bothKinds",
    "credit/leaveOneOut",
    "credit/cumulativeTokenWeights",
    "objectives/onRows",
    "objectives/scoreFunction",
    "objectives/klPenalty",
    "objectives/outcomeLoss",
  ],
  method: () => oreal(),
  claim: {
    label: "mechanism",
    statement:
      "Right answers of best-of-n are distributed as those of the best policy near the reference. Beside cloning them, pushing wrong answers down saves at least 40 % of the steps, and weighing these by their leave-one-out advantage saves more than weighing them alike with the same weight.",
    falsifiedBy: "A gap between the two distributions, or ratios of steps whose intervals reach 0.6 and 0.95.",
    arms: {
      oreal: learnt(oreal(whole)),
      rightOnly: learnt(oreal({ ...whole, wrongWeight: 0 })),
      grpo: learnt(grpo({ as: "paper", kl: null, ...atRate(0.3) })),
      constantWrong: learnt(oreal({ ...whole, wrongAdvantage: "constant" })),
      constantWrongTwice: learnt(oreal({ ...whole, wrongAdvantage: "constant", wrongWeight: 1 })),
      wrongSign: learnt(oreal({ ...whole, wrongWeight: -0.5 })),
      onePair: learnt(oreal(atRate(0.3))),
      tokenReward: learnt(oreal({ ...atRate(0.3), tokenWeights: "score", tokenRewardWeight: 10 })),
      orealTuned: learnt(oreal({ ...whole, ...atRate(1) })),
      rightOnlyTuned: learnt(oreal({ ...whole, ...atRate(1), wrongWeight: 0 })),
      constantWrongTuned: learnt(oreal({ ...whole, ...atRate(1), wrongAdvantage: "constant" })),
      bestOf16: bestOf16((found, _, rng) => found[below(rng, found.length)]!),
      likeliestOf16: bestOf16(likeliest),
    },
    method: "oreal",
    baseline: "rightOnly",
    budget:
      "16 answers a step, plain gradient descent; once at the card's rate of 0.3, once at the rate of 0.1, 0.3 and 1 that is best for each, which is 1 for all.",
    mustFail: ["wrongSign", "likeliestOf16"],
    checks: [
      { say: "steps over those of cloning alone", of: ratio("oreal", "rightOnly", "steps"), below: 0.6 },
      { say: "the same, each at its best rate", of: ratio("orealTuned", "rightOnlyTuned", "steps"), below: 0.6 },
      { say: "steps over those of GRPO", of: ratio("oreal", "grpo", "steps"), below: 1 },
      { say: "steps over those with wrong answers weighed alike", of: ratio("oreal", "constantWrong", "steps"), below: 0.95 },
      { say: "the same, each at its best rate", of: ratio("orealTuned", "constantWrongTuned", "steps"), below: 0.95 },
      { say: "steps with twice the weight, all alike, over those of OREAL", of: ratio("constantWrongTwice", "oreal", "steps"), below: 1 },
      { say: "steps where wrong answers are pushed up (cap 400)", of: smallest("wrongSign", "steps"), above: cap - 1 },
      { say: "final chance with uniform weights (one pair a step)", of: mean("onePair", "final"), above: 0.9 },
      {
        say: "what a token reward model adds to the final chance (one pair a step)",
        of: difference("tokenReward", "onePair", "final"),
        above: -0.05,
      },
      { say: "largest gap between the best policy and the reference, given a right answer", of: largest("bestOf16", "gap"), below: 1e-6 },
      { say: "smallest p-value of best-of-16 against that distribution", of: smallest("bestOf16", "p"), above: 1e-4 },
      { say: "largest p-value where the likeliest right one is taken", of: largest("likeliestOf16", "p"), below: 1e-4 },
    ],
    seeds: 20,
    seconds: 60,
    notMiniaturised:
      "That the reshaping does what a larger weight could not: weighing all wrong answers alike with twice the weight is as fast. That a token reward model helps: its cumulative mean smears credit, and in this system uniform weights are two to three times as fast; only the final accuracy is claimed. Nor the accuracy of language models.",
  },
};
