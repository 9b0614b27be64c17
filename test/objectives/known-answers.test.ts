import { describe, expect, test } from "vitest";
import { host, values } from "../../src/arrays/index.ts";
import {
  aggregate,
  bradleyTerry,
  clippedSurrogate,
  combine,
  entropyBonus,
  gradientOf,
  klPenalty,
  listLoss,
  onRows,
  pairLoss,
  raft,
  rowLast,
  rowMean,
  rowMeanOf,
  rowSum,
  scoreFunction,
  setMean,
  sft,
  tokenMean,
  valueLoss,
} from "../../src/objectives/index.ts";
import type { ClippedSurrogateOptions, Objective } from "../../src/objectives/index.ts";
import type { Sets } from "../../src/credit/index.ts";
import { outputs, pair, ragged } from "./cases.ts";

const tokenMeans = { aggregation: "token-mean", divisor: null } as const;
const rowMeans = { aggregation: "row-mean", divisor: null } as const;
const rounded = (x: ArrayLike<number>, digits: number): number[] => Array.from(x, (v) => Math.round(v * 10 ** digits) / 10 ** digits + 0);

describe("reductions of [[1, 2, 3], [10, _, _]] with weights 1 and 2", () => {
  const x = host([1, 2, 3, 10, 99, 99], [2, 3]);
  const batch = { mask: host([1, 1, 1, 1, 0, 0], [2, 3]), weight: host([1, 2], [2]) };
  const value = (a: ReturnType<typeof host>): number[] => [...values(a)];

  test("tokens and rows", () => {
    expect(value(tokenMean(x, batch))).toEqual([26 / 5]);
    expect(value(tokenMean(x, batch, 13))).toEqual([2]);
    expect(value(rowSum(x, batch))).toEqual([6, 10]);
    expect(value(rowMeanOf(x, batch))).toEqual([2, 10]);
    expect(value(rowLast(x, batch))).toEqual([3, 10]);
    expect(value(rowMean(host([2, 10], [2]), batch))).toEqual([22 / 3]);
    expect(value(setMean(host([1, 4], [2]), { sets: { weight: host([3, 1], [2]) } }))).toEqual([7 / 4]);
  });

  test("the last unmasked cell need not be the last cell, nor the first masked one the end", () => {
    const mask = host([1, 0, 1, 0, 1, 0], [2, 3]);
    expect(value(rowLast(x, { mask, weight: batch.weight }))).toEqual([3, 99]);
  });

  test("named aggregations differ by how much the long row counts", () => {
    const one = { ...batch, weight: host([1, 1], [2]) };
    expect(value(aggregate(x, one, tokenMeans))).toEqual([16 / 4]);
    expect(value(aggregate(x, one, { aggregation: "token-mean", divisor: 8 }))).toEqual([2]);
    expect(value(aggregate(x, one, rowMeans))).toEqual([(2 + 10) / 2]);
    expect(value(aggregate(x, one, { aggregation: "row-sum", divisor: null }))).toEqual([(6 + 10) / 2]);
    expect(value(aggregate(x, one, { aggregation: "row-sum", divisor: 4 }))).toEqual([(6 + 10) / 8]);
    expect(() => aggregate(x, one, { aggregation: "row-mean", divisor: 4 })).toThrow(/its own length/);
    expect(() => aggregate(x, one, { aggregation: "row-sum", divisor: 0 })).toThrow(/divisor/);
    expect(() => aggregate(x, one, { aggregation: "mean" as "row-mean", divisor: null })).toThrow(/"mean"/);
  });
});

