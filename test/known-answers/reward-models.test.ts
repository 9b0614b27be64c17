import { describe, expect, test } from "vitest";
import { convention, differenceAdvantage, groupAdvantage, implicitCredit } from "../../src/credit/index.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { bandit, prefixTree, tilt } from "../../src/environments/index.ts";
import { bradleyTerry, klPenalty, outcomeLoss, pairLoss, gradientOf } from "../../src/objectives/index.ts";
import { combineVotes, ensemble, labelProbabilities, reciprocalRank, reward, score, stepAggregate } from "../../src/rewards/index.ts";
import type { StepAggregate } from "../../src/rewards/index.ts";
import {
  areaUnderCurve,
  deviation,
  majorityAtK,
  mean,
  meanInterval,
  pairedTest,
  pearson,
  spearman,
  stream,
} from "../../src/statistics/index.ts";
import { monteCarloValues, raft, statePrefix } from "../../src/training/index.ts";
import { scored } from "../credit/fixtures.ts";
import { outputs, pair, ragged } from "../objectives/cases.ts";
import { column, context, near, ofRow, ofScores, one } from "./kit.ts";

test("S1 Bradley-Terry at rewards 1.2 and .5: loss, gradient, and only differences count", () => {
  const { loss, gradients } = ofScores(bradleyTerry({ read: "last" }), [1.2, 0.5]);
  near([loss, gradients["score"]![0]![0]!, gradients["score"]![1]![0]!], [0.403186, -0.3318122, 0.3318122]);
  near(ofScores(bradleyTerry({ read: "last" }), [9.25, 8.5]).loss, ofScores(bradleyTerry({ read: "last" }), [1.25, 0.5]).loss, 12);
});

test.each([
  [{ softLabels: true }, { label: 0.8 }, 0.543186],
  [{ margin: true }, { margin: 0.3 }, 0.5130153],
  [{ softLabels: true }, { label: 0 }, 1.103186],
])("S2 %o with %o: %f", (options, set, loss) => near(ofScores(bradleyTerry({ read: "last", ...options }), [1.2, 0.5], set).loss, loss));

test("S2 a pair's weight multiplies its loss", () => {
  const examples = (weight: number) =>
    ragged({ mask: [[1], [1]], sets: { ...pair(), members: Int32Array.of(0, 1, 1, 0), weight: Float32Array.of(weight, 1) } });
  const at = (weight: number): number =>
    gradientOf(bradleyTerry({ read: "last" }), examples(weight), outputs({ score: [[1.2], [0.5]] })).loss;
  near(at(3), (3 * 0.403186 + 1.103186) / 4);
});

test.each([
  [5, [0.2871149, 0.6225408, 0.0903443]],
  [2, [0.5017132, 0.299381, 0.1989058]],
])("S3 ties with k = %i at d = .7: win, tie and lose, which add up to 1", (ties, want) => {
  const p = (
    [
      [0, 1],
      [1, 1],
      [0, 0],
    ] as const
  ).map(([tie, label]) => Math.exp(-ofScores(bradleyTerry({ read: "last", ties, softLabels: true }), [1.2, 0.5], { tie, label }).loss));
  near(p, want);
  near(
    p.reduce((a, b) => a + b),
    1,
    12,
  );
});

test("S3 the losses at k = 5", () => {
  const at = (tie: number): number => ofScores(bradleyTerry({ read: "last", ties: 5 }), [1.2, 0.5], { tie }).loss;
  near([at(0), at(1)], [1.2478729, 0.4739461]);
});

test("S4 the log-ratio reward comes apart into tokens, and prefixes are worth partial sums", async () => {
  const process = prefixTree({ length: 2, symbols: 2 });
  const [probs, referenceProbs] = [
    [0.8, 0.2, 0.9, 0.1, 0.4, 0.6],
    [0.6, 0.4, 0.5, 0.5, 0.3, 0.7],
  ];
  const made = (p: readonly number[]) => softmaxEngine(process, { base: (s, a) => Math.log(p[2 * s + a]!) });
  const rows = [0, 1].flatMap((a) => [0, 1].map((b) => ({ states: Int32Array.of(0, 1 + a), actions: Int32Array.of(a, b) })));
  const credit = await implicitCredit(rows, made(probs), made(referenceProbs), 0.5);
  near([credit[0]![0]!, credit[2]![0]!], [0.143841, -0.3465736]);
  near(
    credit.map(([a, b]) => a! + b!),
    [0.4377344, -0.6608779, -0.2027326, -0.4236489],
  );
});

