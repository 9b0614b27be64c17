import { runningClip, runningMinmax, runningStandardise } from "../credit/index.ts";
import type { Column, RewardTransform } from "../credit/index.ts";
import { divergence, exercise, hackableAnswers, tiltTo } from "../environments/toy/index.ts";
import { softmaxEngine } from "../engines/index.ts";
import { preference, relativeScore } from "../rewards/index.ts";
import type { PreferenceOptions, RelativeShape, Reward, WithReferences } from "../rewards/index.ts";
import { below, deviation, stream } from "../statistics/index.ts";
import { practise, rloo } from "../training/index.ts";
import type { Arm } from "./claim.ts";
import { difference, largest, mean, smallest } from "./estimates.ts";
import type { Paper } from "./paper.ts";

/**
 * Preference As Reward (PAR, arXiv 2502.18770): trains on the probability that an answer beats reference answers to the same prompt, mean of
 * sigma(k (r - r_ref)), instead of on the score r of a reward model. Works with any reward: `reward: par(score)`, where rows have a column
 * `references`, of texts or of their scores; one drawn from the policy before training is enough. Do not standardise the result again, which
 * would undo the bound: use a method that does not divide by the deviation, such as `drGrpo` or `rloo`.
 *
 * What the paper compares it with has the same signature (`relative`, with a shape), or, where it needs the rewards of earlier steps, is a
 * method's `rewardTransform`: `{ ...rloo(), rewardTransform: runningClip }`.
 */
export const par = <Needs extends object, const References extends string = "references">(
  reward: Reward<Needs>,
  options: PreferenceOptions<References> = {},
): Reward<Needs & WithReferences<References>> => preference(reward, options);

const answers = 4000;
const uniform = new Float64Array(answers).fill(1 / answers);
const expected = (p: ArrayLike<number>, x: Column): number => x.reduce((sum, value, i) => sum + value * p[i]!, 0);

/** What a score becomes: against the scores of reference answers, or by all scores so far. */
interface Shaping {
  readonly given: (proxy: Column, references: readonly number[]) => Column;
  readonly transform: (() => RewardTransform) | null;
}
const against = (shape: RelativeShape, count = 10): Shaping => ({
  given: (proxy, references) => proxy.map((r) => relativeScore(r, references.slice(0, count), shape)),
  transform: null,
});
const after = (transform: (() => RewardTransform) | null): Shaping => ({ given: (proxy) => proxy, transform });

function world(seed: number, { given, transform }: Shaping) {
  const rng = stream(seed, "answers");
  const made = hackableAnswers({ answers, share: 0.02, mean: 6, cost: 0.5, rng });
  const references = Array.from({ length: 10 }, () => made.proxy[below(rng, answers)]!);
  const shaped = given(made.proxy, references);
  return { ...made, shaped, reward: transform?.().apply(shaped) ?? shaped };
}

/** Exactly: the truth of the best policy at given divergences, in nats, from the uniform reference. */
const best =
  (shaping: Shaping): Arm =>
  (seed) => {
    const { reward, truth } = world(seed, shaping);
    const at = (nats: number): number => expected(tiltTo(uniform, reward, nats), truth);
    return { quarter: at(0.25), half: at(0.5), one: at(1) };
  };

/**
 * 100 steps of 64 answers, from the reference on, for a policy of two knobs: quality, and hack in units of 3. Rates are divided by the
 * reward's deviation, so that no reward is only slower than another.
 */
const trained =
  (shaping: Shaping): Arm =>
  async (seed) => {
    const { process, quality, hack, proxy, truth, shaped, reward } = world(seed, shaping);
    const engine = softmaxEngine(process, { features: (_, a) => [quality[a]!, hack[a]! / 3], optimizer: "sgd" });
    const learningRate = 0.01 / deviation(reward, { ddof: 0 });
    const method = { ...rloo({ groupSize: 64, learningRate, optimizer: { clipNorm: null } }), rewardTransform: shaping.transform };
    const environment = exercise(process, ({ actions }) => shaped[actions[0]!]!);
    const start = expected(uniform, truth);
    let peak = start;
    let final = start;
    for await (const { index } of practise({ engine, environment, method, steps: 100, seed })) {
      if (index % 5 === 0) final = expected(engine.probs(0), truth);
      peak = Math.max(peak, final);
    }
    const policy = engine.probs(0);
    const gain = expected(policy, proxy) - expected(uniform, proxy);
    return { rise: peak - start, fall: peak - final, final, gain, nats: divergence(policy, uniform) };
  };

