import { highestRows, mostVaried, randomRows, reweight, rowMeans, select, topCells, withRecorded } from "../credit/index.ts";
import type { Column, Key } from "../credit/index.ts";
import { softmaxEngine } from "../engines/index.ts";
import { armBandit, hiddenSymbols } from "../environments/toy/index.ts";
import { normal, stream } from "../statistics/index.ts";
import type { Rng } from "../statistics/index.ts";
import { grpo, practise, rampAt } from "../training/index.ts";
import type { GrpoOptions, Ramp, RolloutMethod } from "../training/index.ts";
import type { Arm } from "./claim.ts";
import { difference, mean, ratio } from "./estimates.ts";
import type { Paper } from "./paper.ts";

export interface D3sOptions extends Partial<GrpoOptions> {
  /** Share of the answers that are trained on. Default from 0.25 to 1 while training goes on. */
  readonly answers?: Ramp;
  /** Share of these answers' tokens that are trained on. Default from 0.2 to 1. */
  readonly tokens?: Ramp;
  /** Choose answers of each group, or of the whole batch. Default "group". */
  readonly within?: "group" | "batch";
  /** Which answers. Default those whose advantages vary most. */
  readonly choose?: (advantage: Column, key: Key, count: number, rng: Rng) => ArrayLike<number>;
  /** What tokens are ranked by. Default |advantage| * entropy of the acting policy. */
  readonly rank?: (advantage: number, entropy: number, rng: Rng) => number;
}

/**
 * Dynamic dual-level down-sampling (D3S, arXiv 2509.22115) on GRPO: of all answers those whose advantages vary most, of their tokens those
 * with the largest |advantage| * entropy, and ever more of both as training goes on. Advantages stay those of all answers; the loss is the
 * mean over what is kept.
 */
export function d3s(options: D3sOptions = {}): RolloutMethod {
  const { answers = { from: 0.25, to: 1 }, tokens = { from: 0.2, to: 1 }, within = "group", ...rest } = options;
  const { choose = mostVaried, rank = (advantage, entropy) => Math.abs(advantage) * entropy, ...ofGrpo } = rest;
  const method = grpo({ as: "verl", ...ofGrpo });
  return {
    ...method,
    name: "D3S",
    settings: { ...method.settings, answers, tokens, within },
    credit(table, context) {
      const { progress, rng } = context;
      const all = method.credit(withRecorded(table, "entropy"), context);
      if (all === null) return null;
      const { group } = table.keys;
      const key = within === "group" ? group : new Int32Array(group.length);
      const size = within === "group" ? method.groupSize : group.length;
      const count = Math.max(2, Math.round(rampAt(answers, progress) * size));
      const chosen = select(all, choose(rowMeans(all, all.token["advantage"]!), key, count, rng));
      const { advantage, entropy } = chosen.token;
      const scores = Float64Array.from(advantage!, (a, cell) => rank(a, entropy![cell]!, rng));
      return reweight(chosen, topCells(chosen, scores, rampAt(tokens, progress)));
    },
  };
}

/** Steps until the best of 20 arms has a probability of 0.9 (mean of 8 prompts): the best is worth 1.6, the others up to 1, noise 0.1. */
function answerLevel(method: RolloutMethod): Arm {
  return async (seed) => {
    const worth = (best: boolean, rng: Rng) => {
      const mean = best ? 1.6 : rng();
      return (luck: Rng) => mean + 0.1 * normal(luck);
    };
    const environment = armBandit({ tasks: 8, arms: 20, worth, rng: stream(seed, "arms") });
    const engine = softmaxEngine(environment.process, { optimizer: "sgd" });
    let [steps, answers, norms] = [0, 0, 0];
    for await (const { examples, updates } of practise({ engine, environment, method, steps: 300, seed })) {
      steps++;
      answers += examples?.rows.length ?? 0;
      norms += updates[0]?.gradientNorm ?? 0;
      if (environment.chance(engine.probs) >= 0.9) break;
    }
    return { steps, answers, norm: norms / steps };
  };
}

/** Steps until an answer is right with probability 0.9: 3 of its 16 symbols decide, the others are one symbol with probability 0.95. */
function tokenLevel(method: RolloutMethod): Arm {
  return async (seed) => {
    const environment = hiddenSymbols({ length: 16, symbols: 6, hidden: 3, rng: stream(seed, "lock") });
    const { right } = environment;
    const engine = softmaxEngine(environment.process, {
      optimizer: "sgd",
      base: (place, symbol) => (right.has(place) || symbol > 0 ? 0 : 4.5),
    });
    let [steps, tokens, signal, deciding] = [0, 0, 0, 0];
    for await (const { examples } of practise({ engine, environment, method, steps: 300, seed })) {
      steps++;
      for (const [cell, weight] of examples?.mask.entries() ?? []) {
        tokens += weight;
        // A step whose answers all have the same reward chooses nothing.
        const informs = examples!.token["advantage"]![cell] === 0 ? 0 : weight;
        signal += informs;
        if (right.has(cell % 16)) deciding += informs;
      }
      if (environment.chance(engine.probs) >= 0.9) break;
    }
    return { steps, tokens: tokens / steps, deciding: deciding / signal };
  };
}