test("S5 group advantage with both deviations, and the k3 estimate", () => {
  const rewards = column(1, 2, 4, 5);
  near(groupAdvantage(rewards, one(rewards), { scale: { ddof: 1, epsilon: 0 } }), [-1.0954451, -0.5477226, 0.5477226, 1.0954451]);
  expect([convention("trl").scale!.ddof, convention("verl").scale!.ddof]).toEqual([1, 1]);
  const k3 = klPenalty({ estimator: "k3", coefficient: 1, aggregation: "token-mean", divisor: null });
  near(ofRow(k3, [-1], { reference: [-0.5] }).loss, Math.exp(0.5) - 0.5 - 1);
});

test("S5b advantages of differences: of rewards, and in a ring", () => {
  const rewards = [1, 2, 4, 5];
  const strengths = rewards.map((a) => rewards.map((b) => a - b));
  near(differenceAdvantage(strengths, { epsilon: 1e-6 }), [-1.095445, -0.5477225, 0.5477225, 1.095445], 7);
  const ring = [
    [0, 2, -1],
    [-2, 0, 3],
    [1, -3, 0],
  ];
  near(differenceAdvantage(ring, { epsilon: 1e-6 }), [0.2182178, 0.2182178, -0.4364357], 7);
  const usual = groupAdvantage(column(...rewards), one(rewards), { scale: { ddof: 1, epsilon: 0 } });
  near(differenceAdvantage(strengths, { epsilon: 0 }), [...usual], 12);
});

test("S6 dpo is Bradley-Terry on log-ratio rewards", () => {
  const examples = ragged({ mask: [[1], [1]], token: { reference: [[-5], [-5.5]] }, sets: pair() });
  const { loss } = gradientOf(pairLoss("dpo", { beta: 0.5 }), examples, outputs({ logProbs: [[-4], [-6]] }));
  near(loss, ofScores(bradleyTerry({ read: "last" }), [0.5 * 1, 0.5 * -0.5]).loss, 12);
});

describe("S9 generative judge", () => {
  test("the probability of yes from logits 2 and .5", () => {
    const total = Math.log(Math.exp(2) + Math.exp(0.5) + Math.exp(-1));
    const top = [
      ["yes", 2],
      ["no", 0.5],
      ["maybe", -1],
    ].map(([token, logit]) => ({ token: token as string, logProb: (logit as number) - total }));
    const { probabilities, mass } = labelProbabilities([{ ...top[0]!, top }], ["yes", "no"])!;
    near(probabilities["yes"]! / mass, 0.8175745);
  });

  test("votes become one number by their mean or majority", () => {
    near([combineVotes([1, 0, 1], "mean"), combineVotes([1, 0, 1], "majority"), combineVotes([1, 0], "majority")], [2 / 3, 1, 0.5], 12);
  });
});

test("S10 an ensemble: each member brought to its scale on a common set before they are joined", async () => {
  const common = { a: [0, 2, 4], b: [100, 200, 300] };
  const scales = Object.fromEntries(
    Object.entries(common).map(([name, x]) => [name, { mean: mean(x), deviation: deviation(x, { ddof: 0 }) }]),
  ) as Record<"a" | "b", { mean: number; deviation: number }>;
  const members = { a: reward("a", () => 4), b: reward("b", () => 200) };
  const value = async (by: "mean" | "min" | { lowerBound: number }): Promise<number> =>
    (await score(ensemble(members, { by, scales }), { prompt: "p", completion: "x" })).value!;
  const high = 2 / Math.sqrt(8 / 3);
  near([await value("mean"), await value("min"), await value({ lowerBound: 1 })], [high / 2, 0, high / 2 - high / Math.SQRT2], 12);
});

test("S11 majority of answers", () => expect(majorityAtK(["12", "7", "12", null], 4)).toBe("12"));

test.each([
  ["product", 0.342],
  ["min", 0.5],
  ["last", 0.95],
  ["mean", 0.7875],
  ["geometric mean", 0.7647272],
  ["mean logit", 0.836442],
  ["mean odds", 8.25],
  ["max", 0.95],
] as const)("S12 steps .9, .8, .5, .95 by %s: %f", (by: StepAggregate, want) => near(stepAggregate([0.9, 0.8, 0.5, 0.95], by), want, 7));

