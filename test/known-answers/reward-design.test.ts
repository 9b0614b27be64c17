import { expect, test } from "vitest";
import { gae, leaveOneOut, scale, center, stepTokenRewards, tokenRewards } from "../../src/credit/index.ts";
import { bradleyTerry, clippedSurrogate, gradientOf, klPenalty, scoreFunction } from "../../src/objectives/index.ts";
import {
  bagF1,
  bagJaccard,
  boxIoU,
  centre,
  clip,
  deltaSteps,
  detectionPrecision,
  exactMatch,
  gate,
  ndcg,
  numericEqual,
  potentialSteps,
  product,
  reward,
  scheduleAt,
  score,
  squash,
  sum,
  tags,
  timeIoU,
} from "../../src/rewards/index.ts";
import { reinforcePlusPlus } from "../../src/training/index.ts";
import { passAtK, stream } from "../../src/statistics/index.ts";
import { scored } from "../credit/fixtures.ts";
import { outputs, pair, ragged } from "../objectives/cases.ts";
import { column, context, near, ofRow, ofScores, one } from "./kit.ts";

const tokenMeans = { aggregation: "token-mean", divisor: null } as const;
const softplus = (x: number): number => Math.log1p(Math.exp(x));

test("S1 Bradley-Terry on sums over segments, and with soft labels", () => {
  const segments = ragged({
    mask: [
      [1, 1],
      [1, 1],
    ],
    sets: pair(),
  });
  near(
    gradientOf(
      bradleyTerry({ read: "sum" }),
      segments,
      outputs({
        score: [
          [1, 0.5],
          [0.25, 0.75],
        ],
      }),
    ).loss,
    softplus(-0.5),
  );
  const { loss } = ofScores(bradleyTerry({ read: "last", softLabels: true }), [1, 0.5], { label: 0.75 });
  near(loss, 0.75 * softplus(-0.5) + 0.25 * softplus(0.5));
});

test("S2 leave-one-out, and groups of equal rewards give nothing in any variant", () => {
  const [two, single] = [column(1, 1, 0, 0), column(1, -1, -1, -1)];
  near(leaveOneOut(two, one(two)), [2 / 3, 2 / 3, -2 / 3, -2 / 3], 12);
  near(leaveOneOut(single, one(single)), [2, -2 / 3, -2 / 3, -2 / 3], 12);
  const equal = column(0.3, 0.3, 0.3);
  const centred = center(equal, one(equal));
  for (const x of [
    centred,
    leaveOneOut(equal, one(equal)),
    scale(centred, one(equal), { ddof: 0, epsilon: 0 }),
    scale(centred, one(equal), { ddof: 1, epsilon: 1e-8 }),
  ])
    expect([...x]).toEqual([0, 0, 0]);
});

test("S2 REINFORCE++: one baseline for the batch, returns to go, then tokens normalised over the batch", async () => {
  const table = scored([
    {
      reward: 1,
      mask: [1, 1],
      steps: [
        { from: 0, to: 1 },
        { from: 1, to: 2 },
      ],
    },
    { reward: 0, mask: [1, 0, 1], steps: [{ from: 0, to: 3 }] },
  ]);
  const advantage = async (of: typeof table): Promise<number[]> => [...reinforcePlusPlus().credit(of, context)!.token["advantage"]!];
  near(await advantage(table), [1, 1, -1, 0, -1]);
  // Returns to go of the step rewards (3, 1) and 0 are 4, 1, 0, 0: mean 5/4, deviation sqrt(43)/4.
  const steps = { ...table, stepReward: [Float64Array.of(3, 1), Float64Array.of(0)] };
  near(
    await advantage(steps),
    [11, -1, -5, 0, -5].map((x) => x / Math.sqrt(43)),
    6,
  );
});