describe("clipped surrogate", () => {
  /** One row of one token with a given ratio and advantage. */
  const at = (ratio: number, advantage: number, options: Partial<ClippedSurrogateOptions> = {}) => {
    const objective = clippedSurrogate({ low: 0.2, high: 0.28, ...tokenMeans, ...options });
    const examples = ragged({ mask: [[1]], token: { advantage: [[advantage]], behaviour: [[-1]], old: [[-1]], correction: [[0.5]] } });
    const { loss, gradients, metrics } = gradientOf(objective, examples, outputs({ logProbs: [[-1 + Math.log(ratio)]] }));
    return { loss, gradient: gradients["logProbs"]![0]![0]!, metrics };
  };

  test.each([
    // ratio, advantage, loss, gradient, clipped low, clipped high
    [1, 1, -1, -1, 0, 0],
    [1.1, 1, -1.1, -1.1, 0, 0],
    [1.5, 1, -1.28, 0, 0, 1],
    [1.5, -1, 1.5, 1.5, 0, 0],
    [0.5, -1, 0.8, 0, 1, 0],
    [0.5, 2, -1, -1, 0, 0],
    [1.5, 0, 0, 0, 0, 0],
  ])("ratio %f, advantage %f: loss %f, gradient %f", (ratio, advantage, loss, gradient, low, high) => {
    const got = at(ratio, advantage);
    expect(got.loss).toBeCloseTo(loss, 6);
    expect(got.gradient).toBeCloseTo(gradient, 6);
    expect(got.metrics).toMatchObject({ clipLow: low, clipHigh: high });
    expect(got.metrics["ratio"]).toBeCloseTo(ratio, 6);
    expect(got.metrics["approximateKl"]).toBeCloseTo(ratio - 1 - Math.log(ratio), 6);
  });

  test("on-policy it has the gradient of the score function", () => {
    const examples = ragged({ mask: [[1, 1], [1]], token: { advantage: [[1, 1], [-0.5]], behaviour: [[-1, -2], [-3]] } });
    const given = outputs({ logProbs: [[-1, -2], [-3]] });
    const clipped = gradientOf(clippedSurrogate({ low: 0.2, high: 0.2, ...rowMeans }), examples, given);
    expect(clipped.gradients).toEqual(gradientOf(scoreFunction(rowMeans), examples, given).gradients);
    expect([...clipped.gradients["logProbs"]![0]!]).toEqual([-0.25, -0.25]);
    expect([...clipped.gradients["logProbs"]![1]!]).toEqual([0.25]);
  });

  test("dual clip bounds the loss of a bad action that has become likely", () => {
    expect(at(5, -1).loss).toBeCloseTo(5, 5);
    expect(at(5, -1, { dualClip: 3 })).toMatchObject({ loss: 3, gradient: 0 });
    expect(at(5, -1, { dualClip: 3 }).metrics["clipDual"]).toBe(1);
    expect(at(2, -1, { dualClip: 3 }).loss).toBeCloseTo(2, 6);
    expect(at(5, 1, { dualClip: 3 }).loss).toBeCloseTo(-1.28, 6);
  });

  test("old in place of behaviour, and correction weights that leave the divisor alone", () => {
    expect(at(1.1, 1, { against: "old" }).loss).toBeCloseTo(-1.1, 6);
    expect(at(1.1, 1, { correction: true }).loss).toBeCloseTo(-0.55, 6);
  });

  test("sequence ratio: log-ratios [.1, -.2, .4] give 1.105171, one number a row (GSPO)", () => {
    const examples = ragged({ mask: [[1, 1, 1, 0]], token: { advantage: [[2, 2, 2, 0]], behaviour: [[-1, -1, -1, 0]] } });
    const given = outputs({ logProbs: [[-0.9, -1.2, -0.6, 0]] });
    const inside = gradientOf(clippedSurrogate({ low: 0.2, high: 0.2, ratio: "sequence", ...rowMeans }), examples, given);
    expect(inside.metrics["ratio"]).toBeCloseTo(1.105171, 6);
    expect(inside.loss).toBeCloseTo(-2 * 1.105171, 5);
    expect(rounded(inside.gradients["logProbs"]![0]!, 5)).toEqual([-0.73678, -0.73678, -0.73678, 0]);
    const outside = gradientOf(clippedSurrogate({ low: 3e-4, high: 4e-4, ratio: "sequence", ...rowMeans }), examples, given);
    expect(outside.loss).toBeCloseTo(-2 * 1.0004, 5);
    expect([...outside.gradients["logProbs"]![0]!]).toEqual([0, 0, 0, 0]);
    expect(outside.metrics["clipHigh"]).toBe(1);
  });

  test("geometric mean: each token is clipped in log space before the mean (GMPO)", () => {
    const token = (advantage: number) => ({ advantage: [[advantage, advantage, advantage]], behaviour: [[-1, -1, -1]] });
    const given = outputs({ logProbs: [[-0.9, -1.5, -0.4]] }); // log-ratios .1, -.5, .6
    const objective = clippedSurrogate({ low: 0.4, high: 0.4, ratio: "geometric mean", ...rowMeans });
    const good = gradientOf(objective, ragged({ mask: [[1, 1, 1]], token: token(1) }), given);
    expect(good.loss).toBeCloseTo(-Math.exp((0.1 - 0.5 + 0.4) / 3), 6);
    expect(rounded(good.gradients["logProbs"]![0]!, 6)).toEqual([-0.333333, -0.333333, 0]);
    const bad = gradientOf(objective, ragged({ mask: [[1, 1, 1]], token: token(-1) }), given);
    expect(bad.loss).toBeCloseTo(Math.exp((0.1 - 0.4 + 0.6) / 3), 6);
    expect(bad.metrics["clipLow"]).toBeCloseTo(1 / 3, 9);
  });

  test("options out of range are refused", () => {
    expect(() => clippedSurrogate({ low: -0.1, high: 0.2, ...tokenMeans })).toThrow(/low and high/);
    expect(() => clippedSurrogate({ low: 0.2, high: 0.2, dualClip: 1, ...tokenMeans })).toThrow(/dualClip/);
  });
});

