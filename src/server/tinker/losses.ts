import { clip, exp, minimum, stopGradient } from "../../arrays/index.ts";
import type { Arr } from "../../arrays/index.ts";
import type { Examples } from "../../credit/examples.ts";
import type { Outputs } from "../../engines/engine.ts";
import type { Loss } from "../../engines/tinker/protocol.ts";
import { GuerdonError } from "../../error.ts";
import { gradientOf, objective } from "../../objectives/index.ts";
import type { Objective } from "../../objectives/index.ts";
import { rowSum } from "../../objectives/reductions.ts";
import type { Table } from "../../objectives/reductions.ts";
import type { TargetedRow } from "./rows.ts";

/** A row with what its loss reads, one number a target. */
export interface LossRow extends TargetedRow {
  /** Any sign: the two-call form of another loss sends minus its gradient here. */
  readonly weights: Float32Array;
  readonly advantages?: Float32Array;
  /** Log-probabilities of the targets under the policy that drew them. */
  readonly behaviour?: Float32Array;
}

/** The protocol's losses are sums over tokens, not means. */
const total = (perToken: Arr, batch: Table): Arr => rowSum(perToken, batch).mul(batch.weight).sum();

/** The thresholds are on the ratio itself; these are the protocol's defaults. */
const thresholds = { clip_low_threshold: 0.8, clip_high_threshold: 1.2 };

const objectives: Readonly<Record<Loss, Objective>> = {
  cross_entropy: objective({
    name: "cross_entropy",
    token: ["weight"],
    linear: true,
    loss: ({ logProbs }, batch) => total(logProbs.mul(batch.token.weight), batch).neg(),
  }),
  importance_sampling: objective({
    name: "importance_sampling",
    token: ["weight", "advantage", "behaviour"],
    loss: ({ logProbs }, batch) => {
      const { weight, advantage, behaviour } = batch.token;
      return total(exp(logProbs.sub(behaviour)).mul(advantage).mul(weight), batch).neg();
    },
  }),
  ppo: objective({
    name: "ppo",
    token: ["weight", "advantage", "behaviour"],
    coefficients: thresholds,
    loss: ({ logProbs }, batch, c) => {
      const { weight, advantage, behaviour } = batch.token;
      const ratio = exp(logProbs.sub(behaviour));
      const clipped = clip(ratio, c.clip_low_threshold, c.clip_high_threshold);
      return total(minimum(ratio.mul(advantage), clipped.mul(advantage)).mul(weight), batch).neg();
    },
  }),
  cispo: objective({
    name: "cispo",
    token: ["weight", "advantage", "behaviour"],
    coefficients: thresholds,
    loss: ({ logProbs }, batch, c) => {
      const { weight, advantage, behaviour } = batch.token;
      const ratio = stopGradient(clip(exp(logProbs.sub(behaviour)), c.clip_low_threshold, c.clip_high_threshold));
      return total(ratio.mul(advantage).mul(logProbs).mul(weight), batch).neg();
    },
  }),
};

/** A loss of the protocol on given rows: at log-probabilities of the targets, its value and its gradient with respect to them. */
export interface RowsLoss {
  /** The gradient does not depend on the log-probabilities. */
  readonly linear: boolean;
  at(logProbs: readonly Float32Array[]): { readonly loss: number; readonly gradients: Outputs };
}

/**
 * @param config coefficients of the loss by name
 * @throws GuerdonError "usage" for a coefficient that the loss does not have; "input" for rows without what it reads
 */
export function lossOf(name: Loss, rows: readonly LossRow[], config: Readonly<Record<string, number>>): RowsLoss {
  const chosen = objectives[name];
  const { token } = chosen.needs;
  const column = (of: (row: LossRow) => Float32Array | undefined, what: string): Float32Array => {
    const parts = rows.map((row, i) => {
      const part = of(row);
      if (!part) throw new GuerdonError("input", `Datum ${i} has no ${what}, which the loss ${name} needs.`);
      return part;
    });
    return join(parts);
  };
  const lengths = rows.map((row) => row.targets.length);
  const offsets = new Int32Array(rows.length + 1);
  lengths.forEach((length, i) => (offsets[i + 1] = offsets[i]! + length));
  const examples: Examples<TargetedRow> = {
    rows,
    offsets,
    // A weight of 0 says enough; a mask could not be negative.
    mask: new Float32Array(offsets[rows.length]!).fill(1),
    weight: new Float32Array(rows.length).fill(1),
    token: {
      weight: column((row) => row.weights, "weights"),
      ...(token.includes("advantage") && { advantage: column((row) => row.advantages, "advantages") }),
      ...(token.includes("behaviour") && { behaviour: column((row) => row.behaviour, "logprobs") }),
    },
    row: {},
  };
  return {
    linear: chosen.linear,
    at: (logProbs) => gradientOf(chosen, examples, { logProbs }, config),
  };
}

function join(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
