import type { Outputs, Sampled, SampleOptions, SampleRequest } from "../engines/engine.ts";
import type { HostTensor, Json } from "../statistics/snapshot.ts";

/** Parameters in host memory, float64, flat, by name. */
export type HostParameters = Readonly<Record<string, Float64Array>>;

/**
 * A policy so small that plain loops in float64 beat any compiled program: what `hostEngine` runs. It writes its own derivative, which
 * the engine contract checks against the tape.
 */
export interface HostPolicy<X> {
  readonly family: string;
  /** Of "logProbs", "entropy", "value", "score" (or "score.0", "score.1", ...). */
  readonly outputs: readonly string[];
  /** Fresh parameters by name. */
  init(seed: number): Record<string, HostTensor>;
  /** Number of actions in a row. */
  actions(row: X): number;
  /** Outputs of each row. */
  forward(parameters: HostParameters, rows: readonly X[], names: readonly string[]): Outputs;
  /** Adds the gradient of sum(gradients * outputs) to `into`, whose arrays are shaped as the parameters; returns the outputs. */
  backward(parameters: HostParameters, rows: readonly X[], gradients: Outputs, into: HostParameters): Outputs;
  /** Acts. The engine turns each result into a Rollout. */
  sample(parameters: HostParameters, requests: readonly SampleRequest<X>[], options: SampleOptions): Sampled<X>[];
  /** Brings the parameters back into the allowed class, in place, after an update. */
  project?(parameters: HostParameters): void;
  /** Description that goes into run.json and checkpoints. */
  readonly config: Json;
}
