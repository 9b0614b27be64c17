import {
  convention,
  examples,
  gaeColumns,
  groupAdvantage,
  leaveOneOut,
  pairs,
  returnsToGo,
  select,
  stepTokenRewards,
  tokenRewards,
  whiten,
} from "../credit/index.ts";
import type { Convention, ConventionName } from "../credit/index.ts";
import { GuerdonError } from "../error.ts";
import {
  clippedSurrogate,
  combine,
  klPenalty,
  pairLoss,
  raft as raftObjective,
  scoreFunction,
  sft,
  valueLoss,
} from "../objectives/index.ts";
import { defaultRate, drawing, learning } from "./method.ts";
import type { CommonOptions, DemonstrationMethod, RolloutMethod, RolloutOptions } from "./method.ts";

/** Whether the sampler's log-probabilities are the policy's own, so that they may stand below the ratio's fraction. */
const ownDistribution = (d: Pick<RolloutMethod, "sampling" | "correction">): boolean =>
  d.sampling.temperature === 1 && d.sampling.topK === 0 && d.sampling.topP === 1 && d.correction === null;

/** The score function has no ratio, so it is right only for rollouts of the present policy. */
function onPolicyOnly(name: string, drawn: Pick<RolloutMethod, "epochs" | "minibatches" | "correction">): void {
  if (drawn.epochs * drawn.minibatches > 1 || drawn.correction !== null)
    throw new GuerdonError(
      "usage",
      `${name} has no importance ratio: it takes one update a step (epochs 1, minibatches 1) and no correction. Use grpo for more.`,
    );
}

export interface GrpoOptions extends RolloutOptions, Partial<Omit<Convention, "name" | "source">> {
  /** Whose conventions; see `convention` in credit/. Every part of it can be set on its own. */
  readonly as: ConventionName;
  /** The longest answer in tokens (`environment.maxActions`), the divisor of Dr.GRPO. Needed with `as: "dr-grpo"`. */
  readonly maxActions?: number;
  /** Default "token"; "sequence" is GSPO. */
  readonly ratio?: "token" | "sequence" | "geometric mean";
  /** Default: up to 8 rounds as "dapo", else null. */
  readonly dynamicSampling?: { readonly rounds: number } | null;
}

const titles: Readonly<Record<ConventionName, string>> = { paper: "GRPO", trl: "GRPO", verl: "GRPO", "dr-grpo": "Dr.GRPO", dapo: "DAPO" };

/**
 * Group relative policy optimisation. `as` names a convention, and every part of it can be set on its own:
 *
 * | as      | deviation  | epsilon | clip      | dual clip | aggregation                 | KL       | dynamic sampling |
 * | ------- | ---------- | ------- | --------- | --------- | --------------------------- | -------- | ---------------- |
 * | paper   | population | 0       | 0.2       | no        | row-mean                    | k3, 0.04 | no               |
 * | trl     | sample     | 1e-4    | 0.2       | no        | token-mean                  | no       | no               |
 * | verl    | sample     | 1e-6    | 0.2       | 3         | token-mean                  | no       | no               |
 * | dr-grpo | none       |         | 0.2       | no        | row-sum over longest answer | no       | no               |
 * | dapo    | sample     | 1e-6    | 0.2, 0.28 | 10        | token-mean                  | no       | yes              |
 *
 * A KL coefficient of 0 is no KL term: then no reference policy is kept and none is asked.
 *
 * @throws GuerdonError "usage" for an unknown convention or an option out of range
 */