describe("distance from the reference, entropy, imitation, values", () => {
  const examples = ragged({ mask: [[1, 1]], token: { reference: [[-1, -1]], return: [[1, 0]], value: [[0.5, 0.5]] } });
  test.each([
    // d = logProbs - reference = 0.5, -0.25
    ["k1", 0.125, [0.5, 0.5]],
    ["k2", (0.125 + 0.03125) / 2, [0.25, -0.125]],
    ["k3", (Math.exp(-0.5) - 0.5 + (Math.exp(0.25) - 1.25)) / 2, [(1 - Math.exp(-0.5)) / 2, (1 - Math.exp(0.25)) / 2]],
  ] as const)("%s", (estimator, kl, gradient) => {
    const got = gradientOf(klPenalty({ estimator, coefficient: 2, ...tokenMeans }), examples, outputs({ logProbs: [[-0.5, -1.25]] }));
    expect(got.metrics["kl"]).toBeCloseTo(kl, 7);
    expect(got.loss).toBeCloseTo(2 * kl, 7);
    expect(rounded(got.gradients["logProbs"]![0]!, 6)).toEqual(
      rounded(
        gradient.map((g) => 2 * g),
        6,
      ),
    );
  });

  test("entropy bonus: mean over responses of the token mean", () => {
    const two = ragged({ mask: [[1, 1], [1]] });
    const got = gradientOf(entropyBonus({ coefficient: 0.1, ...rowMeans }), two, outputs({ entropy: [[1, 2], [0.5]] }));
    expect(got.metrics["entropy"]).toBe(1);
    expect(got.loss).toBeCloseTo(-0.1, 12);
    expect(Object.keys(got.gradients)).toEqual(["entropy"]);
  });

  test("sft and raft: mean negative log-probability", () => {
    for (const objective of [sft(tokenMeans), raft(tokenMeans)]) {
      const got = gradientOf(objective, ragged({ mask: [[1, 0, 1]] }), outputs({ logProbs: [[-1, -9, -3]] }));
      expect(got.loss).toBe(2);
      expect([...got.gradients["logProbs"]![0]!]).toEqual([-0.5, 0, -0.5]);
    }
  });

  test("value loss: the larger of the free and the held error", () => {
    const given = outputs({ value: [[0.9, 0.4]] }); // held within .2 of .5: .7 and .4
    expect(gradientOf(valueLoss({ clip: null, ...tokenMeans }), examples, given).loss).toBeCloseTo((0.01 + 0.16) / 4, 7);
    const held = gradientOf(valueLoss({ clip: 0.2, ...tokenMeans }), examples, given);
    expect(held.loss).toBeCloseTo((0.09 + 0.16) / 4, 7);
    expect(rounded(held.gradients["value"]![0]!, 6)).toEqual([0, 0.2]);
    expect(held.metrics["clipped"]).toBe(0.5);
    // Further from the return than it would be if held: then the free error counts, 0.7^2 against 0.3^2.
    const away = gradientOf(valueLoss({ clip: 0.2, ...tokenMeans }), examples, outputs({ value: [[0.3, 0.7]] }));
    const further = gradientOf(valueLoss({ clip: 0.2, ...tokenMeans }), examples, outputs({ value: [[-0.5, 0.9]] }));
    expect(away.loss).toBeCloseTo((0.49 + 0.49) / 4, 7);
    expect(further.loss).toBeCloseTo((2.25 + 0.81) / 4, 7);
  });
});

