import type { Loss } from "../../engines/tinker/protocol.ts";
import type { UpdateOptions } from "../../engines/engine.ts";
import type { Projection } from "../../policies/transformer-config.ts";
import type { LossRow } from "./losses.ts";
import type { Top } from "./top.ts";

/*
 * What goes between the server and the thread that computes.
 */

/** An adapter as the protocol describes it, with what it leaves open filled in. */
export interface Adapter {
  readonly rank: number;
  readonly seed: number;
  readonly targets: readonly Projection[];
}

/** Whose weights answer: the base model's, a snapshot's that is held in memory, or those of a folder. */
export type Sampler = { readonly base: true } | { readonly snapshot: string } | { readonly folder: string };

/** Sequences to draw from one prompt. */
export interface SampleJob {
  readonly prompt: Int32Array;
  readonly samples: number;
  readonly seed: number;
  readonly promptLogProbs: boolean;
  /** Most likely tokens at each place of the prompt; 0 for none. */
  readonly promptTop: number;
}

/** How to draw them; the sequences of several requests with the same settings are drawn together. */
export interface SampleSettings {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly stopTokens: readonly number[];
  readonly stopTexts: readonly string[];
}

export interface Drawn {
  readonly sequences: readonly { readonly tokens: Int32Array; readonly logProbs: Float32Array; readonly stop: "stop" | "length" }[];
  /** Of the prompt's tokens from the second on. */
  readonly promptLogProbs?: Float32Array;
  /** There, too. */
  readonly promptTop?: Top;
}

/** What the base model is. */
export interface BaseModel {
  /** Of its parameters. */
  readonly fingerprint: string;
  readonly vocabulary: number;
  readonly context: number;
  readonly projections: readonly Projection[];
  /** Ids that end an answer. */
  readonly ends: readonly number[];
}

/** Jobs and their results, by name. */
export interface Jobs {
  open: { job: { readonly folder: string; readonly threads: number | null }; result: BaseModel };
  create: { job: { readonly model: string; readonly adapter: Adapter }; result: null };
  /** Puts a saved state into a model; with `adapter` into a new one. */
  load: {
    job: { readonly model: string; readonly folder: string; readonly optimizer: boolean; readonly adapter: Adapter };
    result: null;
  };
  pass: {
    job: {
      readonly model: string;
      readonly rows: readonly LossRow[];
      readonly loss: Loss;
      readonly config: Readonly<Record<string, number>>;
      readonly backward: boolean;
    };
    result: { readonly logProbs: readonly Float32Array[]; readonly loss: number };
  };
  update: { job: { readonly model: string; readonly options: UpdateOptions }; result: { readonly gradientNorm: number | null } };
  /** Writes an adapter, and with `state` what training needs to go on, into a folder, in place of what is there. */
  save: {
    job: { readonly model: string; readonly folder: string; readonly state: boolean; readonly base: string };
    /** Whether a gradient waits, which no file has. */
    result: { readonly hasGradient: boolean };
  };
  /** Keeps a model's weights as they are now under a name. */
  snapshot: { job: { readonly model: string; readonly name: string }; result: null };
  sample: {
    job: { readonly from: Sampler; readonly settings: SampleSettings; readonly requests: readonly SampleJob[] };
    result: readonly Drawn[];
  };
  /** Forgets a model or a snapshot. */
  drop: { job: { readonly model?: string; readonly snapshot?: string }; result: null };
}

export type JobName = keyof Jobs;
export type ToComputer = { readonly [K in JobName]: { readonly id: number; readonly name: K; readonly job: Jobs[K]["job"] } }[JobName];
export type FromComputer =
  | { readonly id: number; readonly result: unknown }
  | {
      readonly id: number;
      readonly error: { readonly message: string; readonly user: boolean; /** No memory is left. */ readonly full: boolean };
    };