export function grpo(options: GrpoOptions): RolloutMethod {
  const { as, maxActions, ratio = "token", dynamicSampling = as === "dapo" ? { rounds: 8 } : null } = options;
  if (as === "dr-grpo" && maxActions === undefined && options.divisor === undefined)
    throw new GuerdonError(
      "usage",
      'grpo as "dr-grpo" divides by the longest answer: give `maxActions`, for instance environment.maxActions.',
    );
  const { name, source, ...preset } = convention(as, { maxActions: maxActions ?? 1 });
  const resolved: Omit<Convention, "name" | "source"> = { ...preset, ...given(options, Object.keys(preset)) };
  const { aggregation, divisor, low, high, dualClip, kl } = resolved;
  const drawn = drawing(options, 2);
  const against = ownDistribution(drawn) ? "behaviour" : "old";
  const correction = drawn.correction !== null;
  const surrogate = clippedSurrogate({ low, high, dualClip, ratio, against, correction, aggregation, divisor });
  const penalised = kl !== null && kl.coefficient !== 0;
  return {
    ...drawn,
    ...learning(options),
    name: titles[name],
    settings: { as: name, source, ...resolved, kl: penalised ? kl : null, ratio, against },
    credit: (table) => examples(table, { advantage: groupAdvantage(table.reward, table.keys.group, resolved) }),
    objective: penalised ? combine({ policy: surrogate, kl: klPenalty({ ...kl, aggregation, divisor }) }) : surrogate,
    dynamicSampling,
  };
}

/** Those of the named options that were really given. */
const given = (options: object, names: readonly string[]): object =>
  Object.fromEntries(Object.entries(options).filter(([name, value]) => names.includes(name) && value !== undefined));

/** Dr.GRPO (arXiv 2503.20783): `grpo({ as: "dr-grpo" })`. */
export const drGrpo = (options: Omit<GrpoOptions, "as"> & { readonly maxActions: number }): RolloutMethod =>
  grpo({ as: "dr-grpo", ...options });

/**
 * REINFORCE with a leave-one-out baseline (RLOO, arXiv 2402.14740): each answer against the mean of the others in its group; the
 * gradient is that of the answer's whole log-probability, mean over answers.
 */
export function rloo(options: RolloutOptions = {}): RolloutMethod {
  const drawn = drawing(options, 2);
  onPolicyOnly("rloo", drawn);
  return {
    ...drawn,
    ...learning(options),
    name: "RLOO",
    settings: { baseline: "leave-one-out", aggregation: "row-sum", divisor: null },
    credit: (table) => examples(table, { advantage: leaveOneOut(table.reward, table.keys.group) }),
    objective: scoreFunction({ aggregation: "row-sum", divisor: null }),
  };
}

/**
 * REINFORCE++ (arXiv 2501.03262): what is to come after each token, with mean 0 and deviation 1 over all tokens of the batch, so that one
 * baseline serves all tasks and a group of one answer is enough; the clipped surrogate. Where the reward has steps, each step's reward counts
 * from its own tokens back (the outcome has to be in the steps, as `sum` puts it); else the reward counts for all tokens alike.
 *
 * @param options.clip default 0.2, below and above
 * @param options.groupSize default 1
 */
export function reinforcePlusPlus(options: RolloutOptions & { readonly clip?: number } = {}): RolloutMethod {
  const { clip = 0.2 } = options;
  const aggregation = { aggregation: "token-mean", divisor: null } as const;
  const drawn = drawing({ groupSize: 1, ...options }, 1);
  const against = ownDistribution(drawn) ? "behaviour" : "old";
  return {
    ...drawn,
    ...learning(options),
    name: "REINFORCE++",
    settings: { discount: 1, advantage: "mean 0, population deviation 1 over the batch's tokens", against, ...aggregation },
    credit(table) {
      const rewards = table.stepReward === undefined ? tokenRewards(table, null) : stepTokenRewards(table);
      const returns = rewards.map((row) => returnsToGo(row, 1));
      return examples(table, { advantage: whiten(table, returns) });
    },
    objective: clippedSurrogate({ low: clip, high: clip, against, correction: drawn.correction !== null, ...aggregation }),
  };
}