describe("pair losses at logp -4 and -6, reference -5 and -5.5: h = 1.5", () => {
  const given = outputs({ logProbs: [[-1, -3], [-6]] });
  const at = (objective: Objective, set: Record<string, number> = {}) =>
    gradientOf(objective, ragged({ mask: [[1, 1], [1]], token: { reference: [[-2, -3], [-5.5]] }, sets: pair(set) }), given);

  test("gradient of dpo to the chosen log-probability", () => {
    const { gradients, metrics } = at(pairLoss("dpo", { beta: 0.5 }));
    expect(rounded(gradients["logProbs"]![0]!, 6)).toEqual([-0.160411, -0.160411]);
    expect(rounded(gradients["logProbs"]![1]!, 6)).toEqual([0.160411]);
    expect(metrics).toEqual({ margin: 0.75, accuracy: 1, chosen: 0.5, rejected: -0.25 });
  });

  test("a soft label of 0.9 is smoothing of 0.1, and a label of 0 turns the pair round", () => {
    const soft = pairLoss("dpo", { beta: 0.5, softLabels: true });
    expect(at(soft, { label: 0.9 }).loss).toBeCloseTo(0.461871, 6);
    expect(at(soft, { label: 0 }).loss).toBeCloseTo(0.386871 + 0.75, 6);
  });

  test("a margin is taken off h", () => {
    expect(at(pairLoss("ipo", { beta: 0.5, margin: true }), { margin: 0.25 }).loss).toBeCloseTo(0.0625, 9);
  });

  test("bradley-terry on scores 2 and .5", () => {
    const examples = ragged({ mask: [[1, 1], [1]], sets: pair({ margin: 0.5 }) });
    const scores = outputs({ score: [[7, 2], [0.5]] });
    expect(gradientOf(bradleyTerry({ read: "last" }), examples, scores).loss).toBeCloseTo(Math.log1p(Math.exp(-1.5)), 12);
    expect(gradientOf(bradleyTerry({ read: "sum" }), examples, scores).loss).toBeCloseTo(Math.log1p(Math.exp(-8.5)), 12);
    expect(gradientOf(bradleyTerry({ read: "mean" }), examples, scores).loss).toBeCloseTo(Math.log1p(Math.exp(-4)), 12);
    const got = gradientOf(bradleyTerry({ read: "last", margin: true }), examples, scores);
    expect(got.loss).toBeCloseTo(Math.log1p(Math.exp(-1)), 12);
    expect([...got.gradients["score"]![0]!][0]).toBe(0);
  });

  test("options out of range are refused", () => {
    expect(() => pairLoss("dpo", { beta: 0 })).toThrow(/beta/);
    expect(() => pairLoss("dpo", { beta: 1, smoothing: 0.5 })).toThrow(/smoothing/);
    expect(() => pairLoss("dpo", { beta: 1, smoothing: 0.1, softLabels: true })).toThrow(/soft labels/);
  });
});

