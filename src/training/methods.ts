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
import type { Convention, ConventionName, Examples, GapOptions, RewardTransform, Scored } from "../credit/index.ts";
import type { Curriculum, Tasks } from "../curricula/index.ts";
import type { UpdateOptions } from "../engines/engine.ts";
import type { Task } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import {
  clippedSurrogate,
  combine,
  klPenalty,
  outputsOf,
  pairLoss,
  raft as raftObjective,
  scoreFunction,
  sft,
  valueLoss,
} from "../objectives/index.ts";
import type { Objective } from "../objectives/index.ts";
import type { Retry } from "../rollouts/index.ts";
import type { Json } from "../statistics/snapshot.ts";
import type { Rng } from "../statistics/stream.ts";
import type { At, Rate, Schedule } from "./schedule.ts";

/** What every method says about its updates. */
export interface Learning {
  readonly name: string;
  /** Conventions that cannot be read off the other fields; they go into run.json. */
  readonly settings: Readonly<Record<string, Json>>;
  readonly objective: Objective;
  /** Coefficients of the objective that change from step to step, by name. */
  readonly coefficients: Readonly<Record<string, Schedule>>;
  readonly learningRate: number | Rate;
  readonly optimizer: Omit<UpdateOptions, "learningRate">;
}

/** What a credit rule may use beside the table. */
export interface CreditContext {
  /** Derived from the run's seed and the step. */
  readonly rng: Rng;
  /** Where the run stands, for rules that change as it goes on. */
  readonly at: At;
  /** Share of the phase that is over, in [0, 1]. */
  readonly progress: number;
}

/** A method that learns from scored rollouts: credit turns the table of scores into training data, the objective into a loss. */
export interface RolloutMethod extends Learning {
  readonly data: "rollouts";
  /** Answers drawn to each task. */
  readonly groupSize: number;
  readonly sampling: { readonly temperature: number; readonly topK: number; readonly topP: number };
  /** The same for every policy family. Null: there is nothing to learn from these scores, and no update is made. */
  readonly credit: <X>(table: Scored<X>, context: CreditContext) => Examples<X> | null;
  /** Passes over each step's rollouts, and updates in a pass. */
  readonly epochs: number;
  readonly minibatches: number;
  /** What to do about a gap between sampler and trainer; null: only measure it. */
  readonly correction: GapOptions | null;
  /**
   * Token columns of the table that the credit reads: log-probabilities of the reference policy, values or scores of the policy's own heads.
   * What the objective reads is seen without this.
   */
  readonly creditNeeds: readonly ("reference" | "value" | "score")[];
  /** Answers of the reference policy to each task, beside the policy's own and in the same group: the table has the key "source", 1 for them. */
  readonly referenceAnswers: number;
  /** What the row column "anchor" of the objective is measured against; null where it has none. */
  readonly anchor: Anchor | null;
  /** Changes the rewards before credit, by what all rewards so far were; made anew for each run, and saved with it. Null: no. */
  readonly rewardTransform: (() => RewardTransform) | null;
  /** Goes on rolling out new tasks until enough groups differ in reward, in at most so many rounds a step; null: one round. */
  readonly dynamicSampling: { readonly rounds: number } | null;
  /** Picks the tasks, where that is part of the method; null: the run's own curriculum. */
  readonly curriculum: MethodCurriculum | null;
  /** Asks groups that failed again in another context, for instance with a hint; null: no. */
  readonly retry: Retry | null;
}

/**
 * The geometric mixture reference^reference * previous^(1 - reference), where `previous` is the policy as it was some steps ago: frozen anew
 * every `every` steps of the phase, from its first one on.
 */
export interface Anchor {
  /** The weight of the reference policy, in [0, 1]; with 0 no reference is kept. */
  readonly reference: number;
  readonly every: number;
}

/** A curriculum that a method brings along: made anew for each run from the environment that poses the tasks. */
export interface MethodCurriculum {
  /** For run.json. */
  readonly settings: Readonly<Record<string, Json>>;
  readonly of: <T extends Task>(environment: Tasks<T>) => Curriculum<T>;
}

/** A method that learns from the environment's own demonstrations: warm-up, and the control that a reward has to beat. */
export interface DemonstrationMethod extends Learning {
  readonly data: "demonstrations";
}

/**
 * A method as data. Replace a part, not a flag: `{ ...grpo({ as: "trl" }), credit: myCredit }`.
 */
export type Method = RolloutMethod | DemonstrationMethod;

/** Settings that all methods share. The defaults are those of the calibrated built-in jobs (small models from scratch). */
export interface CommonOptions {
  /** Default { peak: 5e-4, up: 5, floor: 0.1, shape: "linear" }. For pretrained models of billions of weights 1e-6 is usual. */
  readonly learningRate?: number | Rate;
  /** Default AdamW with betas 0.9 and 0.99, epsilon 1e-8, weight decay 0.01, gradient norm clipped at 1 (`clipNorm: null`: not at all). */
  readonly optimizer?: Partial<Omit<UpdateOptions, "learningRate">>;
}

export interface RolloutOptions extends CommonOptions {
  /** Answers to each task. Default 16. */
  readonly groupSize?: number;
  /** Default 1: the policy's own distribution. */
  readonly temperature?: number;
  /** Default 0: all. */
  readonly topK?: number;
  /** Default 1: all. */
  readonly topP?: number;
  /** Default 1. */
  readonly epochs?: number;
  /** Default 1. */
  readonly minibatches?: number;
  /** Default null. */
  readonly correction?: GapOptions | null;
}

const defaultRate: Rate = { peak: 5e-4, up: 5, floor: 0.1, shape: "linear" };

