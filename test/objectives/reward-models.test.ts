import { describe, expect, test } from "vitest";
import {
  bradleyTerry,
  generalPreference,
  gpo,
  gradientOf,
  logRatioOutcome,
  outcomeLoss,
  stepOutcomeLoss,
} from "../../src/objectives/index.ts";
import { outputs, pair, ragged } from "./cases.ts";

test("Bradley-Terry: a k that leaves no room for ties is refused", () => {
  expect(() => bradleyTerry({ read: "last", ties: 1 })).toThrow(/above 1/);
});

describe("outcomes", () => {
  test("the cross-entropy of a score", () => {
    const at = (label: number) =>
      gradientOf(outcomeLoss({ read: "last" }), ragged({ mask: [[1, 1]], row: { label: [label] } }), outputs({ score: [[9, -0.5]] }));
    expect(at(1).loss).toBeCloseTo(Math.log1p(Math.exp(0.5)), 12);
    expect(at(0).loss).toBeCloseTo(Math.log1p(Math.exp(-0.5)), 12);
    // sigmoid(f) - label, at the last action alone
    expect(at(0).gradients["score"]![0]![0]).toBe(0);
    expect(at(0).gradients["score"]![0]![1]).toBeCloseTo(1 / (1 + Math.exp(0.5)), 7);
    expect([at(0).metrics["accuracy"], at(1).metrics["accuracy"]]).toEqual([1, 0]);
  });

  test.each([
    [1, 0.8543552],
    [0, 0.5543552],
  ])("log-ratios .2, .5, -1.0 and beta 1 with the label %i: %f", (label, loss) => {
    const examples = ragged({ mask: [[1, 1, 1]], token: { reference: [[-1, -1, -1]] }, row: { label: [label] } });
    const got = gradientOf(logRatioOutcome({ beta: 1 }), examples, outputs({ logProbs: [[-0.8, -0.5, -2]] }));
    expect(got.loss).toBeCloseTo(loss, 6);
    expect(got.metrics["reward"]).toBeCloseTo(-0.3, 6);
  });

  test("steps count where the mask says that one ends", () => {
    const examples = ragged({ mask: [[0, 1, 0, 1]], token: { label: [[0.3, 1, 0.3, 0.25]] } });
    const { loss, gradients } = gradientOf(
      stepOutcomeLoss({ aggregation: "token-mean", divisor: null }),
      examples,
      outputs({ score: [[5, 2, 5, 0]] }),
    );
    expect(loss).toBeCloseTo((Math.log1p(Math.exp(-2)) + Math.LN2) / 2, 7);
    expect(gradients["score"]![0]![0]).toBe(0);
    expect(gradients["score"]![0]![3]).toBeCloseTo(0.125, 7);
  });
});

describe("general preference", () => {
  const at = (v: readonly number[], w: readonly number[], options: { temperature?: number; normalise?: boolean } = {}) => {
    const columns = Object.fromEntries(v.map((x, k) => [`score.${k}`, [[x], [w[k]!]]]));
    const objective = generalPreference({ size: v.length, temperature: 1, read: "last", ...options });
    return gradientOf(objective, ragged({ mask: [[1], [1]], sets: pair() }), outputs(columns));
  };

  test("scores change their sign with the order", () => {
    expect(at([1, 2], [0.5, -1]).metrics["margin"]).toBe(-2);
    const [v, w] = [
      [1, 2, 0.3, -0.4],
      [0.5, -1, 0.2, 0.7],
    ] as const;
    expect(at(v, w).metrics["margin"]).toBeCloseTo(-1.71, 6);
    expect(at(w, v).metrics["margin"]).toBeCloseTo(1.71, 6);
    expect(at(v, v).metrics["margin"]).toBe(0);
    expect(at(v, w).loss).toBeCloseTo(-Math.log(0.1531637), 6);
    expect(at(v, w, { temperature: 0.1 }).loss).toBeCloseTo(17.1, 5);
  });

  test("three unit vectors a third of a turn apart beat each other in a ring", () => {
    const around = [0, 120, 240].map((degrees) => [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)]);
    for (let i = 0; i < 3; i++)
      for (const normalise of [false, true])
        expect(
          at(
            around[i]!.map((x) => (normalise ? 3 * x : x)),
            around[(i + 1) % 3]!,
            { normalise },
          ).metrics["margin"],
        ).toBeCloseTo(0.8660254, 6);
  });

  test("with a constant second number it is Bradley-Terry", () => {
    const { loss } = at([1.2, 1], [0.5, 1]);
    expect(loss).toBeCloseTo(0.403186, 6);
  });

  test("an odd size is refused", () => {
    expect(() => generalPreference({ size: 3, temperature: 1, read: "last" })).toThrow(/even/);
  });
});

test("general preference optimisation pulls the log-ratio to score / beta", () => {
  const examples = ragged({ mask: [[1, 1], [1]], token: { behaviour: [[-1, -2], [-0.5]] }, row: { score: [0.3, -0.3] } });
  const given = outputs({ logProbs: [[-0.75, -2], [-1]] });
  const { loss, gradients, metrics } = gradientOf(gpo({ beta: 0.5, against: "behaviour" }), examples, given);
  // (0.25 - 0.6)^2 and (-0.5 + 0.6)^2
  expect(loss).toBeCloseTo((0.1225 + 0.01) / 2, 6);
  expect(gradients["logProbs"]![0]![1]).toBeCloseTo(-0.35, 6);
  expect(gradients["logProbs"]![1]![0]).toBeCloseTo(0.1, 6);
  expect(metrics["logRatio"]).toBeCloseTo(-0.125, 7);
});
