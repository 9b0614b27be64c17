import type { Rng } from "../statistics/stream.ts";
import type { Stateful } from "../statistics/snapshot.ts";
import type { Columns } from "../credit/examples.ts";
import type { Task } from "../environments/environment.ts";
import type { Rollout } from "../rollouts/rollout.ts";
import type { TextSequence } from "../policies/policy.ts";

/** Output name -> one array a row, one number an action. */
export type Outputs = Readonly<Record<string, readonly Float32Array[]>>;

/**
 * Something that can be asked for outputs of given rows. A reference policy or an anchor is this: the model under an adapter
 * (`Engine.base`), a copy (`Engine.freeze`) or a checkpoint (`localReader`).
 */
export interface Reader<X = TextSequence> {
  /** Of "logProbs", "entropy", "value", "score" (or "score.0", "score.1", ...). */
  readonly outputs: readonly string[];
  /** Outputs of each row in the order given. `names` defaults to `["logProbs"]`. */
  forward(rows: readonly X[], names?: readonly string[]): Promise<Outputs>;
  /** Acts with these weights, where the policy answers tasks: what a reference policy or an earlier self would have said. */
  sample?(requests: readonly SampleRequest<X>[], options: SampleOptions): Promise<Rollout<X>[]>;
  /** One vector a row, in the order given, where the policy has them: for reward models and novelty. */
  features?(rows: readonly X[]): Promise<Float32Array[]>;
  /** Frees what only this reader holds. */
  dispose?(): void;
}

/** One rollout to draw. */
export interface SampleRequest<X = TextSequence> {
  readonly task: Task;
  /** Rollouts of one group answer the same task and are compared with each other. */
  readonly group: string;
  /** Derived per rollout (`stream(seed, "rollout", step, row)`), so that order and chunking cannot change results. */
  readonly rng: Rng;
  /** Continue from here (an earlier turn) instead of from the task's prompt. */
  readonly from?: X;
}

/** How actions are drawn. Defaults are the distribution itself: temperature 1, no top-k, no top-p. */
export interface SampleOptions {
  readonly maxActions: number;
  /** Logits are divided by it; 0 takes the most likely action. */
  readonly temperature?: number;
  /** Keep the k most likely actions; 0 keeps all. */
  readonly topK?: number;
  /** Keep the smallest set of actions with at least this probability; 1 keeps all. */
  readonly topP?: number;
  /** Further stop tokens, beside the tokenizer's end token. */
  readonly stopTokens?: readonly number[];
  /** Outputs to record for each action: "entropy", "value". They cannot be had later. */
  readonly record?: readonly string[];
  readonly signal?: AbortSignal;
}

/** What a policy returns for one request. `row` includes the stop token if one was drawn. */
export interface Sampled<X> {
  readonly row: X;
  /** Only of the actions drawn in this call. */
  readonly logProbs: Float32Array;
  readonly recorded?: Columns;
  readonly completion?: string;
  readonly stop: "stop" | "length";
}

export interface UpdateOptions {
  /** At least 0. */
  readonly learningRate: number;
  /** At least 0 and below 1, both. */
  readonly beta1: number;
  readonly beta2: number;
  /** Above 0. */
  readonly epsilon: number;
  /** Largest global norm of the gradient; null or absent: no clipping. */
  readonly clipNorm?: number | null;
  /** Decoupled (AdamW); applied to matrices only. */
  readonly weightDecay?: number;
}

/**
 * A loss that a training service computes itself, a sum over actions with weights w, advantages A and earlier log-probabilities: minus
 * w r A ("importance_sampling"), minus w min(r A, clip(r) A) ("ppo"), minus w clip(r) A log p with clip(r) held fixed ("cispo"), where r is
 * the ratio of now to then and `config` has its bounds as the service names them. Columns have one array a row, one number an action.
 */
export interface ServedLoss {
  readonly name: "importance_sampling" | "ppo" | "cispo";
  readonly config: Readonly<Record<string, number>>;
  readonly weights: readonly Float32Array[];
  readonly advantages: readonly Float32Array[];
  readonly logProbs: readonly Float32Array[];
}

/**
 * Owns parameters and takes the step. `backward` adds to a gradient that `update` applies and clears. Every update raises
 * `weightsVersion` by one. The contract is spelled out by test/engines/contract.ts, which every engine must pass.
 */
export interface Engine<X = TextSequence> extends Reader<X>, Stateful {
  /** Unique among the engines of a process. */
  readonly id: string;
  readonly weightsVersion: number;
  sample(requests: readonly SampleRequest<X>[], options: SampleOptions): Promise<Rollout<X>[]>;
  /** Adds the gradient of sum(gradients * outputs) with respect to the parameters; returns the outputs of its own pass. */
  backward(rows: readonly X[], gradients: Outputs): Promise<Outputs>;
  /** `backward` with the gradient of a loss that the engine's service computes itself: no forward comes before it. There where the user allows it. */
  backwardLoss?(rows: readonly X[], loss: ServedLoss): Promise<Outputs>;
  /**
   * One optimizer step with the accumulated gradient, which is cleared. Refuses a non-finite gradient (nothing changes). The norm is that
   * before clipping; null where a remote engine is not told it.
   */
  update(options: UpdateOptions): Promise<{ readonly gradientNorm: number | null }>;
  /** Clears the accumulated gradient without a step. */
  discard(): Promise<void>;
  /** A reader of the weights as they are now, which later updates do not change. */
  freeze(): Promise<Reader<X>>;
  /** Where an adapter is trained: a reader of the model under it. It costs no copy, and as no update changes it, nothing of it is saved. */
  base?(): Promise<Reader<X>>;
  /** The same parameters with a fresh optimizer (a new training phase). */
  resetOptimizer(): Promise<void>;
}
