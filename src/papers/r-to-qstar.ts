import { implicitCredit } from "../credit/index.ts";
import { softmaxEngine } from "../engines/index.ts";
import { finiteTasks, hiddenRewards, softOptimum } from "../environments/toy/index.ts";
import type { StateSequence } from "../policies/index.ts";
import { beamSearch, finiteSteps } from "../search/index.ts";
import { mean as average, pearson, stream } from "../statistics/index.ts";
import { onlineDpo, preferenceRounds } from "../training/index.ts";
import type { Arm } from "./claim.ts";
import { difference, largest, mean, sampleMean } from "./estimates.ts";
import type { Paper } from "./paper.ts";

/**
 * A language model trained from preferences is a Q-function (arXiv 2404.12358). In the deterministic process of writing tokens, DPO with
 * log-ratios summed over tokens learns the policy of an optimal soft Q-function: so the log-ratio of each token is its advantage, and
 * decoding with beams on the policy's log-probabilities is planning with reward and value.
 */
export const rToQstar = {
  /** Training is DPO on whole answers; nothing of it knows of tokens. */
  train: onlineDpo,
  /** What each token was worth: beta * (log policy - log reference). */
  credit: implicitCredit,
  /** The most probable answers; with `against`, those of the largest implicit reward. */
  decode: beamSearch,
};

const beta = 0.5;
const length = 4;
const symbols = 3;
const uniform = (): Float64Array => new Float64Array(symbols).fill(1 / symbols);

/** One number a token: the answer's implicit reward in equal parts. */
const inEqualParts = (credit: Float64Array): Float64Array => credit.map(() => average(credit));

/**
 * Answers of four tokens of three kinds, with a hidden reward for each token after each other one; 3000 labelled pairs of the uniform
 * reference's answers; a policy that sees the whole prefix. Measured over all 81 answers: the correlation of each token's credit with the
 * exact Q - V; the reward of the first of five beams and of greedy decoding, each less that of sampling; the mean implicit reward of the
 * reference's answers.
 *
 * @param credit from the implicit credit of an answer's tokens
 * @param blind labels are coin tosses
 */
const trial =
  (credit = (own: Float64Array): Float64Array => own, blind = false): Arm =>
  async (seed) => {
    const { process, answers, reward } = hiddenRewards({ length, symbols, rng: stream(seed, "rewards") });
    const worth = ({ states, actions }: StateSequence): number => actions.reduce((sum, a, t) => sum + reward(states[t]!, a), 0);
    const engine = softmaxEngine(process);
    const reference = await engine.freeze();
    const run = preferenceRounds({
      engine,
      method: rToQstar.train({ beta, groupSize: 2, learningRate: 0.2, optimizer: { beta2: 0.999, weightDecay: 0, clipNorm: null } }),
      tasks: Array.from({ length: 3000 }, () => finiteTasks(process)[0]!),
      maxActions: length,
      prefers: (a, b, luck) => luck() < (blind ? 0.5 : 1 / (1 + Math.exp(worth(b.row) - worth(a.row)))),
      rounds: 1,
      updates: 300,
      keep: "round",
      keyOf: ({ actions }) => actions.join(" "),
      seed,
    });
    for await (const _ of run);

    const implicit = await rToQstar.credit(answers, engine, reference, beta);
    const { q, v } = softOptimum(process, uniform, reward, beta);
    const exact = answers.map(({ states, actions }) =>
      Array.from(actions, (a, t) => q[t]![states[t]! * symbols + a]! - v[t]![states[t]!]!),
    );
    const decoded = async (width: number): Promise<number> => {
      const [first] = await rToQstar.decode(finiteSteps(process, engine), process.start(0), { width, maxActions: length });
      return worth(answers.find(({ actions }) => actions.every((a, t) => a === first!.actions[t]))!);
    };
    const sampled = engine.exact.value(reward);
    return {
      correlation: pearson(
        implicit.flatMap((own) => [...credit(own)]),
        exact.flat(),
      ),
      beamGain: (await decoded(5)) - sampled,
      greedyGain: (await decoded(1)) - sampled,
      ofReference: average(implicit.map((own) => own.reduce((sum, c) => sum + c, 0))),
    };
  };

export const paper: Paper = {
  slug: "r-to-qstar",
  title: "From r to Q*: Your Language Model is Secretly a Q-Function",
  year: 2024,
  arxiv: "2404.12358",
  family: "preference optimisation",
  summary:
    "DPO was derived for whole answers. Seen token by token it learns an optimal soft Q-function: the log-ratio of each token to the reference is its advantage, so a model trained on labels of whole answers gives credit to single tokens, and searching for probable answers is planning.",
  parts: ["training/onlineDpo", "objectives/pairLoss", "credit/implicitCredit", "search/beamSearch", "environments/softOptimum"],
  claim: {
    label: "mechanism",
    statement:
      "Trained on labels of whole answers, the log-ratios of single tokens follow the exact Q - V; the answer's implicit reward in equal parts does not, and with labels that say nothing nothing follows. Beams find answers of more reward than sampling, and the implicit reward of the reference's own answers falls below zero.",
    falsifiedBy: "A mean correlation below 0.85 or within 0.3 of that of equal parts; a seed in which the reference's answers do not fall.",
    arms: { tokens: trial(), equalParts: trial(inEqualParts), coinTosses: trial(undefined, true) },
    method: "tokens",
    baseline: "equalParts",
    budget: "The same trained policy; only the way differs in which its implicit reward is spread over tokens.",
    mustFail: ["equalParts", "coinTosses"],
    checks: [
      { say: "correlation of token credit with the exact Q - V", of: mean("tokens", "correlation"), above: 0.85 },
      { say: "the same less that of equal parts", of: difference("tokens", "equalParts", "correlation"), above: 0.3 },
      { say: "correlation of equal parts with the exact Q - V", of: mean("equalParts", "correlation"), below: 0.85 },
      { say: "correlation with labels that are coin tosses", of: mean("coinTosses", "correlation"), below: 0.3 },
      { say: "reward of the best of five beams less that of sampling", of: mean("tokens", "beamGain"), above: 0 },
      { say: "the same, as a mean without an interval", of: sampleMean("tokens", "beamGain"), above: 0.2 },
      { say: "largest mean implicit reward of the reference's answers", of: largest("tokens", "ofReference"), below: 0 },
    ],
    seeds: 40,
    seconds: 60,
    notMiniaturised:
      "That beams are better than greedy decoding, and that too many beams are worse: with four tokens beams and greedy decoding find nearly always the same answer. The card trains 1500 steps at 0.05; 300 at 0.2 end in the same minimum.",
  },
};
