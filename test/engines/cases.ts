import type { Examples, Sets } from "../../src/credit/examples.ts";
import type { Outputs } from "../../src/engines/engine.ts";
import {
  bradleyTerry,
  clippedSurrogate,
  combine,
  entropyBonus,
  klPenalty,
  listLoss,
  orpo,
  outputsOf,
  pairLoss,
  raft,
  rrhf,
  scoreFunction,
  sft,
  valueLoss,
} from "../../src/objectives/index.ts";
import type { Objective } from "../../src/objectives/index.ts";
import { below, normal, stream } from "../../src/statistics/stream.ts";

export interface Case<X> {
  readonly name: string;
  readonly objective: Objective;
  readonly examples: Examples<X>;
}

const perToken = { aggregation: "token-mean", divisor: null } as const;
const perRow = { aggregation: "row-mean", divisor: null } as const;
const perSum = { aggregation: "row-sum", divisor: 7 } as const;
const clip = { low: 0.1, high: 0.15 } as const;

/** Every objective of the package, in the variants that change its formula. */
const objectives: Readonly<Record<string, Objective>> = {
  "clipped surrogate": clippedSurrogate({ ...clip, ...perToken }),
  "clipped surrogate, row mean, dual clip": clippedSurrogate({ ...clip, ...perRow, dualClip: 1.1 }),
  "clipped surrogate against old, row sum": clippedSurrogate({ ...clip, ...perSum, against: "old" }),
  "clipped surrogate, correction": clippedSurrogate({ ...clip, ...perToken, correction: true }),
  "sequence ratio": clippedSurrogate({ ...clip, ...perRow, ratio: "sequence" }),
  "geometric-mean ratio": clippedSurrogate({ ...clip, ...perRow, ratio: "geometric mean" }),
  "score function": scoreFunction(perToken),
  k1: klPenalty({ estimator: "k1", coefficient: 0.3, ...perToken }),
  k2: klPenalty({ estimator: "k2", coefficient: 0.3, ...perToken }),
  k3: klPenalty({ estimator: "k3", coefficient: 0.3, ...perToken }),
  "entropy bonus": entropyBonus({ coefficient: 0.1, ...perToken }),
  sft: sft(perToken),
  raft: raft(perRow),
  dpo: pairLoss("dpo", { beta: 0.2 }),
  "dpo with soft labels and margins": pairLoss("dpo", { beta: 0.2, softLabels: true, margin: true }),
  "ipo with an anchor": pairLoss("ipo", { beta: 0.2, against: "anchor" }),
  "hinge without a reference": pairLoss("hinge", { beta: 0.2, against: "none", smoothing: 0.1 }),
  orpo: orpo({ lambda: 0.5 }),
  "list cross-entropy": listLoss("cross-entropy", { beta: 0.2 }),
  "plackett-luce": listLoss("plackett-luce", { beta: 0.2 }),
  rrhf: rrhf({ imitation: 0.5 }),
  value: valueLoss({ clip: null, ...perToken }),
  "clipped value": valueLoss({ clip: 0.1, ...perToken }),
  "bradley-terry": bradleyTerry({ read: "last", margin: true }),
  "a sum": combine(
    { pg: clippedSurrogate({ ...clip, ...perToken }), entropy: entropyBonus({ coefficient: 0.1, ...perToken }) },
    { entropy: 0.5 },
  ),
};

/**
 * The objectives that an engine with these outputs can serve, each with examples of the given rows: random columns near the outputs, so
 * that clips bind on some cells, and a mask with holes.
 *
 * @param lengths actions of each row
 * @param outputs of the rows, at the weights that the gradient is taken at
 */
export function cases<X>(rows: readonly X[], lengths: readonly number[], outputs: Outputs, seed = 1): Case<X>[] {
  return Object.entries(objectives)
    .filter(([, objective]) => outputsOf(objective).every((name) => name in outputs))
    .map(([name, objective]) => ({ name, objective, examples: examplesFor(objective, rows, lengths, outputs, seed) }));
}

function examplesFor<X>(objective: Objective, rows: readonly X[], lengths: readonly number[], outputs: Outputs, seed: number): Examples<X> {
  const rng = stream(seed, "examples", objective.name);
  const offsets = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))]);
  const cells = offsets.at(-1)!;
  const flat = (name: string): Float32Array => Float32Array.from((outputs[name] ?? []).flatMap((row) => [...row]));
  const near = (values: Float32Array, spread: number): Float32Array => values.map((v) => v + spread * normal(rng));
  const random = (length: number): Float32Array => Float32Array.from({ length }, () => normal(rng));
  const token: Record<string, () => Float32Array> = {
    advantage: () => random(cells),
    behaviour: () => near(flat("logProbs"), 0.2),
    old: () => near(flat("logProbs"), 0.2),
    reference: () => near(flat("logProbs"), 0.3),
    correction: () => random(cells).map((z) => Math.exp(0.3 * z)),
    return: () => random(cells),
    value: () => near(flat("value"), 0.2),
  };
  const made: Record<string, Float32Array> = {};
  for (const name of objective.needs.token) made[name] = token[name]!();
  // The first cell of each row always counts, so that no row is empty.
  const mask = Float32Array.from({ length: cells }, (_, i) => (offsets.includes(i) || rng() < 0.8 ? 1 : 0));
  return {
    rows,
    offsets,
    mask,
    weight: Float32Array.from(rows, () => 0.5 + rng()),
    token: made,
    row: Object.fromEntries(objective.needs.row.map((name) => [name, random(rows.length).map((z) => 3 * z - 10)])),
    ...(objective.needs.sets ? { sets: setsFor(objective, rows.length, rng) } : {}),
  };
}

function setsFor(objective: Objective, rows: number, rng: () => number): Sets {
  const size = objective.needs.setSize ?? 3;
  const count = 5;
  const members = new Int32Array(count * size);
  for (let s = 0; s < count; s++) {
    const first = below(rng, rows);
    // Different rows of one set; a list's last place is empty in every other set.
    for (let k = 0; k < size; k++) members[s * size + k] = size > 2 && k === size - 1 && s % 2 === 0 ? -1 : (first + k) % rows;
  }
  const present = (i: number): boolean => members[i]! >= 0;
  const member: Record<string, Float32Array> = {};
  for (const name of objective.needs.member) {
    const column = Float32Array.from({ length: count * size }, (_, i) => (present(i) ? (name === "rank" ? i % size : 0.1 + rng()) : 0));
    if (name === "target")
      for (let s = 0; s < count; s++) {
        const part = column.subarray(s * size, (s + 1) * size);
        const total = part.reduce((a, b) => a + b, 0);
        part.forEach((v, k) => (part[k] = v / total));
      }
    member[name] = column;
  }
  const set = Object.fromEntries(objective.needs.set.map((name) => [name, Float32Array.from({ length: count }, () => rng())]));
  return { size, members, weight: Float32Array.from({ length: count }, () => 0.5 + rng()), member, set };
}