test("S3 clipped surrogate with e = .2; the score function has its gradient where nothing is clipped", () => {
  const objective = clippedSurrogate({ low: 0.2, high: 0.2, ...tokenMeans });
  const at = (ratio: number, advantage: number): number =>
    ofRow(objective, [Math.log(ratio) - 1], { advantage: [advantage], behaviour: [-1] }).loss;
  near([at(1.5, 2), at(0.5, -2), at(1.5, -2), at(0.5, 2)], [-2.4, 1.6, 3, -1]);
  const token = { advantage: [2, -1], behaviour: [-1, -2] };
  expect(ofRow(objective, [-1, -2], token).gradients).toEqual(ofRow(scoreFunction(tokenMeans), [-1, -2], token).gradients);
});

test("S4 k1 = -d, k2 = d^2 / 2, k3 = exp(d) - d - 1, where k3 has the divergence as its mean", () => {
  const [p, q] = [
    [0.5, 0.3, 0.2],
    [0.2, 0.5, 0.3],
  ];
  const d = p.map((x, i) => Math.log(q[i]! / x));
  const k = (estimator: "k1" | "k2" | "k3", i: number): number =>
    ofRow(klPenalty({ estimator, coefficient: 1, ...tokenMeans }), [Math.log(p[i]!)], { reference: [Math.log(q[i]!)] }).loss;
  for (const i of [0, 1, 2]) near([k("k1", i), k("k2", i), k("k3", i)], [-d[i]!, d[i]! ** 2 / 2, Math.exp(d[i]!) - d[i]! - 1]);
  const divergence = p.reduce((total, x, i) => total - x * d[i]!, 0);
  near(
    [0, 1, 2].reduce((total, i) => total + p[i]! * k("k3", i), 0),
    divergence,
  );
});

test("S5 GAE by hand with discount .9 and lambda .8; with both 1 it is the return to go less the value", () => {
  const given = { rewards: [0, 0, 1], values: [0.5, 0.6, 0.8], mask: [1, 1, 1], after: 0 };
  near(gae({ ...given, discount: 0.9, lambda: 0.8 }).advantage, [0.04 + 0.72 * (0.12 + 0.72 * 0.2), 0.12 + 0.72 * 0.2, 0.2], 12);
  near(gae({ ...given, discount: 1, lambda: 1 }).advantage, [0.5, 0.4, 0.2], 12);
});

test("S6 the outcome is on the last own token, step rewards on the last own token of a step, and masked tokens get none", () => {
  const mask = [1, 1, 0, 1, 0];
  const steps = [
    { from: 0, to: 3 },
    { from: 3, to: 5 },
  ];
  const table = scored([{ reward: 2, mask, steps }], { stepReward: [Float64Array.of(0.5, -1)] });
  expect([...tokenRewards(table, null)[0]!]).toEqual([0, 0, 0, 2, 0]);
  expect([...stepTokenRewards(table)[0]!]).toEqual([0, 0.5, 0, -1, 0]);
  expect(() => gae({ rewards: [0, 1], values: [0, 0], mask: [1, 0], after: 0, discount: 1, lambda: 1 })).toThrow(/masked/);
});

test("S7 a format gate is full-match, has its penalty where it fails, and returns a number for anything", async () => {
  const gated = gate(
    tags(["think", "answer"]),
    reward("one", () => 1),
    { otherwise: -0.5 },
  );
  const answers = [
    "<think>a</think> <answer>b</answer>",
    "<think>a</think> <answer>b</answer> more",
    "<answer>b</answer>",
    "",
    "<think><think>",
    "\u0000]]>",
  ];
  const scores = await score(
    gated,
    answers.map((completion) => ({ prompt: "p", completion })),
  );
  expect(scores.map(({ value }) => value)).toEqual([1, -0.5, -0.5, -0.5, -0.5, -0.5]);
});

