import type { Arr, Arrays, Tensor, HostArray } from "../arrays/index.ts";
import type { HostTensor, Json } from "../statistics/snapshot.ts";
import type { Task } from "../environments/environment.ts";
import type { Sampled, SampleOptions, SampleRequest } from "../engines/engine.ts";

/** What a language model was shown and did: token ids. `actions` may hold tokens of the environment's turns, masked in the rollout. */
export interface TextSequence {
  readonly prompt: Int32Array;
  readonly actions: Int32Array;
}
/** A walk through a finite process. `states[j]` is where `actions[j]` was taken. */
export interface StateSequence {
  readonly states: Int32Array;
  readonly actions: Int32Array;
}
/** A control episode: `observations` is [length, observationSize] flat, `actions` [length, actionSize] flat (or [length] for discrete). */
export interface ControlSequence {
  readonly observations: Float32Array;
  readonly actions: Float32Array;
}

/** Parameters on the device, by the name they have in a tensor file. */
export type Parameters = Readonly<Record<string, Tensor>>;

/**
 * A model family, as LocalEngine needs it. A policy is stateless: the engine owns the parameters. The output arrays are [N, T]: entry
 * (n, start(row) + j) belongs to action j of row n, and whatever stands elsewhere is ignored.
 */
export interface Policy<X> {
  readonly family: string;
  /** Of "logProbs", "entropy", "value", "score" (or "score.0", "score.1", ...). */
  readonly outputs: readonly string[];
  /** Fresh parameters, host side, by name; `wanted` leaves out those that are not needed. A parameter's numbers depend on seed and name alone. */
  init(seed: number, wanted?: (name: string) => boolean): Record<string, HostTensor>;
  /** False for frozen parameters (the base under a LoRA adapter). */
  trainable(name: string): boolean;
  /** With an adapter: the same model without it. It reads frozen parameters alone, and has the outputs that these give. */
  readonly base?: Policy<X>;
  /** Number of actions in a row. */
  actions(row: X): number;
  /** Positions the row occupies before padding. */
  cells(row: X): number;
  /** Position of the first action's outputs. */
  start(row: X): number;
  /** Pads rows to [N, T] arrays; rows.length may be less than N. The only padding code there is. */
  collate(rows: readonly X[], N: number, T: number): Record<string, HostArray>;
  /** The model itself, inside `compile` or on the host kernel: named outputs of shape [N, T]. */
  apply(parameters: Arrays, inputs: Arrays, names: readonly string[]): Record<string, Arr>;
  /** Acts. The engine turns each result into a Rollout. */
  sample(parameters: Parameters, requests: readonly SampleRequest<X>[], options: SampleOptions): Promise<Sampled<X>[]>;
  /** One vector a row, for reward models and novelty: [features] floats each. */
  features?(parameters: Arrays, inputs: Arrays): Arr;
  /** The first row of a rollout for a task: the prompt without actions. */
  begin(task: Task): X;
  /** The most cells (rows * positions) that fit well into memory at once; absent: the engine's own number. */
  readonly comfortableCells?: number;
  /** Description that goes into run.json and checkpoints. */
  readonly config: Json;
  /** Releases compiled programs. */
  dispose(): void;
}
