import { softmaxEngine } from "../engines/index.ts";
import { prefixLock } from "../environments/toy/index.ts";
import { risingHints } from "../rollouts/index.ts";
import type { HintOptions } from "../rollouts/index.ts";
import { stream } from "../statistics/index.ts";
import { grpo, practise } from "../training/index.ts";
import type { GrpoOptions, RolloutMethod } from "../training/index.ts";
import type { Arm } from "./claim.ts";
import { largest, mean, ratio } from "./estimates.ts";
import type { Paper } from "./paper.ts";

export type GhpoOptions = Partial<GrpoOptions> & Partial<HintOptions>;

/**
 * Guided hybrid policy optimisation (GHPO, arXiv 2507.10628): GRPO, where a group without a right answer is asked again with a quarter, a
 * half, three quarters of a solution in its prompt, and only as much as it needs. The hint is prompt, so only what the policy adds is learnt.
 */
export function ghpo(options: GhpoOptions = {}): RolloutMethod {
  const { shares = [0.25, 0.5, 0.75], from = 0, part, ...rest } = options;
  return {
    ...grpo({ as: "trl", groupSize: 8, ...rest }),
    name: "GHPO",
    retry: risingHints({ shares, from, ...(part !== undefined && { part }) }),
  };
}

const length = 8;
const cap = 150;

/** Four locks of eight symbols out of four: what a policy opens without hints after 150 steps, what that cost, and who still needed hints. */
function practice(method: RolloutMethod): Arm {
  return async (seed) => {
    const environment = prefixLock({ tasks: 4, length, symbols: 4, rng: stream(seed, "codes") });
    const { process } = environment;
    const engine = softmaxEngine(process, { optimizer: "sgd" });
    let [rollouts, late, onHints] = [0, 0, 0];
    let before = engine.weights.slice();
    for await (const { index, drawn, again, rollouts: kept } of practise({ engine, environment, method, steps: cap, seed })) {
      rollouts += drawn;
      if (index > 0.9 * cap) late += again / (0.1 * cap);
      // A task that was posed behind a lock's first position has a hint before it, and nothing may have moved there.
      for (const { task } of kept)
        for (let open = task.prompt as number, position = open - (open % length); position < open; position++)
          for (let symbol = 0; symbol < 4; symbol++)
            onHints = Math.max(onHints, Math.abs(engine.weights[position * 4 + symbol]! - before[position * 4 + symbol]!));
      before = engine.weights.slice();
    }
    return { success: environment.chance(engine.probs), rollouts, late, onHints };
  };
}

const options = { groupSize: 8, learningRate: 2, aggregation: "row-sum", optimizer: { clipNorm: null } } as const;

export const paper: Paper = {
  slug: "ghpo",
  title: "GHPO: Adaptive Guidance for Stable and Efficient LLM Reinforcement Learning",
  year: 2025,
  arxiv: "2507.10628",
  family: "policy optimisation",
  summary:
    "On prompts that nobody solves all advantages are 0 and nothing is learnt. GHPO asks such groups again with the beginning of a solution in the prompt, first a quarter of it, then a half, then three quarters, and runs the same update on what the policy adds.",
  parts: ["rollouts/risingHints", "rollouts/withRetry", "environments/prefixLock", "training/grpo", "objectives/clippedSurrogate"],
  method: () => ghpo(),
  claim: {
    label: "mechanism",
    statement:
      "On locks that a uniform policy opens once in 65,536 tries, GRPO learns nothing in 150 steps, and GHPO with hints of a quarter, a half and three quarters opens them without hints at least 0.85 of the time, having given up hints by then; a hint of one fixed share does not get there.",
    falsifiedBy: "Unhinted success of GRPO, or of one fixed share, close to that of rising hints; hints that are still needed at the end.",
    arms: {
      grpo: practice(grpo({ as: "trl", ...options, groupSize: 16 })),
      ghpo: practice(ghpo(options)),
      quarter: practice(ghpo({ ...options, shares: [0.25] })),
      half: practice(ghpo({ ...options, shares: [0.5] })),
      threeQuarters: practice(ghpo({ ...options, shares: [0.75] })),
      halfTwiceTheRate: practice(ghpo({ ...options, shares: [0.5], learningRate: 4 })),
    },
    method: "ghpo",
    baseline: "grpo",
    budget: "Same steps and learning rate; GRPO draws 16 answers to a task and GHPO 8, which with its further attempts are fewer.",
    mustFail: ["grpo", "quarter", "half", "threeQuarters"],
    checks: [
      { say: "success without hints of GRPO", of: mean("grpo", "success"), below: 0.02 },
      { say: "success without hints of GHPO", of: mean("ghpo", "success"), above: 0.85 },
      { say: "share of groups that still needed a hint in the last tenth", of: mean("ghpo", "late"), below: 0.1 },
      { say: "success without hints, taught with a quarter", of: mean("quarter", "success"), below: 0.3 },
      { say: "success without hints, taught with a half", of: mean("half", "success"), below: 0.3 },
      { say: "success without hints, taught with three quarters", of: mean("threeQuarters", "success"), below: 0.3 },
      { say: "success without hints, taught with a half at twice the rate", of: mean("halfTwiceTheRate", "success"), above: 0.3 },
      { say: "largest change of a weight where a hint stood", of: largest("ghpo", "onHints"), below: 1e-12 },
      { say: "rollouts of GHPO over those of GRPO", of: ratio("ghpo", "grpo", "rollouts"), below: 1 },
    ],
    seeds: 10,
    seconds: 60,
    notMiniaturised:
      "That one fixed share never works: at twice the rate a half teaches the second half, and then the first is short enough to be found by luck. Nor the gain on mathematics, nor the cold start.",
  },
};
