import { expect } from "vitest";
import { gradientOf } from "../../src/objectives/index.ts";
import type { Objective } from "../../src/objectives/index.ts";
import { stream } from "../../src/statistics/index.ts";
import { start } from "../../src/training/schedule.ts";
import { outputs, pair, ragged } from "../objectives/cases.ts";

/** Numbers are the card's, to as many digits as it gives. Losses are computed from float32 outputs, which are good to about 1e-7. */
export function near(got: number | ArrayLike<number>, want: number | readonly number[], digits = 6): void {
  const [a, b] = [typeof got === "number" ? [got] : Array.from(got), typeof want === "number" ? [want] : want];
  expect(a.length).toBe(b.length);
  for (const [i, x] of b.entries()) expect(a[i]).toBeCloseTo(x, digits);
}

/** Where a method's credit stands in a run that has just begun. */
export const context = { rng: stream(0, "credit"), at: start, progress: 0 };

export const column = (...x: number[]): Float64Array => Float64Array.from(x);
/** Everything in one group. */
export const one = (x: ArrayLike<number>): Int32Array => new Int32Array(x.length);

/** An objective of one row, one token a number. */
export const ofRow = (objective: Objective, logProbs: readonly number[], token: Readonly<Record<string, readonly number[]>> = {}) =>
  gradientOf(
    objective,
    ragged({ mask: [logProbs.map(() => 1)], token: Object.fromEntries(Object.entries(token).map(([name, x]) => [name, [x]])) }),
    outputs({ logProbs: [logProbs] }),
  );

/** An objective of one pair of scores, with set columns. */
export const ofScores = (objective: Objective, rewards: readonly [number, number], set: Readonly<Record<string, number>> = {}) =>
  gradientOf(objective, ragged({ mask: [[1], [1]], sets: pair(set) }), outputs({ score: rewards.map((r) => [r]) }));