test("S8 matchers of texts and bags: 1 when both bags are empty, 0 when one is", async () => {
  const values = await score(
    exactMatch(),
    [" 42 ", "42."].map((completion) => ({ prompt: "p", completion, reference: "42" })),
  );
  expect(values.map(({ value }) => value)).toEqual([1, 0]);
  expect([numericEqual(1.04, 1, { absolute: 0.05 }), numericEqual(1.06, 1, { absolute: 0.05 })]).toEqual([true, false]);
  const [p, g] = [
    ["a", "a", "b"],
    ["a", "b", "c"],
  ];
  near([bagF1(p, g), bagJaccard(p, g)], [4 / 6, 2 / 4], 12);
  expect([bagF1([], []), bagJaccard([], []), bagF1(["a"], []), bagJaccard([], ["a"])]).toEqual([1, 1, 0, 0]);
});

test("S8 matchers of boxes, spans, rankings and detections", () => {
  near(boxIoU([0, 0, 2, 2], [1, 1, 3, 3]), 1 / 7, 12);
  near([timeIoU([0, 4], [2, 6]), timeIoU([0, 4], [2, 6], "hull")], [1 / 3, 1 / 3], 12);
  expect([timeIoU([0, 1], [3, 4]), timeIoU([0, 1], [3, 4], "hull")]).toEqual([0, 0]);
  // The ideal list has all three, though only two places are filled.
  near(ndcg(["x", "a"], ["a", "b", "c"])!, 1 / Math.log2(3) / (1 + 1 / Math.log2(3) + 1 / 2), 12);
  const at = (x: number, label = "cat") => ({ label, box: [x, 0, x + 1, 1] as const });
  // Right, wrong, right: precision 1 up to a recall of 1/2, then 2/3; of 101 recalls 0 to .5 are 51.
  near(detectionPrecision([at(0), at(5), at(9)], [at(0), at(9)]), (51 + 50 * (2 / 3)) / 101, 12);
});

test("S9 algebra: weighted sum, gate, penalties, schedule, clamp, centre, squash", async () => {
  const constant = (value: number, name = "constant") => reward(name, () => value);
  const value = async (r: Parameters<typeof score>[0]): Promise<number> => (await score(r, { prompt: "p", completion: "x" })).value!;
  near(await value(sum({ a: constant(2), b: constant(3) }, { weights: { a: 0.5, b: -1 } })), -2, 12);
  expect([await value(gate(constant(1, "door"), constant(3))), await value(gate(constant(0, "door"), constant(3)))]).toEqual([3, 0]);
  near(await value(product({ r: constant(2), p: constant(0.5), q: constant(0.25) })), 0.25, 12);
  near(
    [0, 5, 10, 20].map((t) =>
      scheduleAt(
        {
          knots: [
            [0, 1],
            [10, 0],
          ],
        },
        t,
      ),
    ),
    [1, 0.5, 0, 0],
    12,
  );
  near(await value(clip(constant(3), { low: -1, high: 1 })), 1, 12);
  near(await value(centre(constant(3), { at: 2 })), 1, 12);
  near(
    [await value(squash(constant(1), { by: "sigmoid" })), await value(squash(constant(1), { by: "tanh" }))],
    [1 / (1 + Math.exp(-1)), Math.tanh(1)],
    12,
  );
});

test("S10 potential-based shaping adds up to -Phi(s_0) along any walk; differences of step scores to the first one", () => {
  const rng = stream(0, "potentials");
  for (const discount of [1, 0.9])
    for (let n = 1; n < 6; n++) {
      const potentials = Array.from({ length: n }, () => rng());
      const shaped = potentialSteps(potentials, discount).reduce((total, f, k) => total + discount ** k * f, 0);
      near(shaped, -potentials[0]!, 12);
      near(
        deltaSteps(potentials).reduce((a, b) => a + b),
        potentials[0]!,
        12,
      );
    }
});

test("S12 pass@k, and a signal of p (1 - p) only where some answers of a group are right and some wrong", () => {
  near(passAtK(4, 1, 2), 0.5, 12);
  for (const right of [0, 1, 2, 3, 4]) {
    const rewards = Float64Array.from({ length: 4 }, (_, i) => (i < right ? 1 : 0));
    const p = right / 4;
    near(center(rewards, one(rewards)).reduce((total, a) => total + a * a, 0) / 4, p * (1 - p), 12);
  }
});