function learning(options: CommonOptions): Pick<Learning, "coefficients" | "learningRate" | "optimizer"> {
  return {
    coefficients: {},
    learningRate: options.learningRate ?? defaultRate,
    optimizer: { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1, ...options.optimizer },
  };
}

function drawing(options: RolloutOptions, smallestGroup: number): Omit<RolloutMethod, keyof Learning | "credit"> {
  const { groupSize = 16, temperature = 1, topK = 0, topP = 1, epochs = 1, minibatches = 1, correction = null } = options;
  const whole = (name: string, value: number, least: number): void => {
    if (!Number.isInteger(value) || value < least)
      throw new GuerdonError("usage", `${name} is ${value}; it must be a whole number of at least ${least}.`);
  };
  whole("groupSize", groupSize, smallestGroup);
  whole("epochs", epochs, 1);
  whole("minibatches", minibatches, 1);
  if (!(temperature > 0))
    throw new GuerdonError("usage", `temperature is ${temperature}; training needs one above 0, or all answers of a group are the same.`);
  return {
    data: "rollouts",
    groupSize,
    sampling: { temperature, topK, topP },
    epochs,
    minibatches,
    correction,
    creditNeeds: [],
    referenceAnswers: 0,
    anchor: null,
    rewardTransform: null,
    dynamicSampling: null,
    curriculum: null,
    retry: null,
  };
}

/**
 * A method of one's own: its name, settings, credit and objective, and whatever else is not as usual; the rest as `RolloutOptions` says.
 *
 * @throws GuerdonError "usage" for an option out of range; a group needs two answers, of whomever
 */
export function rolloutMethod(
  parts: Pick<RolloutMethod, "name" | "settings" | "credit" | "objective"> & Partial<Omit<RolloutMethod, keyof RolloutOptions>>,
  options: RolloutOptions = {},
): RolloutMethod {
  const { referenceAnswers = 0, anchor } = parts;
  if (!Number.isInteger(referenceAnswers) || referenceAnswers < 0)
    throw new GuerdonError("usage", `referenceAnswers is ${referenceAnswers}; it must be a whole number of at least 0.`);
  if (anchor && !(anchor.reference >= 0 && anchor.reference <= 1 && Number.isInteger(anchor.every) && anchor.every >= 1))
    throw new GuerdonError(
      "usage",
      `The anchor's weight of the reference is ${anchor.reference} and it moves every ${anchor.every} steps; it needs a weight in [0, 1] and a whole number of at least 1.`,
    );
  return { ...drawing(options, Math.max(1, 2 - referenceAnswers)), ...learning(options), ...parts };
}

/** Whether the sampler's log-probabilities are the policy's own, so that they may stand below the ratio's fraction. */
const ownDistribution = (d: Pick<RolloutMethod, "sampling" | "correction">): boolean =>
  d.sampling.temperature === 1 && d.sampling.topK === 0 && d.sampling.topP === 1 && d.correction === null;

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

/** The score function has no ratio, so it is right only for rollouts of the present policy. */
function onPolicyOnly(name: string, drawn: Pick<RolloutMethod, "epochs" | "minibatches" | "correction">): void {
  if (drawn.epochs * drawn.minibatches > 1 || drawn.correction !== null)
    throw new GuerdonError(
      "usage",
      `${name} has no importance ratio: it takes one update a step (epochs 1, minibatches 1) and no correction. Use grpo for more.`,
    );
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

/** Whether a method needs a reference policy: its objective, credit or anchor reads the reference's log-probabilities, or it is asked too. */
export const needsReference = (method: Method): boolean =>
  method.objective.needs.token.includes("reference") ||
  (method.data === "rollouts" &&
    (method.creditNeeds.includes("reference") || method.referenceAnswers > 0 || (method.anchor?.reference ?? 0) > 0));

/** The policy outputs that a method reads: its objective's, and the values that its credit asks for. */
export const outputsNeeded = (method: Method): string[] => [
  ...outputsOf(method.objective),
  ...(method.data === "rollouts" && method.creditNeeds.includes("value") ? ["value"] : []),
];

/**
 * Every resolved setting of a method, for run.json. Schedules are functions and appear as "schedule".
 *
 * @param reference what the reference policy is, where the method needs one
 */
export function describeMethod(method: Method, reference = "frozen at the start of the phase"): { readonly [key: string]: Json } {
  const { name, settings, objective, coefficients, learningRate, optimizer } = method;
  const shared = {
    name,
    data: method.data,
    settings,
    objective: objective.name,
    coefficients: {
      ...objective.coefficients,
      ...Object.fromEntries(Object.entries(coefficients).map(([key, value]) => [key, typeof value === "number" ? value : "schedule"])),
    },
    learningRate: typeof learningRate === "number" ? learningRate : { ...learningRate },
    optimizer: { ...optimizer },
    reference: needsReference(method) ? reference : null,
  };
  if (method.data === "demonstrations") return shared;
  const { groupSize, sampling, epochs, minibatches, correction, dynamicSampling, curriculum, retry, rewardTransform } = method;
  const { referenceAnswers, anchor } = method;
  return {
    ...shared,
    groupSize,
    sampling: { ...sampling },
    epochs,
    minibatches,
    correction: correction === null ? null : { ...correction },
    dynamicSampling: dynamicSampling === null ? null : { ...dynamicSampling },
    // Only where there is one, so that runs from before there were any can be continued.
    ...(referenceAnswers > 0 && { referenceAnswers }),
    ...(anchor && { anchor: { ...anchor } }),
    ...(curriculum && { curriculum: { ...curriculum.settings } }),
    ...(retry && { retry: { ...retry.settings } }),
    ...(rewardTransform && { rewardTransform: rewardTransform().name }),
  };
}
