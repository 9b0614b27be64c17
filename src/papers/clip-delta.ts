import { exercise, workActions, workCounter } from "../environments/toy/index.ts";
import { softmaxEngine } from "../engines/index.ts";
import { clippedSteps, clipSteps, delta, deltaSteps } from "../rewards/index.ts";
import type { Reward } from "../rewards/index.ts";
import { practise, reinforcePlusPlus } from "../training/index.ts";
import type { Arm } from "./claim.ts";
import { difference, mean } from "./estimates.ts";
import type { Paper } from "./paper.ts";

/**
 * Clip and Delta (arXiv 2410.15115): makes a reward of steps safe to train on. Scores above the threshold become 0, so that no step pays;
 * then each step is paid the difference to the next one, so that what is to come from a step on is its own quality, however many steps
 * follow. Add it to the outcome with a small weight, `sum({ right, process: clipDelta(judge, { threshold }) }, { weights: { process: 0.2 } })`,
 * and train on undiscounted returns: `reinforcePlusPlus`.
 *
 * @param options.threshold where most good steps lie, for instance a low quantile of the scores
 * @param options.answerStep the last step only states the answer and gets no share; true unless said
 */
export const clipDelta = <Needs extends object>(
  process: Reward<Needs>,
  { threshold, answerStep = true }: { readonly threshold: number; readonly answerStep?: boolean },
): Reward<Needs> => delta(clipSteps(process, { threshold }), { answerStep });

const horizon = 15;
const threshold = 0.6;
const weight = 0.2;
const success = [0.05, 0.2, 0.6, 0.95];
const process = workCounter({ success, progress: 0.8, horizon, quality: { work: [0.65, 0.1], repeat: [0.9, 0.05] } });

/** Exact success and length of a walk after 150 updates of 64 walks, where the reward is the outcome and what is made of a judge's scores. */
function trained(refine: (judged: readonly number[]) => readonly number[]): Arm {
  const environment = exercise(process, (walk, _, rng) => {
    const right = rng() < process.success(walk) ? 1 : 0;
    const steps = refine(process.judged(walk, rng)).map((q) => weight * q);
    if (walk.actions.at(-1) === workActions.stop) steps.push(right);
    return { value: steps.reduce((sum, r) => sum + r, 0), steps };
  });
  return async (seed) => {
    const engine = softmaxEngine(process);
    const method = reinforcePlusPlus({ groupSize: 64, learningRate: 0.1 });
    let walks = 0;
    for await (const { drawn } of practise({ engine, environment, method, steps: 150, seed })) walks += drawn;
    return {
      walks,
      success: engine.exact.value((state, action) => (action === workActions.stop ? success[state]! : 0)),
      length: engine.exact.value(() => 1),
    };
  };
}

export const paper: Paper = {
  slug: "clip-delta",
  title: "On Designing Effective RL Reward at Training Time for LLM Reasoning",
  year: 2024,
  arxiv: "2410.15115",
  family: "reward design",
  summary:
    "A process reward model's scores, added to the reward for success, are farmed: the policy repeats steps that are right and useless. Clip lets no score be positive; Delta pays each step the difference to the next, so that the sum does not grow with the number of steps.",
  parts: [
    "rewards/clipSteps",
    "rewards/delta",
    "credit/stepTokenRewards",
    "credit/returnsToGo",
    "credit/whiten",
    "training/reinforcePlusPlus",
  ],
  claim: {
    label: "mechanism",
    statement:
      "Where a judge of steps likes repeating better than working, adding its scores to the reward for success makes the policy repeat until it is cut off. Clipped and differenced scores leave success as it is.",
    falsifiedBy: "Summed scores that do no harm, or clipped and differenced ones that cost success.",
    arms: {
      clipDelta: trained((q) => deltaSteps(clippedSteps(q, threshold))),
      successOnly: trained((q) => q.map(() => 0)),
      summedScores: trained((q) => q),
      clip: trained((q) => clippedSteps(q, threshold)),
      delta: trained((q) => deltaSteps(q)),
    },
    method: "clipDelta",
    baseline: "successOnly",
    budget: "All arms: 150 updates of 64 walks, one rate (0.1, AdamW); the order of the arms is the same at 0.05 and 0.3.",
    mustFail: ["summedScores"],
    checks: [
      { say: "success with clipped and differenced scores", of: mean("clipDelta", "success"), above: 0.9 },
      {
        say: "what they add to the success without scores",
        of: difference("clipDelta", "successOnly", "success"),
        above: -0.03,
        below: 0.03,
      },
      { say: "success with summed scores", of: mean("summedScores", "success"), below: 0.2 },
      { say: "actions in a walk with summed scores (at most 15)", of: mean("summedScores", "length"), above: 0.9 * horizon },
      { say: "success with clipped scores alone", of: mean("clip", "success"), above: 0.9 },
    ],
    seeds: 10,
    seconds: 30,
    notMiniaturised:
      "That refined process rewards beat the reward for success alone: here they only do no harm. Delta without Clip pays the quality of a step wherever it stands, so it still leans to steps that the judge likes (success 0.86 and 9 actions on seeds 0 to 2, where the card measured 0.92 and 8.5).",
  },
};
