// A paper of your own: the method, and a claim that can fail. Run it: guerdon reproduce examples/leave-one-out.ts --quick
import { examples, leaveOneOut } from "guerdon/credit";
import { softmaxEngine } from "guerdon/engines";
import { bandit, exercise } from "guerdon/environments";
import { scoreFunction } from "guerdon/objectives";
import { share, ratio, type Arm, type Paper } from "guerdon/papers";
import { practiseUntil, rolloutMethod, type RolloutMethod, type RolloutOptions } from "guerdon/training";

type Advantage = (reward: Float64Array, group: Int32Array) => Float64Array;

/** REINFORCE with any rule for how much better an answer was than expected. */
const reinforce = (name: string, advantage: Advantage, options: RolloutOptions = {}): RolloutMethod =>
  rolloutMethod(
    {
      name,
      settings: { aggregation: "row-sum" },
      credit: (table) => examples(table, { advantage: advantage(table.reward, table.keys.group) }),
      objective: scoreFunction({ aggregation: "row-sum", divisor: null }),
    },
    options,
  );

/** Each answer against the mean of the others in its group (arXiv 2402.14740). */
export const leaveOneOutBaseline = (options: RolloutOptions = {}): RolloutMethod => reinforce("leave one out", leaveOneOut, options);

const cap = 500;

/** Steps until the better of two actions has a probability of 0.9. Rewards are 10 or 11: without a baseline every action is praised. */
const steps =
  (advantage: Advantage): Arm =>
  async (seed) => {
    const process = bandit({ tasks: 1, actions: 2 });
    const environment = exercise(process, ({ actions }, _, rng) => 10 + Number(rng() < (actions[0] === 1 ? 0.8 : 0.2)));
    const engine = softmaxEngine(process, { optimizer: "sgd" });
    const method = reinforce("an arm", advantage, { groupSize: 4, learningRate: 0.1 });
    return practiseUntil({ engine, environment, method, steps: cap, seed }, () => engine.probs(0)[1]! >= 0.9);
  };

export const paper: Paper = {
  slug: "leave-one-out",
  title: "Back to Basics: Revisiting REINFORCE-Style Optimization for Learning from Human Feedback in LLMs",
  year: 2024,
  arxiv: "2402.14740",
  family: "policy optimisation",
  summary: "The other answers to the same prompt are a baseline that costs nothing.",
  parts: ["credit/leaveOneOut", "objectives/scoreFunction"],
  method: () => leaveOneOutBaseline(),
  claim: {
    label: "mechanism",
    statement:
      "Where all rewards are positive, the leave-one-out baseline needs at most 0.8 of the steps that REINFORCE needs without one.",
    falsifiedBy: "An interval of the ratio that reaches 0.8, or a reversed sign that arrives.",
    arms: {
      leaveOneOut: steps(leaveOneOut),
      noBaseline: steps((reward) => reward),
      reversed: steps((reward, group) => leaveOneOut(reward, group).map((a) => -a)),
    },
    method: "leaveOneOut",
    baseline: "noBaseline",
    budget: "Same answers a step, same rate, plain gradient descent.",
    mustFail: ["reversed"],
    checks: [
      { say: "steps with the baseline over steps without one", of: ratio("leaveOneOut", "noBaseline", "steps"), below: 0.8 },
      { say: "share of seeds that arrive with the baseline", of: share("leaveOneOut", ({ arrived }) => arrived === 1), above: 0.8 },
      { say: "share of seeds that arrive with the sign reversed", of: share("reversed", ({ arrived }) => arrived === 1), below: 0.2 },
    ],
    seeds: 20,
    seconds: 10,
    notMiniaturised: "Language models, and the comparison with PPO.",
  },
};
