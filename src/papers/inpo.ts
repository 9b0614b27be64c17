import { pairs, populationPairs, withLogProbs } from "../credit/index.ts";
import { softmaxEngine } from "../engines/index.ts";
import type { SoftmaxEngine } from "../engines/index.ts";
import { bandit, contest, geometricMean, intransitiveGame, regularisedGap, tilt, winRates } from "../environments/toy/index.ts";
import type { RegularisedGame } from "../environments/toy/index.ts";
import { pairLoss } from "../objectives/index.ts";
import { stream } from "../statistics/index.ts";
import { preferenceRounds, rolloutMethod, step } from "../training/index.ts";
import type { RolloutMethod, RolloutOptions } from "../training/index.ts";
import type { Arm } from "./claim.ts";
import { largest, mean, ratio } from "./estimates.ts";
import type { Paper } from "./paper.ts";

export interface InpoOptions extends RolloutOptions {
  /** How far one round moves: the temperature of its mirror step, in units of win rate. Default 0.1. */
  readonly eta?: number;
  /** tau / eta: the reference policy's share in the anchor, in [0, 1). Default 1/3. */
  readonly ratio?: number;
  /** Steps of a round, after which the policy becomes its own anchor. Default 25. */
  readonly every?: number;
}

/**
 * Iterative Nash policy optimisation (INPO, arXiv 2407.00617): towards the policy that no other is preferred to, without estimating a win
 * rate. Each round minimises (h - 1 / (2 eta))^2 on pairs of the policy's own answers, h the margin of log-ratios against
 * reference^(tau / eta) * previous^(1 - tau / eta): the "ipo" loss against a moving anchor. On independent pairs labelled by the preference
 * its minimiser is the mirror step anchor * exp(winRate / eta); with more than two answers to a task the best is paired with the worst,
 * which moves further and is no longer exact.
 */
export function inpo(options: InpoOptions = {}): RolloutMethod {
  const { eta = 0.1, ratio = 1 / 3, every = 25, groupSize = 8 } = options;
  return rolloutMethod(
    {
      name: "INPO",
      settings: { eta, ratio, pairs: "best-worst" },
      anchor: { reference: ratio, every },
      credit: (table) => pairs(table, { kind: "best-worst" }),
      objective: pairLoss("ipo", { beta: eta, against: "anchor" }),
    },
    { ...options, groupSize },
  );
}

const tau = 0.1;
const eta = 1;

/** Ten answers whose preferences go in circles, and a policy that starts as the reference. `gain` multiplies its weights. */
function random(seed: number, gain = 1): RegularisedGame & { readonly engine: SoftmaxEngine } {
  const { game, reference } = intransitiveGame(10, stream(seed, "game"));
  const base = (_: number, answer: number): number => Math.log(reference[answer]!);
  return { game, reference, tau, engine: softmaxEngine(bandit({ tasks: 1, actions: 10 }), { base, gain }) };
}

/** The gap after 50 rounds of the step that the loss stands for: anchor * exp(winRate / eta). */
const exact: Arm = (seed) => {
  const regularised = random(seed);
  const { game, reference } = regularised;
  let policy: Float64Array = Float64Array.from(reference);
  for (let round = 0; round < 50; round++) policy = tilt(geometricMean(policy, reference, tau / eta), winRates(game, policy), eta);
  return { gap: regularisedGap(regularised, policy) };
};

/** The gap after 15 rounds of 400 labelled pairs each, of the method with some options changed. */
const sampled =
  (changed: InpoOptions = {}): Arm =>
  async (seed) => {
    const { engine, ...regularised } = random(seed);
    const optimizer = { beta2: 0.999, weightDecay: 0, clipNorm: null };
    const run = preferenceRounds({
      engine,
      method: inpo({ eta, ratio: tau / eta, every: 1, groupSize: 2, learningRate: 0.05, optimizer, ...changed }),
      ...contest(regularised.game, 400),
      rounds: 15,
      updates: 60,
      keep: "round",
      seed,
    });
    for await (const _ of run);
    return { gap: regularisedGap(regularised, engine.probs(0)) };
  };

