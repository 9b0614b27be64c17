import type { Examples, GapOptions, RewardTransform, Scored } from "../credit/index.ts";
import type { Curriculum, Tasks } from "../curricula/index.ts";
import type { UpdateOptions } from "../engines/engine.ts";
import type { Task } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import { outputsOf } from "../objectives/index.ts";
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

/** Of the methods of rollouts, unless said. */
export const defaultRate: Rate = { peak: 5e-4, up: 5, floor: 0.1, shape: "linear" };

/** The part of a method that its common options say. */
export function learning(options: CommonOptions): Pick<Learning, "coefficients" | "learningRate" | "optimizer"> {
  return {
    coefficients: {},
    learningRate: options.learningRate ?? defaultRate,
    optimizer: { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1, ...options.optimizer },
  };
}

/** The part of a method of rollouts that its options say: how answers are drawn, and that nothing else is unusual. */
export function drawing(options: RolloutOptions, smallestGroup: number): Omit<RolloutMethod, keyof Learning | "credit"> {
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