export const paper: Paper = {
  slug: "par",
  title: "Reward Shaping to Mitigate Reward Hacking in RLHF",
  year: 2025,
  arxiv: "2502.18770",
  family: "reward design",
  summary:
    "A policy trained on a reward model's score finds answers that fool it: the score rises and quality falls. Preference As Reward trains on the probability that the answer beats a reference answer instead: bounded, steep where the score can be trusted and flat far above.",
  parts: ["rewards/preference", "rewards/relativeScore", "credit/runningClip", "credit/runningMinmax", "credit/runningStandardise"],
  claim: {
    label: "mechanism",
    statement:
      "Where 2 % of the answers fool the reward model, the best policy on PAR has at least 1 more true reward than that on the raw score at a divergence of 0.25 nats and 2 more at 1 nat; in training, truth first rises and then falls on the raw score, and ends higher with PAR on every seed. Standardising changes nothing.",
    falsifiedBy: "A difference below those, an affine map that helps, or a seed on which training on the raw score ends with more truth.",
    arms: {
      par: best(against("preference")),
      raw: best(after(null)),
      minmax: best(after(runningMinmax)),
      standardised: best(after(runningStandardise)),
      clipped: best(after(runningClip)),
      centred: best(against("centred")),
      slowStart: best(against("slow-start")),
      oneReference: best(against("preference", 1)),
      logSigmoid: best(against("log-sigmoid")),
      tanh: best(against("tanh")),
      arctan: best(against("arctan")),
      polynomial: best(against("polynomial")),
      parTrained: trained(against("preference")),
      rawTrained: trained(after(null)),
      minmaxTrained: trained(after(runningMinmax)),
      clippedTrained: trained(after(runningClip)),
    },
    method: "par",
    baseline: "raw",
    budget: "Equal divergence from the reference; in training equal samples and steps, and rates divided by each reward's deviation.",
    mustFail: ["minmax", "standardised", "minmaxTrained"],
    checks: [
      { say: "true reward above that of the raw score at 0.25 nats", of: difference("par", "raw", "quarter"), above: 1 },
      { say: "the same at 1 nat", of: difference("par", "raw", "one"), above: 2 },
      { say: "the same with one reference", of: difference("oneReference", "raw", "one"), above: 2 },
      { say: "largest difference between minmax and raw at 1 nat", of: largest("minmax", "one", { minus: "raw" }), below: 1e-3 },
      { say: "smallest difference between minmax and raw at 1 nat", of: smallest("minmax", "one", { minus: "raw" }), above: -1e-3 },
      {
        say: "largest difference between the standardised score and raw at 1 nat",
        of: largest("standardised", "one", { minus: "raw" }),
        below: 1e-3,
      },
      { say: "true reward of the standardised score at 1 nat", of: mean("standardised", "one"), below: -1 },
      { say: "proxy gained in training on the raw score", of: mean("rawTrained", "gain"), above: 1 },
      { say: "truth gained on the raw score at its best", of: mean("rawTrained", "rise"), above: 0.05 },
      { say: "truth lost from there to the end", of: mean("rawTrained", "fall"), above: 1 },
      {
        say: "smallest lead of PAR in truth at the end, of all seeds",
        of: smallest("parTrained", "final", { minus: "rawTrained" }),
        above: 0,
      },
      { say: "truth at the end where rewards are standardised by their running range", of: mean("minmaxTrained", "final"), below: -1 },
      { say: "lead of hard clipping over PAR at 1 nat", of: difference("clipped", "par", "one"), above: 0 },
    ],
    seeds: 40,
    seconds: 90,
    notMiniaturised:
      "That PAR is the safest of the shapes: at the same divergence hard clipping, tanh and log-sigmoid keep more truth here. That it ends hacking: it is monotone, so with divergence without limit it drifts to the hacked answers too. Nor win rates of language models.",
  },
};