/** The gap of reference * exp(reward / tau), the reward fitted to all pairs of the reference's answers. DPO on them is both in one. */
const rewardThenGibbs: Arm = async (seed) => {
  const { engine, ...regularised } = random(seed, 1 / tau);
  const examples = await withLogProbs(populationPairs(regularised.game, regularised.reference), "reference", await engine.freeze());
  const terms = [{ examples, objective: pairLoss("dpo", { beta: tau, softLabels: true }) }];
  let left = 0;
  for (let k = 0; k < 400; k++) {
    const learningRate = 0.1 * Math.min(1, 2 - k / 200);
    left = (await step(engine, terms, { learningRate, beta1: 0.9, beta2: 0.999, epsilon: 1e-12 })).gradientNorm!;
  }
  return { gap: regularisedGap(regularised, engine.probs(0)), left };
};

export const paper: Paper = {
  slug: "inpo",
  title: "Iterative Nash Policy Optimization: Aligning LLMs with General Preferences via No-Regret Learning",
  year: 2024,
  arxiv: "2407.00617",
  family: "preference optimisation",
  summary:
    "Preferences that go in circles have no reward. INPO plays against itself towards the policy that no other is preferred to: each round is a squared loss on pairs of its own answers against a mixture of the reference and its previous self, whose minimiser is a mirror-descent step, so no win rate is ever estimated.",
  parts: ["credit/pairs", "objectives/pairLoss", "engines/geometricMixture", "training/preferenceRounds", "environments/tilt"],
  method: () => inpo(),
  claim: {
    label: "mechanism",
    statement:
      "In games whose preferences go in circles INPO arrives at the regularised equilibrium, exactly and from sampled pairs; the best policy for a fitted reward does not, and the same rounds without the pull to the reference, with the target 1/eta, or on best-of-eight pairs end several times as far away.",
    falsifiedBy:
      "A game with a gap above 0.001 after 50 exact rounds, a mean gap above 0.02 after 15 sampled ones, or sampled rounds with a wrong anchor or target that end as close.",
    arms: {
      exact,
      sampled: sampled(),
      rewardThenGibbs,
      withoutPull: sampled({ ratio: 0 }),
      twiceTheTarget: sampled({ eta: eta / 2 }),
      bestOfEight: sampled({ groupSize: 8 }),
    },
    method: "sampled",
    baseline: "rewardThenGibbs",
    budget:
      "The baseline is fitted to the exact preferences of all pairs until its gradient vanishes, so it has more than any number of labels; best-of-eight pairs cost 28 comparisons where plain pairs cost one.",
    mustFail: ["rewardThenGibbs", "withoutPull", "twiceTheTarget", "bestOfEight"],
    checks: [
      { say: "largest gap of all games after 50 exact rounds", of: largest("exact", "gap"), below: 1e-3 },
      { say: "mean gap of the best policy for a fitted reward", of: mean("rewardThenGibbs", "gap"), above: 0.03 },
      { say: "largest gradient left where that reward was fitted", of: largest("rewardThenGibbs", "left"), below: 1e-6 },
      { say: "mean gap after 15 rounds of sampled pairs", of: mean("sampled", "gap"), below: 0.02 },
      { say: "the same over that of the fitted reward", of: ratio("sampled", "rewardThenGibbs", "gap"), below: 0.3 },
      { say: "gap without the pull to the reference over that with it", of: ratio("withoutPull", "sampled", "gap"), above: 2 },
      { say: "gap with the target 1/eta over that with 1/(2 eta)", of: ratio("twiceTheTarget", "sampled", "gap"), above: 2 },
      { say: "gap of best-of-eight pairs over that of plain pairs", of: ratio("bestOfEight", "sampled", "gap"), above: 3 },
    ],
    seeds: 20,
    seconds: 30,
    notMiniaturised:
      "Results on language models. There the pairs are best-of-eight, which moves faster at first and then past the equilibrium, as the last arm shows. The card's least squares have a ridge of 0.5; here 60 Adam steps from the previous policy stand for it.",
  },
};