describe("list losses", () => {
  const list = (member: Record<string, number[]>, members = [0, 1, 2]): Sets => ({
    size: members.length,
    members: Int32Array.from(members),
    weight: Float32Array.of(1),
    member: Object.fromEntries(Object.entries(member).map(([name, x]) => [name, Float32Array.from(x)])),
    set: {},
  });
  const rows = (x: number[]) => outputs({ logProbs: x.map((v) => [v]) });
  const mask = [[1], [1], [1]];

  test("ADPO: l = [-1, -2, -3], a = [-1.5, -1.5, -2.5], tau = .5, q = [.7, .2, .1]", () => {
    const examples = ragged({ mask, token: { reference: [[-1.5], [-1.5], [-2.5]] }, sets: list({ target: [0.7, 0.2, 0.1] }) });
    const { loss, metrics, gradients } = gradientOf(listLoss("cross-entropy", { beta: 2 }), examples, rows([-1, -2, -3]));
    const entropy = -(0.7 * Math.log(0.7) + 0.2 * Math.log(0.2) + 0.1 * Math.log(0.1));
    expect(metrics["kl"]).toBeCloseTo(0.037726, 6);
    expect(loss).toBeCloseTo(0.037726 + entropy, 6);
    expect(
      rounded(
        gradients["logProbs"]!.map((g) => g[0]!),
        5,
      ),
    ).toEqual([0.17397, -0.18699, 0.01301]);
  });

  test("a list of two with target (1, 0) is dpo", () => {
    const token = { reference: [[-5], [-5.5]] };
    const asPair = gradientOf(pairLoss("dpo", { beta: 0.5 }), ragged({ mask: [[1], [1]], token, sets: pair() }), rows([-4, -6]));
    for (const sets of [list({ target: [1, 0] }, [0, 1]), list({ target: [1, 0, 0] }, [0, 1, -1])]) {
      const asList = gradientOf(listLoss("cross-entropy", { beta: 0.5 }), ragged({ mask: [[1], [1]], token, sets }), rows([-4, -6]));
      expect(asList.loss).toBeCloseTo(asPair.loss, 12);
      for (const [i, gradient] of asList.gradients["logProbs"]!.entries())
        expect(gradient[0]).toBeCloseTo(asPair.gradients["logProbs"]![i]![0]!, 7);
    }
  });

  test("plackett-luce: u = [1, 0, -1] in that order gives 0.720868; an empty place adds nothing", () => {
    const objective = listLoss("plackett-luce", { beta: 1, against: "none" });
    const at = (sets: Sets, x: number[]): number => gradientOf(objective, ragged({ mask, sets }), rows(x)).loss;
    expect(at(list({ rank: [0, 1, 2] }), [1, 0, -1])).toBeCloseTo(0.720868, 6);
    expect(at(list({ rank: [2, 0, 1] }), [-1, 1, 0])).toBeCloseTo(0.720868, 6);
    expect(at(list({ rank: [0, 1, 2, 0] }, [0, 1, 2, -1]), [1, 0, -1])).toBeCloseTo(0.720868, 6);
    // Ties stand in each other's denominators: two equal members cost log 2 each.
    expect(at(list({ rank: [0, 0] }, [0, 1]), [0.5, 0.5, 0])).toBeCloseTo(2 * Math.log(2), 12);
  });
});

