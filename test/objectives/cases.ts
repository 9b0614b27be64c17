import type { Examples, Sets } from "../../src/credit/index.ts";
import type { Outputs } from "../../src/engines/engine.ts";
import {
  bradleyTerry,
  clippedSurrogate,
  combine,
  entropyBonus,
  generalPreference,
  gpo,
  klPenalty,
  listLoss,
  logRatioOutcome,
  onRows,
  orpo,
  outcomeLoss,
  outputsOf,
  pairLoss,
  raft,
  rrhf,
  scoreFunction,
  sft,
  stepOutcomeLoss,
  valueLoss,
} from "../../src/objectives/index.ts";
import type { Objective } from "../../src/objectives/index.ts";
import { stream } from "../../src/statistics/stream.ts";

/** Ragged data from a shorthand: one array a row for everything per token. */
export function ragged(rows: {
  readonly mask: readonly (readonly number[])[];
  readonly weight?: readonly number[];
  readonly token?: Readonly<Record<string, readonly (readonly number[])[]>>;
  readonly row?: Readonly<Record<string, readonly number[]>>;
  readonly sets?: Sets;
}): Examples<number> {
  const offsets = Int32Array.from([0, ...rows.mask.map(() => 0)]);
  for (const [i, m] of rows.mask.entries()) offsets[i + 1] = offsets[i]! + m.length;
  return {
    rows: rows.mask.map((_, i) => i),
    offsets,
    mask: Float32Array.from(rows.mask.flat()),
    weight: Float32Array.from(rows.weight ?? rows.mask.map(() => 1)),
    token: Object.fromEntries(Object.entries(rows.token ?? {}).map(([name, x]) => [name, Float32Array.from(x.flat())])),
    row: Object.fromEntries(Object.entries(rows.row ?? {}).map(([name, x]) => [name, Float32Array.from(x)])),
    ...(rows.sets && { sets: rows.sets }),
  };
}

export const outputs = (named: Readonly<Record<string, readonly (readonly number[])[]>>): Outputs =>
  Object.fromEntries(Object.entries(named).map(([name, rows]) => [name, rows.map((x) => Float32Array.from(x))]));

export const pair = (set: Readonly<Record<string, number>> = {}): Sets => ({
  size: 2,
  members: Int32Array.of(0, 1),
  weight: Float32Array.of(1),
  member: {},
  set: Object.fromEntries(Object.entries(set).map(([name, x]) => [name, Float32Array.of(x)])),
});

const plain = { aggregation: "token-mean", divisor: null } as const;
const aggregations = [
  plain,
  { aggregation: "token-mean", divisor: 7 },
  { aggregation: "row-mean", divisor: null },
  { aggregation: "row-sum", divisor: 5 },
  { aggregation: "row-sum", divisor: null },
] as const;

