import { expect, test } from "vitest";
import { convention, groupAdvantage, pairs } from "../../src/credit/index.ts";
import type { PairOptions, Sets } from "../../src/credit/index.ts";
import {
  bandit,
  bradleyTerryPreferences,
  exploitability,
  geometricMean,
  optimalValue,
  preferences,
  prefixTree,
  regularisedEquilibrium,
  regularisedGap,
  regularisedValue,
  softOptimum,
  tilt,
  winRates,
} from "../../src/environments/index.ts";
import { bradleyTerry, gradientOf, listLoss, orpo, pairLoss, rrhf } from "../../src/objectives/index.ts";
import type { Objective } from "../../src/objectives/index.ts";
import { stream } from "../../src/statistics/index.ts";
import { scored } from "../credit/fixtures.ts";
import { outputs, pair, ragged } from "../objectives/cases.ts";
import { column, near, ofScores, one } from "./kit.ts";

/** The card's pair: log-probabilities -4 and -6, reference -5 and -5.5. */
const onPair = (objective: Objective, set: Readonly<Record<string, number>> = {}) =>
  gradientOf(
    objective,
    ragged({ mask: [[1], [1]], token: { reference: [[-5], [-5.5]] }, sets: pair(set) }),
    outputs({ logProbs: [[-4], [-6]] }),
  );
const list = (member: Readonly<Record<string, readonly number[]>>): Sets => ({
  size: 3,
  members: Int32Array.of(0, 1, 2),
  weight: Float32Array.of(1),
  member: Object.fromEntries(Object.entries(member).map(([name, x]) => [name, Float32Array.from(x)])),
  set: {},
});
const onList = (objective: Objective, logProbs: readonly number[]) =>
  gradientOf(
    objective,
    ragged({ mask: logProbs.map(() => [1]), sets: list({ rank: [0, 1, 2] }) }),
    outputs({ logProbs: logProbs.map((x) => [x]) }),
  );

test("S1 implicit rewards and the margin h", () => {
  const { metrics } = onPair(pairLoss("dpo", { beta: 0.5 }));
  near([metrics["chosen"]!, metrics["rejected"]!, metrics["margin"]! / 0.5], [0.5, -0.25, 1.5]);
});

test.each([
  ["dpo", { beta: 0.5 }, {}, 0.386871],
  ["dpo", { beta: 0.1 }, {}, 0.620957],
  ["dpo", { beta: 0.5, smoothing: 0.1 }, {}, 0.461871],
  ["dpo", { beta: 0.5, softLabels: true }, { label: 0.9 }, 0.461871],
  ["ipo", { beta: 0.5 }, {}, 0.25],
  ["ipo", { beta: 0.1 }, {}, 12.25],
  ["hinge", { beta: 0.5 }, {}, 0.25],
] as const)("S2 %s %o %o: %f", (kind, options, set, loss) => near(onPair(pairLoss(kind, options), set).loss, loss));

test("S2 the gradient of dpo to both log-probabilities", () => {
  const { gradients } = onPair(pairLoss("dpo", { beta: 0.5 }));
  near([gradients["logProbs"]![0]![0]!, gradients["logProbs"]![1]![0]!], [-0.160411, 0.160411]);
});

test("S3 Bradley-Terry: the loss is -log P(chosen is preferred), and preferences add up to 1", () => {
  const p = bradleyTerryPreferences([2, 0.5]);
  near(ofScores(bradleyTerry({ read: "last" }), [2, 0.5]).loss, -Math.log(p[0]![1]!), 12);
  near(p[0]![1]! + p[1]![0]!, 1, 15);
});

const [reference, reward] = [
  [0.5, 0.3, 0.2],
  [1, 2, 0],
];

test("S4 the Gibbs optimum and its value beta log Z", () => {
  const best = tilt(reference, reward, 0.5);
  near(best, [0.18223, 0.807905, 0.009865]);
  near([optimalValue(reference, reward, 0.5), regularisedValue(best, reference, reward, 0.5)], [1.504669, 1.504669]);
});

test("S5 a geometric mixture is softmax((1 - w) log a + w log b), and token by token it is another one than over sequences", () => {
  const w = 0.3;
  const b = [0.2, 0.2, 0.6];
  const logits = reference.map((p, i) => (1 - w) * Math.log(p) + w * Math.log(b[i]!));
  const total = logits.reduce((sum, x) => sum + Math.exp(x), 0);
  near(
    geometricMean(reference, b, w),
    logits.map((x) => Math.exp(x) / total),
    12,
  );
  // First tokens are equally likely; what follows the first one differs between the policies.
  const first = [0.5, 0.5];
  const [second, other] = [
    [0.9, 0.1],
    [0.1, 0.9],
  ];
  const sequences = geometricMean([...second.map((p) => 0.5 * p), 0.25, 0.25], [...other.map((p) => 0.5 * p), 0.25, 0.25], 0.5);
  const tokens = first[0]! * geometricMean(second, other, 0.5)[0]!;
  near([sequences[0]!, tokens], [0.1875, 0.25]);
});

test("S6 the mirror step: the new policy is proportional to base exp(score / eta)", () => {
  const [base, score, eta] = [[0.2, 0.8], [1, 0], 2];
  near(tilt(base, score, eta), [(0.2 * Math.exp(0.5)) / (0.2 * Math.exp(0.5) + 0.8), 0.8 / (0.2 * Math.exp(0.5) + 0.8)], 12);
});