describe("combine", () => {
  const pg = clippedSurrogate({ low: 0.2, high: 0.2, ...tokenMeans });
  const kl = klPenalty({ estimator: "k3", coefficient: 0.1, ...tokenMeans });
  const examples = ragged({ mask: [[1, 1]], token: { advantage: [[1, -1]], behaviour: [[-1, -2]], reference: [[-1.5, -1]] } });
  const given = outputs({ logProbs: [[-0.5, -2.5]] });

  test("is the weighted sum of loss and gradient; names are prefixed", () => {
    const [a, b] = [pg, kl].map((o) => gradientOf(o, examples, given));
    const both = gradientOf(combine({ pg, kl }, { kl: 3 }), examples, given);
    expect(both.loss).toBeCloseTo(a!.loss + 3 * b!.loss, 12);
    expect(both.gradients["logProbs"]![0]![0]).toBeCloseTo(a!.gradients["logProbs"]![0]![0]! + 3 * b!.gradients["logProbs"]![0]![0]!, 6);
    expect(both.metrics["pg.loss"]).toBeCloseTo(a!.loss, 12);
    expect(both.metrics["kl.kl"]).toBeCloseTo(b!.metrics["kl"]!, 12);
    expect(combine({ pg, kl }, { kl: 3 }).coefficients).toEqual({
      "pg.weight": 1,
      "pg.low": 0.2,
      "pg.high": 0.2,
      "kl.weight": 3,
      "kl.coefficient": 0.1,
    });
  });

  test("coefficients can be overridden, one level down too", () => {
    const nested = combine({ all: combine({ pg, kl }) });
    const off = gradientOf(nested, examples, given, { "all.kl.weight": 0 });
    expect(off.loss).toBeCloseTo(gradientOf(pg, examples, given).loss, 12);
  });

  test("no parts, unknown weights and clashing set sizes are refused", () => {
    expect(() => combine({})).toThrow(/at least one/);
    expect(() => combine({ pg }, { kl: 1 })).toThrow(/no part "kl" to weigh; it has pg/);
    const three = { ...pairLoss("dpo", { beta: 1 }) };
    expect(() => combine({ a: three, b: { ...three, needs: { ...three.needs, setSize: 3 } } })).toThrow(/different sizes \(2, 3\)/);
  });
});

describe("an objective on a part of the rows", () => {
  const made = (right: number[]) =>
    ragged({ mask: [[1, 1], [1], [1]], token: { advantage: [[1, 3], [5], [-4]] }, row: { right, wrong: right.map((r) => 1 - r) } });
  const given = outputs({ logProbs: [[-1, -1], [-2], [-3]] });
  const part = (column: string) => onRows(column, scoreFunction(tokenMeans));

  test("each part is a mean over its own tokens", () => {
    const examples = made([1, 1, 0]);
    // -(1 * -1 + 3 * -1 + 5 * -2) / 3 and -(-4 * -3) / 1
    expect(gradientOf(part("right"), examples, given).loss).toBeCloseTo(14 / 3, 12);
    expect(gradientOf(part("wrong"), examples, given).loss).toBeCloseTo(-12, 12);
    const both = gradientOf(combine({ right: part("right"), wrong: part("wrong") }, { wrong: 0.5 }), examples, given);
    expect(both.loss).toBeCloseTo(14 / 3 - 6, 12);
    expect(both.gradients["logProbs"]!.map((row) => rounded(row, 4))).toEqual([[-0.3333, -1], [-1.6667], [2]]);
  });

  test("where no row counts, loss and gradient are 0", () => {
    const none = gradientOf(part("right"), made([0, 0, 0]), given);
    expect(none.loss + 0).toBe(0);
    expect(none.gradients["logProbs"]!.flatMap((row) => [...row].map((g) => g + 0))).toEqual([0, 0, 0, 0]);
    expect(() => onRows("right", pairLoss("dpo", { beta: 0.1 }))).toThrow(/is on sets/);
  });
});
