import type { Scored } from "../../src/credit/index.ts";
import type { TextSequence } from "../../src/policies/policy.ts";
import type { Rollout, Sampling, Span } from "../../src/rollouts/rollout.ts";

export interface Made {
  readonly reward: number;
  readonly group?: number;
  /** One entry an action; default three of the policy's own. */
  readonly mask?: readonly number[];
  readonly logProbs?: readonly number[];
  readonly steps?: readonly Span[];
  readonly sampling?: Partial<Sampling>;
  readonly weightsVersion?: number;
}

export function rollout(made: Made, index = 0): Rollout {
  const mask = Uint8Array.from(made.mask ?? [1, 1, 1]);
  return {
    task: { id: `task ${made.group ?? 0}`, prompt: "?" },
    row: { prompt: Int32Array.of(1, 2), actions: Int32Array.from(mask, (_, j) => 10 * index + j) } satisfies TextSequence,
    group: `${made.group ?? 0}`,
    behaviourLogProbs: Float32Array.from(made.logProbs ?? [...mask].map((m, j) => (m === 0 ? 0 : -0.5 * (j + 1)))),
    mask,
    stop: "stop",
    sampling: { engine: "engine 1", temperature: 1, topK: 0, topP: 1, ...made.sampling },
    weightsVersion: made.weightsVersion ?? 4,
    ...(made.steps && { steps: made.steps }),
  };
}

/** A table of scored rollouts. */
export function scored(rows: readonly Made[], extra: Partial<Scored> = {}): Scored {
  const group = Int32Array.from(rows, (r) => r.group ?? 0);
  return {
    rollouts: rows.map(rollout),
    reward: Float64Array.from(rows, (r) => r.reward),
    parts: {},
    keys: { group, task: group },
    token: {},
    ...extra,
  };
}
