import { withLogProbs } from "../credit/index.ts";
import { softmaxEngine, type Engine, type SoftmaxEngine } from "../engines/index.ts";
import { finiteTasks, modularChain } from "../environments/toy/index.ts";
import type { StateSequence } from "../policies/index.ts";
import { rollOut, type Rollout } from "../rollouts/index.ts";
import { areaUnderCurve, shuffled, stream } from "../statistics/index.ts";
import { errorLocalisation, fitReward, logRatioReward, monteCarloValues, outcomeExamples, processReward } from "../training/index.ts";
import { readRewards, statePrefix, stepExamples, type RewardForm } from "../training/index.ts";
import type { Arm, Measured } from "./claim.ts";
import { difference, mean } from "./estimates.ts";
import type { Paper } from "./paper.ts";

/**
 * Process rewards for free (arXiv 2412.01981): a language model is fitted to outcome labels with beta * log(pi / reference) as the reward. The
 * partial sums of that reward are soft values of the prefixes, q_t = beta log E_reference[exp(r / beta)], so each step's own summand is its
 * process reward. `fitReward({ form: freeProcessRewards({ beta: 0.05 }), ... })` fits it; loaded with `steps: true` it grades steps.
 */
export const freeProcessRewards = logRatioReward;

type Walk = Rollout<StateSequence>;
const length = 6;
const chain = modularChain({ modulus: 5, length });
const drawnActions = 4000 * length;
const error = 0.12;
const everyStep = Array.from({ length }, (_, t) => t + 1);

/** A solver that errs in 12 % of its steps, each wrong answer as often; also where the fitted policy starts, with a score of 0 everywhere. */
const solver = (): SoftmaxEngine =>
  softmaxEngine(chain, { base: (state, action) => Math.log(chain.follows(state, action) ? 1 - error : error / 4), scores: true });

const walks = (count: number, seed: number, name: string): Promise<Walk[]> =>
  rollOut(solver(), { maxActions: length }, finiteTasks(chain), { groupSize: Math.floor(count / 5), seed, step: 0, stream: name });

const succeeded = (of: readonly Walk[]): number[] => of.map(({ row }) => Number(chain.succeeded(row)));

const examplesOf = (of: readonly Walk[], labels: readonly number[]) => {
  const rows = of.map(({ row }) => row);
  const notes = labels.map((label) => ({ label }));
  return withLogProbs(
    outcomeExamples(rows, notes, ({ actions }) => actions.length),
    "reference",
    solver(),
  );
};

/** How the scores of steps tell right from wrong. */
function measured(of: readonly Walk[], scores: readonly (readonly number[])[]): Measured {
  const right = of.map(({ row: { states, actions } }) => Array.from(states, (state, t) => chain.follows(state, actions[t]!)));
  return { localisation: errorLocalisation(scores, right), areaUnderCurve: areaUnderCurve(scores.flat(), right.flat()) };
}

/** Walks that nothing is fitted to. */
const testWalks = (seed: number): Promise<Walk[]> => walks(1500, seed, "test");

async function measuredModel(seed: number, form: RewardForm, engine: Engine<StateSequence>): Promise<Measured> {
  const test = await testWalks(seed);
  const read = await readRewards(
    form,
    engine,
    await examplesOf(test, succeeded(test)),
    test.map(() => everyStep),
  );
  return measured(
    test,
    read.map(({ steps }) => steps!),
  );
}

const settings = { engine: solver, heldOut: 0, learningRate: 0.1, optimizer: { weightDecay: 0 } } as const;

/** The log-ratio, fitted to one outcome label for each of 4000 walks. */
function implicit(beta: number, labelsOf: (outcomes: readonly number[], seed: number) => readonly number[] = (outcomes) => outcomes): Arm {
  const form = freeProcessRewards({ beta });
  return async (seed) => {
    const drawn = await walks(drawnActions / length, seed, "fit");
    const examples = await examplesOf(drawn, labelsOf(succeeded(drawn), seed));
    const fit = await fitReward({ ...settings, form, examples, epochs: 8, batchSize: 250, seed });
    return measuredModel(seed, form, fit.members[0]!.engine);
  };
}