/** Every objective that there is, with the sets that it needs. */
const named: readonly (readonly [name: string, objective: Objective, sets?: "pairs" | "lists"])[] = [
  ...aggregations.map(
    (a) => [`clipped surrogate, ${a.aggregation} ${a.divisor}`, clippedSurrogate({ low: 0.2, high: 0.28, ...a })] as const,
  ),
  ["clipped surrogate, sequence", clippedSurrogate({ low: 0.1, high: 0.2, ratio: "sequence", ...plain, aggregation: "row-mean" })],
  ["clipped surrogate, geometric mean", clippedSurrogate({ low: 0.2, high: 0.2, ratio: "geometric mean", ...plain })],
  [
    "clipped surrogate, dual clip, old, correction",
    clippedSurrogate({ low: 0.2, high: 0.2, dualClip: 1.5, against: "old", correction: true, ...plain }),
  ],
  ["score function", scoreFunction(plain)],
  ...(["k1", "k2", "k3"] as const).map((estimator) => [estimator, klPenalty({ estimator, coefficient: 0.3, ...plain })] as const),
  ["entropy bonus", entropyBonus({ coefficient: 0.01, ...plain, aggregation: "row-mean" })],
  ["sft", sft(plain)],
  ["raft", raft({ aggregation: "row-mean", divisor: null })],
  ...(["dpo", "ipo", "hinge"] as const).map((kind) => [kind, pairLoss(kind, { beta: 0.4 }), "pairs"] as const),
  ["dpo smoothed", pairLoss("dpo", { beta: 0.4, smoothing: 0.1, margin: true }), "pairs"],
  ["ipo soft", pairLoss("ipo", { beta: 0.4, softLabels: true, against: "anchor" }), "pairs"],
  ["hinge without a reference", pairLoss("hinge", { beta: 0.1, against: "none" }), "pairs"],
  ["orpo", orpo({ lambda: 0.1 }), "pairs"],
  ["bradley-terry last", bradleyTerry({ read: "last" }), "pairs"],
  ["bradley-terry sum", bradleyTerry({ read: "sum", margin: true }), "pairs"],
  ["bradley-terry mean", bradleyTerry({ read: "mean" }), "pairs"],
  ["bradley-terry soft", bradleyTerry({ read: "last", softLabels: true, margin: true }), "pairs"],
  ["bradley-terry ties", bradleyTerry({ read: "last", softLabels: true, ties: 2 }), "pairs"],
  ["outcome", outcomeLoss({ read: "last" })],
  ["log-ratio outcome", logRatioOutcome({ beta: 0.3 })],
  ["step outcome", stepOutcomeLoss({ aggregation: "token-mean", divisor: null })],
  ["general preference", generalPreference({ size: 4, temperature: 0.5, read: "last", softLabels: true }), "pairs"],
  ["general preference of unit length", generalPreference({ size: 2, temperature: 0.5, read: "sum", normalise: true }), "pairs"],
  ["gpo", gpo({ beta: 0.5, against: "behaviour" })],
  ["cross-entropy", listLoss("cross-entropy", { beta: 0.7 }), "lists"],
  ["plackett-luce", listLoss("plackett-luce", { beta: 0.7, against: "none" }), "lists"],
  ["rrhf", rrhf({ imitation: 1 }), "lists"],
  ["value", valueLoss({ clip: null, ...plain })],
  ["clipped value", valueLoss({ clip: 0.2, ...plain })],
  [
    "combined",
    combine(
      {
        pg: clippedSurrogate({ low: 0.2, high: 0.2, ...plain }),
        entropy: entropyBonus({ coefficient: 0.5, ...plain }),
        v: valueLoss({ clip: 0.2, ...plain }),
      },
      { v: 0.5 },
    ),
  ],
  [
    "parts on different rows",
    combine({ right: onRows("right", scoreFunction(plain)), wrong: onRows("wrong", scoreFunction(plain)) }, { wrong: 0.5 }),
  ],
  ["combined linear", combine({ sft: sft(plain), entropy: entropyBonus({ coefficient: 0.5, ...plain }) }, { sft: 2 })],
];

export const cases = named.map(([name, objective, sets]) => ({ name, objective, sets }));

/** Multiples of 1/64, so that float32 outputs and steps of finite differences are exact. */
const grid = (x: number): number => Math.round(x * 64) / 64;

/** Random ragged examples with every column that some objective reads, masked cells inside, and outputs for them. */
export function random(
  objective: Objective,
  kind: "pairs" | "lists" | undefined,
  seed: number,
): { examples: Examples<number>; outputs: Outputs } {
  const rng = stream(seed, "objectives");
  const between = (low: number, high: number): number => grid(low + (high - low) * rng());
  const mask = [[1, 1, 0, 1], [1], [0, 1, 1], [0.5, 1, 1, 1, 1], [1, 1]];
  const table = (low: number, high: number): number[][] => mask.map((m) => m.map(() => between(low, high)));
  const logProbs = table(-3, -0.25);
  const near = (): number[][] => logProbs.map((r) => r.map((v) => v + between(-0.6, 0.6)));
  const sets: Sets =
    kind === "lists"
      ? {
          size: 3,
          members: Int32Array.of(0, 1, 2, 3, 4, -1),
          weight: Float32Array.of(1, 2),
          member: { rank: Float32Array.of(1, 0, 2, 0, 1, 0), target: Float32Array.of(0.25, 0.5, 0.25, 0.75, 0.25, 0) },
          set: {},
        }
      : {
          size: 2,
          members: Int32Array.of(0, 1, 3, 2, 4, 0),
          weight: Float32Array.of(1, 0.5, 2),
          member: {},
          set: { label: Float32Array.of(0.9, 0.6, 1), margin: Float32Array.of(0.5, 0.1, 0), tie: Float32Array.of(0, 1, 0.25) },
        };
  const examples = ragged({
    mask,
    weight: [1, 0.5, 1, 2, 1],
    token: {
      advantage: table(-2, 2),
      behaviour: near(),
      old: near(),
      reference: near(),
      correction: table(0.2, 2),
      return: table(-1, 1),
      value: table(-1, 1),
      label: table(0, 1),
    },
    row: {
      label: mask.map(() => between(0, 1)),
      score: mask.map(() => between(-1, 1)),
      anchor: mask.map(() => between(-6, -1)),
      right: [1, 0, 1, 0, 1],
      wrong: [0, 1, 0, 1, 0],
    },
    ...(kind && { sets }),
  });
  const all: Record<string, number[][]> = { logProbs, entropy: table(0, 3), value: table(-1, 1), score: table(-2, 2) };
  for (let k = 0; k < 4; k++) all[`score.${k}`] = table(-2, 2);
  return { examples, outputs: outputs(Object.fromEntries(outputsOf(objective).map((name) => [name, all[name]!]))) };
}