/**
 * Proximal policy optimisation (PPO, arXiv 1707.06347) for a policy with a value head: generalised advantage estimation from the values at
 * sampling time, advantages with mean 0 and deviation 1 over the batch, the clipped surrogate, and the clipped error of the value head.
 *
 * @param options.discount default 1
 * @param options.lambda default 0.95
 * @param options.clip default 0.2, below and above
 * @param options.valueClip half-width of the value's range, or null; default 0.2
 * @param options.valueWeight of the value's error in the loss; default 0.5
 * @param options.groupSize default 1
 */
export function ppo(
  options: RolloutOptions & {
    readonly discount?: number;
    readonly lambda?: number;
    readonly clip?: number;
    readonly valueClip?: number | null;
    readonly valueWeight?: number;
  } = {},
): RolloutMethod {
  const { discount = 1, lambda = 0.95, clip = 0.2, valueClip = 0.2, valueWeight = 0.5 } = options;
  const aggregation = { aggregation: "token-mean", divisor: null } as const;
  const drawn = drawing({ groupSize: 1, epochs: 4, ...options }, 1);
  const against = ownDistribution(drawn) ? "behaviour" : "old";
  const correction = drawn.correction !== null;
  return {
    ...drawn,
    ...learning(options),
    name: "PPO",
    settings: { discount, lambda, advantage: "mean 0, population deviation 1 over the batch's tokens", valueClip, against, ...aggregation },
    creditNeeds: ["value"],
    credit(table) {
      const { advantage, returns } = gaeColumns(table, tokenRewards(table, null), { discount, lambda });
      return examples(table, { advantage: whiten(table, advantage), token: { return: returns } });
    },
    objective: combine(
      {
        policy: clippedSurrogate({ low: clip, high: clip, against, correction, ...aggregation }),
        value: valueLoss({ clip: valueClip, ...aggregation }),
      },
      { value: valueWeight },
    ),
  };
}

/**
 * Reward-ranked fine-tuning (RAFT, arXiv 2304.06767): the negative log-likelihood of the policy's own accepted answers.
 *
 * @param options.accept the smallest reward that is accepted; default 1, a verifier's yes
 */
export function raft(options: RolloutOptions & { readonly accept?: number } = {}): RolloutMethod {
  const { accept = 1 } = options;
  return {
    ...drawing(options, 1),
    ...learning(options),
    name: "RAFT",
    settings: { accept, aggregation: "token-mean" },
    credit(table) {
      const accepted = [...table.reward.keys()].filter((row) => table.reward[row]! >= accept);
      return accepted.length === 0 ? null : select(examples(table), accepted);
    },
    objective: raftObjective({ aggregation: "token-mean", divisor: null }),
  };
}

/**
 * Online DPO (arXiv 2402.04792, with a verifier as the judge): pairs of an accepted and a rejected answer to the same task, against the
 * policy as it was when the phase began.
 *
 * @param options.beta default 0.3
 * @param options.accept the smallest reward that is accepted; default 1, a verifier's yes
 * @param options.perTask the most pairs of one task; default 4
 */
export function onlineDpo(
  options: RolloutOptions & { readonly beta?: number; readonly accept?: number; readonly perTask?: number } = {},
): RolloutMethod {
  const { beta = 0.3, accept = 1, perTask = 4 } = options;
  return {
    ...drawing(options, 2),
    ...learning({ learningRate: { ...defaultRate, peak: 2.5e-4 }, ...options }),
    name: "online DPO",
    settings: { accept, pairs: "accepted-rejected", perTask },
    credit: (table, { rng }) => pairs(table, { kind: "accepted-rejected", accepted: accept, perTask, rng }),
    objective: pairLoss("dpo", { beta }),
  };
}

/** Supervised learning on the environment's demonstrations: mean over all answer tokens of minus their log-probability. */
export function supervised(options: CommonOptions = {}): DemonstrationMethod {
  return {
    ...learning(options),
    data: "demonstrations",
    name: "supervised",
    settings: { aggregation: "token-mean" },
    objective: sft({ aggregation: "token-mean", divisor: null }),
  };
}
