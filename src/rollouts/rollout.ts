import type { Columns } from "../credit/examples.ts";
import type { Message } from "../data/row.ts";
import type { Task } from "../environments/environment.ts";
import type { TextSequence } from "../policies/policy.ts";

/** Actions [from, to) of a row. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** From which distribution the actions were drawn. */
export interface Sampling {
  /** `Engine.id` */
  readonly engine: string;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
}

/** One answer to one task, with everything training needs. Generic in the policy family's own row X. */
export interface Rollout<X = TextSequence, T extends Task = Task> {
  readonly task: T;
  /** The text, where there is one; always derived from tokens, never the reverse. */
  readonly completion?: string;
  readonly row: X;
  /** Rollouts of one group answer the same task and are compared with each other. */
  readonly group: string;
  /** One an action, of the distribution that it was drawn from (with its temperature, top-k and top-p); 0 where the mask is 0. */
  readonly behaviourLogProbs: Float32Array;
  /** 0: not an action of the policy (an environment's turn). Masked actions carry neither loss, KL nor advantage. */
  readonly mask: Uint8Array;
  /** Outputs recorded while sampling, one number an action. */
  readonly recorded?: Columns;
  /** The policy's turns or steps, where there are several. */
  readonly steps?: readonly Span[];
  /** What policy and environment said in turn, where the environment answers back; `completion` is the policy's last turn. */
  readonly turns?: readonly Message[];
  readonly stop: "stop" | "length" | "error";
  readonly sampling: Sampling;
  readonly weightsVersion: number;
}
