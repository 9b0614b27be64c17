import { describe, expect, test } from "vitest";
import type { Examples } from "../../src/credit/examples.ts";
import { clippedSurrogate, gradientOf, klPenalty, combine, servedLoss } from "../../src/objectives/index.ts";
import type { Aggregation } from "../../src/objectives/index.ts";
import { normal, stream } from "../../src/statistics/stream.ts";

/** Ragged rows, one masked in part, one with a weight, one without a cell. */
function examplesOf(): Examples<number> {
  const rng = stream(1, "served");
  const lengths = [3, 5, 2, 4];
  const offsets = Int32Array.of(0, 3, 8, 10, 14);
  const cells = (): Float32Array => Float32Array.from({ length: 14 }, () => normal(rng));
  const mask = new Float32Array(14).fill(1);
  mask.fill(0, 4, 6).fill(0, 8, 10);
  const token = { advantage: cells(), behaviour: cells(), old: cells() };
  token.behaviour[4] = NaN;
  return { rows: lengths.map((_, i) => i), offsets, mask, weight: Float32Array.of(1, 2, 1, 0.5), token, row: {} };
}

describe("losses that services compute", () => {
  const aggregations: Aggregation[] = [
    { aggregation: "token-mean", divisor: null },
    { aggregation: "token-mean", divisor: 7 },
    { aggregation: "row-mean", divisor: null },
    { aggregation: "row-sum", divisor: 5 },
  ];
  for (const aggregation of aggregations)
    for (const against of ["behaviour", "old"] as const)
      test(`ppo is the clipped surrogate, ${aggregation.aggregation} over ${aggregation.divisor}, against ${against}`, () => {
        const examples = examplesOf();
        const objective = clippedSurrogate({ low: 0.2, high: 0.3, against, ...aggregation });
        const logProbs = examples.rows.map((i) =>
          examples.token[against]!.slice(examples.offsets[i], examples.offsets[i + 1]).map((x, j) => (x || 0) + 0.3 * Math.sin(5 * j + i)),
        );
        const exact = gradientOf(objective, examples, { logProbs }, { high: 0.25 }).gradients["logProbs"]!;
        const loss = servedLoss(objective, objective.served!, examples, 3, { high: 0.25 });
        expect(loss).toMatchObject({ name: "ppo", config: { clip_low_threshold: 0.8, clip_high_threshold: 1.25 } });
        // The protocol's gradient: -w A r where the ratio may still move, else 0.
        exact.forEach((row, i) =>
          row.forEach((g, j) => {
            const ratio = Math.exp(logProbs[i]![j]! - loss.logProbs[i]![j]!);
            const advantage = loss.advantages[i]![j]!;
            const stopped = advantage > 0 ? ratio > 1.25 : ratio < 0.8;
            expect(stopped ? 0 : -loss.weights[i]![j]! * advantage * ratio).toBeCloseTo(3 * g, 6);
          }),
        );
        expect(exact.flatMap((row) => [...row]).filter((g) => g !== 0).length).toBeGreaterThan(3);
      });

  test("what is not exactly one of them is none", () => {
    const mean = aggregations[0]!;
    expect(clippedSurrogate({ low: 0.2, high: 0.2, dualClip: 3, ...mean }).served).toBeUndefined();
    expect(clippedSurrogate({ low: 0.2, high: 0.2, ratio: "sequence", ...mean }).served).toBeUndefined();
    expect(clippedSurrogate({ low: 0.2, high: 0.2, correction: true, ...mean }).served).toBeUndefined();
    const surrogate = clippedSurrogate({ low: 0.2, high: 0.2, ...mean });
    expect(combine({ a: surrogate, kl: klPenalty({ estimator: "k3", coefficient: 0.1, ...mean }) }).served).toBeUndefined();
  });
});