/** The probability of the right one of 5 arms after 100 steps (mean of 8 prompts) when every tenth reward is the wrong way round. */
function noisy(method: RolloutMethod): Arm {
  return async (seed) => {
    const worth = (best: boolean) => (luck: Rng) => (best !== luck() < 0.1 ? 1 : 0);
    const environment = armBandit({ tasks: 8, arms: 5, worth, rng: stream(seed, "right arms") });
    const engine = softmaxEngine(environment.process, { optimizer: "sgd" });
    for await (const _ of practise({ engine, environment, method, steps: 100, seed }));
    return { right: environment.chance(engine.probs) };
  };
}

const shared = { groupSize: 32, optimizer: { clipNorm: null }, as: "trl", tokens: 1 } as const;
const answers = { ...shared, learningRate: 2.5, answers: 0.25 };
const tokens = { ...shared, groupSize: 64, learningRate: 1.5, divisor: 64, answers: 1, tokens: 3 / 16 };
const noise = { ...shared, learningRate: 1, answers: 0.25 };
export const paper: Paper = {
  slug: "d3s",
  title: "Learning More with Less: A Dynamic Dual-Level Down-Sampling Framework for Efficient Policy Optimization",
  year: 2025,
  arxiv: "2509.22115",
  family: "policy optimisation",
  summary:
    "Most answers and tokens carry no signal and dilute the average gradient. D3S trains on the answers whose advantages vary most, and on their tokens with the largest product of advantage and entropy, and relaxes both selections as training goes on.",
  parts: ["credit/mostVaried", "credit/topCells", "credit/reweight", "credit/withRecorded", "training/rampAt", "training/grpo"],
  method: () => d3s(),
  claim: {
    label: "mechanism",
    statement:
      "At one learning rate, the quarter of the answers whose advantages vary most learns in at most 0.6 of the steps of a random quarter, from a fifth of the answers that the full batch needs; the 3/16 of the tokens with the largest |advantage| * entropy need at most 1.35 times the steps of all tokens.",
    falsifiedBy: "A random or greedy quarter of the answers that is as fast, or random tokens as good as the chosen ones.",
    arms: {
      all: answerLevel(d3s({ ...answers, answers: 1 })),
      allLargerSteps: answerLevel(d3s({ ...answers, answers: 1, learningRate: 6.4 })),
      random: answerLevel(d3s({ ...answers, choose: (_, ...rest) => randomRows(...rest) })),
      best: answerLevel(d3s({ ...answers, choose: highestRows })),
      mostVaried: answerLevel(d3s(answers)),
      allTokens: tokenLevel(d3s({ ...tokens, tokens: 1 })),
      chosenTokens: tokenLevel(d3s(tokens)),
      tokensByAdvantage: tokenLevel(d3s({ ...tokens, rank: Math.abs })),
      tokensByEntropy: tokenLevel(d3s({ ...tokens, rank: (_, entropy) => entropy })),
      randomTokens: tokenLevel(d3s({ ...tokens, rank: (_a, _h, rng) => rng() })),
      noisyFixed: noisy(d3s(noise)),
      noisyRelaxed: noisy(d3s({ ...noise, answers: { from: 0.25, to: 1 } })),
    },
    method: "mostVaried",
    baseline: "random",
    budget: "Same rollouts, same learning rate, plain gradient descent without clipping of the gradient; tokens with one divisor.",
    mustFail: ["random", "best", "randomTokens", "tokensByEntropy"],
    checks: [
      { say: "steps over those of a random quarter", of: ratio("mostVaried", "random", "steps"), below: 0.6 },
      { say: "steps over those of the quarter with the highest rewards", of: ratio("mostVaried", "best", "steps"), below: 0.6 },
      { say: "answers trained on, over those of the full batch", of: ratio("mostVaried", "all", "answers"), below: 0.2 },
      { say: "norm of the gradient over that of a random quarter", of: ratio("mostVaried", "random", "norm"), above: 1.5 },
      {
        say: "answers trained on, over those of the full batch with steps of the same size",
        of: ratio("mostVaried", "allLargerSteps", "answers"),
        below: 0.5,
      },
      { say: "steps with the chosen tokens over those with all", of: ratio("chosenTokens", "allTokens", "steps"), below: 1.35 },
      { say: "tokens trained on in a step, over all", of: ratio("chosenTokens", "allTokens", "tokens"), below: 0.19 },
      { say: "steps with the chosen tokens over those with random ones", of: ratio("chosenTokens", "randomTokens", "steps"), below: 0.4 },
      {
        say: "steps with the chosen tokens over those by entropy alone",
        of: ratio("chosenTokens", "tokensByEntropy", "steps"),
        below: 0.4,
      },
      { say: "share of the chosen tokens that decide", of: mean("chosenTokens", "deciding"), above: 0.6 },
    ],
    refuted: [
      {
        say: "success under noise with the selection fixed, minus with it relaxed",
        of: difference("noisyFixed", "noisyRelaxed", "right"),
        below: 0,
        why: "The paper's curve is not known, and here it is the other way round: flips that are drawn anew cannot be learnt by heart, and the fixed selection learns faster.",
      },
    ],
    seeds: 16,
    seconds: 60,
    notMiniaturised:
      "That the schedule protects from overfitting: with a tenth of the rewards flipped the fixed selection ends higher. That selection beats what a larger step would do in steps: the full batch at a rate with steps of the same size is as fast, but trains on four times the answers.",
  },
};