test("S13 metrics: accuracy of pairs, reciprocal rank, correlations, area under the curve", () => {
  const accuracy = (d: number): number => ofScores(bradleyTerry({ read: "last" }), [d, 0]).metrics["accuracy"]!;
  expect([accuracy(1), accuracy(-1)]).toEqual([1, 0]);
  expect(reciprocalRank(["x", "y", "right"], ["right"])).toBeCloseTo(1 / 3, 15);
  near([spearman([1, 2, 3], [1, 4, 9]), pearson([0, 1, 2], [1, 3, 5])], [1, 1], 12);
  near(areaUnderCurve([0.1, 0.4, 0.35, 0.8], [false, false, true, true]), 0.75, 12);
});

test("S14 rejection sampling: the likelihood of a policy's own accepted answers, and of nothing else", () => {
  const table = scored([{ reward: 1, logProbs: [-1, -1, -1] }, { reward: 0 }, { reward: 1, mask: [1, 1] }]);
  const { credit, objective } = raft();
  const kept = credit(table, context)!;
  expect(kept.rows).toEqual([table.rollouts[0]!.row, table.rollouts[2]!.row]);
  near(
    gradientOf(
      objective,
      kept,
      outputs({
        logProbs: [
          [-1, -2, -3],
          [-4, -5],
        ],
      }),
    ).loss,
    15 / 5,
    12,
  );
  expect(credit(scored([{ reward: 0 }]), context)).toBeNull();
});

test("S15 outcome verifier on a score of -.3", () => {
  const at = (f: number, label: number): number =>
    gradientOf(outcomeLoss({ read: "last" }), ragged({ mask: [[1]], row: { label: [label] } }), outputs({ score: [[f]] })).loss;
  near([at(-0.3, 1), at(-0.3, 0)], [0.8543552, 0.5543552]);
});

test("S16 the value of a prefix is the share of its continuations that succeed", async () => {
  // Right after the first symbol 0 with probability .8, after 1 with .3.
  const engine = softmaxEngine(prefixTree({ length: 2, symbols: 2 }), {
    base: (s, a) => Math.log([0.5, 0.5, 0.2, 0.8, 0.7, 0.3][2 * s + a]!),
  });
  const requests = [0, 1, 2, 3].map((i) => ({ task: { id: "0", prompt: 0 }, group: "0", rng: stream(i, "walk") }));
  const rollouts = await engine.sample(requests, { maxActions: 2 });
  const { values } = await monteCarloValues(engine, rollouts, {
    ends: () => [1, 2],
    prefix: statePrefix,
    success: (rows) => rows.map(({ row }) => row.actions[1]!),
    continuations: 2500,
    maxActions: 2,
    seed: 0,
  });
  for (const [i, { row }] of rollouts.entries()) {
    const p = row.actions[0] === 0 ? 0.8 : 0.3;
    expect(Math.abs(values[i]![0]! - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / 2500));
    expect(values[i]![1]).toBe(row.actions[1]);
  }
  expect(new Set(rollouts.map(({ row }) => row.actions[0])).size).toBe(2);
});

test("S17 the policy that is best for E[r] - beta KL is reference exp(r / beta): its gradient is zero there", () => {
  const [reference, rewards, beta] = [[0.5, 0.3, 0.2], [1, 2, 0], 0.5];
  const best = tilt(reference, rewards, beta);
  const process = bandit({ tasks: 1, actions: 3 });
  const engine = softmaxEngine(process, { base: (_, a) => Math.log(best[a]!) });
  const penalised = engine.exact.gradient((_, a) => rewards[a]! - beta * Math.log(best[a]! / reference[a]!));
  near(penalised, [0, 0, 0], 12);
});

test("S18 paired by seed: the mean of differences, its t interval, and a test that is decided with it", () => {
  const [a, b] = [
    [3.1, 2.9, 3.4, 3.3, 3.0],
    [2.8, 2.7, 3.2, 2.9, 2.9],
  ];
  const differences = a.map((x, i) => x - b[i]!);
  const { estimate, low, high } = meanInterval(differences);
  // Differences .3, .2, .2, .4, .1: mean .24, deviation sqrt(.013), t(.975, 4) = 2.776445.
  const half = (2.776445 * Math.sqrt(0.013)) / Math.sqrt(5);
  near([estimate, low, high], [0.24, 0.24 - half, 0.24 + half]);
  expect(pairedTest(a, b).p).toBeLessThan(0.05);
});
