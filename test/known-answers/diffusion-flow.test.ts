import { test } from "vitest";
import { groupAdvantage } from "../../src/credit/index.ts";
import { optimalValue, prefixTree, softOptimum, tilt } from "../../src/environments/index.ts";
import { clippedSurrogate, scoreFunction } from "../../src/objectives/index.ts";
import { column, near, ofRow, one } from "./kit.ts";

const tokenMeans = { aggregation: "token-mean", divisor: null } as const;

test("S5 group advantage of 1, 2, 3, 6 with both deviations; equal rewards give nothing", () => {
  const of = (rewards: Float64Array, ddof: 0 | 1) => groupAdvantage(rewards, one(rewards), { scale: { ddof, epsilon: 1e-8 } });
  near(of(column(1, 2, 3, 6), 1), [-0.9258201, -0.46291, 0, 1.3887301]);
  near(of(column(1, 2, 3, 6), 0), [-1.069045, -0.5345225, 0, 1.6035674]);
  near(of(column(2, 2, 2), 1), [0, 0, 0], 15);
});

test("S6 clipped surrogate, one term an action; with one inner epoch its gradient is the score function's", () => {
  const objective = clippedSurrogate({ low: 1e-3, high: 1e-3, ...tokenMeans });
  const at = (ratio: number, advantage: number): number =>
    ofRow(objective, [Math.log(ratio)], { advantage: [advantage], behaviour: [0] }).loss;
  near([at(1.5, 2), at(0.5, 2), at(1.5, -2), at(0.5, -2)], [-2 * 1.001, -1, 3, 2 * 0.999]);
  const token = { advantage: [1.5, -0.5], behaviour: [-0.25, 0.75] };
  const [clipped, plain] = [objective, scoreFunction(tokenMeans)].map((o) => ofRow(o, token.behaviour, token).gradients["logProbs"]![0]!);
  near(clipped!, [...plain!], 12);
});

test("S8 the tilted target and soft values, on what is finite: V is a soft maximum of V, and steps tilted by it make the target", () => {
  const process = prefixTree({ length: 2, symbols: 2 });
  const [reference, alpha] = [[0.3, 0.7], 0.5]; // alpha = 1 / lambda
  const outcome = [1, 0, 0.5, 2];
  const { v, policy } = softOptimum(
    process,
    () => reference,
    (s, a, t) => (t === 1 ? outcome[2 * (s - 1) + a]! : 0),
    alpha,
  );
  const whole = reference.flatMap((p) => reference.map((q) => p * q));
  near(v[0]![0]!, optimalValue(whole, outcome, alpha), 12);
  near(v[0]![0]!, optimalValue(reference, [v[1]![1]!, v[1]![2]!], alpha), 12);
  const made = [0, 1].flatMap((a) => [0, 1].map((b) => policy[0]![a]! * policy[1]![2 * (1 + a) + b]!));
  near(made, [...tilt(whole, outcome, alpha)], 12);
});