/** A table of step scores, fitted to the shares of successful continuations; as many actions are drawn for them in all. */
function monteCarlo(continuations: number): Arm {
  const form = processReward();
  return async (seed) => {
    const perWalk = length + (continuations * length * (length - 1)) / 2;
    const drawn = await walks(Math.floor(drawnActions / perWalk), seed, "fit");
    const options = { ends: () => everyStep, prefix: statePrefix, success: succeeded, continuations, maxActions: length, seed };
    const { values } = await monteCarloValues(solver(), drawn, options);
    const rows = drawn.map(({ row }) => row);
    const examples = stepExamples(
      rows,
      rows.map(() => everyStep),
      values,
      ({ actions }) => actions.length,
    );
    const fit = await fitReward({ ...settings, form, examples, epochs: 100, batchSize: 32, learningRate: 0.03, seed });
    return measuredModel(seed, form, fit.members[0]!.engine);
  };
}

/** The outcome as the score of every step. */
const broadcast: Arm = async (seed) => {
  const test = await testWalks(seed);
  return measured(
    test,
    succeeded(test).map((outcome) => everyStep.map(() => outcome)),
  );
};

export const paper: Paper = {
  slug: "free-process-rewards",
  title: "Free Process Rewards without Process Labels",
  year: 2024,
  arxiv: "2412.01981",
  family: "reward models",
  summary:
    "Step rewards usually need labels of steps. When an outcome reward model is a language model, its reward written as a log-ratio to a reference, each step's own part of that ratio is a process reward: the partial sums are soft values of the prefixes. Only outcome labels are needed.",
  parts: ["training/fitReward", "training/logRatioReward", "objectives/logRatioOutcome", "training/monteCarloValues", "rewards/readRow"],
  claim: {
    label: "mechanism",
    statement:
      "From one outcome label for each of 4000 answers, a log-ratio finds the only wrong step in at least 90 % of answers and tells right from wrong steps with an area under the curve of at least 0.95; spreading the outcome over the steps gives at most 0.88, and labels by Monte Carlo from as many drawn actions are worse, with any number of continuations.",
    falsifiedBy:
      "An interval of localisation or area that reaches below those numbers, or Monte-Carlo labels that do as well for the same drawn actions.",
    arms: {
      implicit: implicit(0.05),
      implicitBeta1: implicit(1),
      broadcast,
      monteCarlo1: monteCarlo(1),
      monteCarlo2: monteCarlo(2),
      monteCarlo8: monteCarlo(8),
      shuffledLabels: implicit(0.05, (outcomes, seed) => shuffled(outcomes, stream(seed, "labels"))),
    },
    method: "implicit",
    baseline: "broadcast",
    budget:
      "The same 24,000 drawn actions for all that are fitted. The Monte-Carlo arms divide them between answers and continuations; their epochs and rate are the best of 6 settings tried on seeds 0 to 5 (10 to 100 epochs at 0.03 to 0.3).",
    mustFail: ["broadcast", "shuffledLabels"],
    checks: [
      { say: "share of single errors that are found", of: mean("implicit", "localisation"), above: 0.9 },
      { say: "area under the curve of steps", of: mean("implicit", "areaUnderCurve"), above: 0.95 },
      { say: "share of single errors that are found with beta 1", of: mean("implicitBeta1", "localisation"), above: 0.9 },
      { say: "area under the curve of steps with beta 1", of: mean("implicitBeta1", "areaUnderCurve"), above: 0.95 },
      { say: "area under the curve of the outcome on every step", of: mean("broadcast", "areaUnderCurve"), below: 0.88 },
      { say: "share of single errors that the outcome on every step finds", of: mean("broadcast", "localisation"), below: 0.2 },
      ...[1, 2, 8].map((continuations) => ({
        say: `area that is gained over Monte-Carlo labels with ${continuations} continuation${continuations > 1 ? "s" : ""}`,
        of: difference("implicit", `monteCarlo${continuations}`, "areaUnderCurve"),
        above: 0,
      })),
      { say: "share of single errors that are found after shuffled labels", of: mean("shuffledLabels", "localisation"), below: 0.9 },
      { say: "area under the curve after shuffled labels", of: mean("shuffledLabels", "areaUnderCurve"), below: 0.88 },
    ],
    seeds: 40,
    seconds: 60,
    notMiniaturised:
      "Best-of-n on MATH and the 38-fold saving against Math-Shepherd. The table sees each step with what it needs to be judged, so that with enough labels any of the fitted models would be right.",
  },
};