test("S7 the game G3: win rates, exploitability, the regularised equilibrium and its gap of 0", () => {
  const game = preferences([
    [0.5, 0.9, 0.2],
    [0.1, 0.5, 0.8],
    [0.8, 0.2, 0.5],
  ]);
  const mu = [0.6, 0.3, 0.1];
  const equilibrium = regularisedEquilibrium({ game, reference: mu, tau: 0.1 });
  near(equilibrium, [0.492747, 0.154147, 0.353106]);
  near(regularisedGap({ game, reference: mu, tau: 0.1 }, equilibrium), 0, 12);
  near(winRates(game, [0.3, 0.3, 0.4]), [0.5, 0.5, 0.5], 12);
  near(exploitability(game, [0.3, 0.3, 0.4]), 0, 12);
});

test("S8 pairs from the scores 3, 1, 1, 0: each rule, ties skipped, length penalised", () => {
  const table = scored([3, 1, 1, 0].map((r) => ({ reward: r })));
  const found = (options: PairOptions): number[][] => {
    const { sets, rows } = pairs(table, options)!;
    const from = rows.map((row) => table.rollouts.findIndex((rollout) => rollout.row === row));
    return Array.from({ length: sets!.weight.length }, (_, s) => Array.from(sets!.members.subarray(2 * s, 2 * s + 2), (m) => from[m]!));
  };
  expect(found({ kind: "best-worst" })).toEqual([[0, 3]]);
  expect(found({ kind: "best-second" })).toEqual([[0, 1]]);
  const random = found({ kind: "best-random", rng: stream(0) });
  expect([random[0]![0], [1, 2, 3].includes(random[0]![1]!)]).toEqual([0, true]);
  expect(found({ kind: "margin", margin: 2 })).toEqual([
    [0, 1],
    [0, 2],
    [0, 3],
  ]);
  expect(found({ kind: "margin", margin: 0 })).toHaveLength(5);
  expect(pairs(scored([{ reward: 1 }, { reward: 1 }]), { kind: "best-worst" })).toBeNull();
  const long = scored([
    { reward: 2, mask: [1, 1, 1, 1, 1] },
    { reward: 1, mask: [1] },
  ]);
  near(pairs(long, { kind: "best-worst", lengthPenalty: 0.5 })!.sets!.member["score"]!, [0.5, -0.5]);
});

test("S10 ORPO at mean log-probabilities -.5 and -1.2", () => {
  const { loss, metrics } = gradientOf(
    orpo({ lambda: 0.1 }),
    ragged({ mask: [[1, 1], [1]], sets: pair() }),
    outputs({ logProbs: [[-0.25, -0.75], [-1.2]] }),
  );
  near([metrics["logOdds"]!, (loss - 0.5) / 0.1, loss], [1.27437, 0.246553, 0.524655], 5);
});

test("S11 RRHF", () => {
  const { loss, metrics } = onList(rrhf({ imitation: 1 }), [-1, -0.6, -1.5]);
  near([metrics["misranked"]!, loss], [0.4, 1.4]);
});

test("S12 Plackett-Luce", () => near(onList(listLoss("plackett-luce", { beta: 1, against: "none" }), [1, 0, -1]).loss, 0.720868));

test("S13 group advantage of 2, 1, 1, 0 with epsilon 1e-4", () => {
  const rewards = column(2, 1, 1, 0);
  near(groupAdvantage(rewards, one(rewards), { scale: { ddof: 0, epsilon: 1e-4 } }), [1.414014, 0, 0, -1.414014]);
  near(groupAdvantage(rewards, one(rewards), convention("trl")), [1.224595, 0, 0, -1.224595]);
});

test("S14 soft Bellman: log-ratios are Q - V, and along a walk they add up to its reward less V of the start", () => {
  const process = prefixTree({ length: 3, symbols: 2 });
  const rewardOf = (s: number, a: number): number => Math.sin(3 * s + 5 * a);
  const [p, beta] = [[0.3, 0.7], 0.5];
  const { q, v, policy } = softOptimum(process, () => p, rewardOf, beta);
  const rng = stream(0, "walks");
  for (let n = 0; n < 8; n++) {
    let [state, ratios, total] = [process.start(0), 0, 0];
    for (let t = 0; state >= 0; t++) {
      const a = rng() < 0.5 ? 0 : 1;
      const ratio = beta * Math.log(policy[t]![state * 2 + a]! / p[a]!);
      near(ratio, q[t]![state * 2 + a]! - v[t]![state]!, 12);
      ratios += ratio;
      total += rewardOf(state, a);
      state = process.next(state, a, rng);
    }
    near(ratios, total - v[0]![process.start(0)]!, 12);
  }
  const one = softOptimum(
    bandit({ tasks: 1, actions: 3 }),
    () => reference,
    (_, a) => reward[a]!,
    beta,
  );
  near(one.value, 1.504669);
});

test("S17 INPO is ipo with beta = eta against the mixture: h = 1.58, loss .3364", () => {
  const mixed = (fixed: number, previous: number): number => 0.2 * fixed + 0.8 * previous; // tau / eta = .1 / .5
  const anchored = ragged({ mask: [[1], [1]], row: { anchor: [mixed(-5, -4.8), mixed(-5.5, -5.2)] }, sets: pair() });
  const { loss, metrics } = gradientOf(pairLoss("ipo", { beta: 0.5, against: "anchor" }), anchored, outputs({ logProbs: [[-4], [-6]] }));
  near([metrics["margin"]! / 0.5, loss], [1.58, 0.3364], 5);
});
