import { describe, expect, test } from "vitest";
import { cumulativeTokenWeights, type Scored } from "../../src/credit/index.ts";
import { oreal, paper } from "../../src/papers/oreal.ts";
import { gradientOf } from "../../src/objectives/index.ts";
import { stream } from "../../src/statistics/index.ts";
import { needsReference } from "../../src/training/index.ts";
import { scored } from "../credit/fixtures.ts";
import { outputs } from "../objectives/cases.ts";
import { all, environment, small, tinyEngine, withEngine } from "../training/tiny.ts";

const start = { step: 0, phase: 0, inPhase: 0, signals: {} };
const context = { rng: stream(1, "credit"), at: start, progress: 0 };
const rounded = (x: ArrayLike<number>): number[] => Array.from(x, (v) => Math.round(v * 1e6) / 1e6 + 0);

/** Two tasks: one with a right and three wrong answers of different lengths, one that is answered all wrong. */
const table = (extra: Partial<Scored> = {}): Scored =>
  scored(
    [
      { reward: 1, mask: [1, 1, 1, 1] },
      { reward: 0, mask: [1, 1] },
      { reward: 0, mask: [1, 0, 1] },
      { reward: 0, mask: [1] },
      { reward: 0, group: 1 },
      { reward: 0, group: 1 },
    ],
    extra,
  );

test("the card's known answer: w = 2, 0, -1, 1 has the cumulative means 2, 1, 1/3, 1/2", () => {
  const { right, wrong } = cumulativeTokenWeights([2, 0, -1, 1], [1, 1, 1, 1]);
  expect(rounded(right)).toEqual([0.761594, 0.462117, 0.16514, 0.244919]);
  expect(rounded(wrong)).toEqual([0, 0, 0, 0]);
  // The weight of a right answer's token is (p - 1/2) / (1/2), where p is the sigmoid of the cumulative mean.
  const p = right.map((weight) => (1 + weight) / 2);
  expect(rounded(p)).toEqual([0.880797, 0.731059, 0.58257, 0.622459]);
  expect(rounded(p.map((x) => Math.log(x / (1 - x))))).toEqual([2, 1, 0.333333, 0.5]);
});

describe("credit", () => {
  test("right answers count 1, wrong ones their leave-one-out advantage on verdicts of 1 and -1; a task all wrong is dropped", () => {
    const made = oreal({ perTask: Infinity }).credit(table(), context)!;
    expect(made.tasks).toEqual(["task 0", "task 0", "task 0", "task 0"]);
    expect(rounded(made.token["advantage"]!)).toEqual(rounded([1, 1, 1, 1, -2 / 3, -2 / 3, -2 / 3, 0, -2 / 3, -2 / 3]));
    expect([...made.row["right"]!]).toEqual([1, 0, 0, 0]);
    const alike = oreal({ perTask: Infinity, wrongAdvantage: "constant" }).credit(table(), context)!;
    expect(rounded(alike.token["advantage"]!.slice(4))).toEqual([-1, -1, -1, 0, -1, -1]);
  });

  test("one right and one wrong answer a task, drawn at random; no task with both kinds: nothing to learn", () => {
    const drawn = new Set<number>();
    for (let i = 0; i < 50; i++) {
      const made = oreal().credit(table(), { ...context, rng: stream(i, "credit") })!;
      expect([...made.row["right"]!]).toEqual([1, 0]);
      drawn.add(made.offsets[2]! - made.offsets[1]!);
    }
    expect(drawn).toEqual(new Set([1, 2, 3]));
    expect(oreal().credit(scored([{ reward: 1 }, { reward: 1 }]), context)).toBeNull();
  });

  test("token weights: the cumulative mean of the scores, for right answers and for wrong ones", () => {
    const scores = [[2, 0, -1, 1], [-2, 0], [0, 9, 0], [1], [0, 0, 0], [0, 0, 0]].map((row) => Float32Array.from(row));
    const made = oreal({ perTask: Infinity, tokenWeights: "score" }).credit(table({ token: { score: scores } }), context)!;
    const third = -2 / 3;
    expect(rounded(made.token["advantage"]!)).toEqual(
      rounded([0.761594, 0.462117, 0.16514, 0.244919, third * 0.76159416, third * 0.46211716, 0, 0, 0, 0]),
    );
  });
});

test("the loss: clones over the right answers' tokens, half of the pushes over the wrong ones' tokens, k3 over all", () => {
  const method = oreal({ perTask: Infinity });
  const reference = [[-1, -1, -1, -1], [-1, -1], [-1, 0, -1], [-2], [-1, -1, -1], [-1, -1, -1]].map((row) => Float32Array.from(row));
  const made = method.credit(table({ token: { reference } }), context)!;
  const given = outputs({ logProbs: [[-1, -1, -1, -1], [-1, -1], [-1, 0, -1], [-1]] });
  const { loss, metrics, gradients } = gradientOf(method.objective, made, given);
  expect(metrics["right.loss"]).toBeCloseTo(1, 12);
  // Five unmasked tokens of wrong answers, each with -2/3 * -1, and minus in front.
  expect(metrics["wrong.loss"]).toBeCloseTo(-2 / 3, 6);
  // One token of nine is one nat above the reference: exp(-1) - 1 + 1.
  expect(metrics["kl.kl"]).toBeCloseTo(Math.exp(-1) / 9, 6);
  expect(loss).toBeCloseTo(1 - 1 / 3 + (0.01 * Math.exp(-1)) / 9, 6);
  const last = 0.5 * (2 / 3 / 5) + (0.01 * (1 - Math.exp(-1))) / 9;
  expect(gradients["logProbs"]!.map((row) => rounded(row))).toEqual([
    [-0.25, -0.25, -0.25, -0.25],
    [0.066667, 0.066667],
    [0.066667, 0, 0.066667],
    rounded([last]),
  ]);
});

test("the token reward model learns the verdict from the mean of an answer's scores; what is right begins at `accept`", () => {
  const scores = [[2, 0, -1, 1], [-2, 0], [0, 9, 0], [1], [0, 0, 0], [0, 0, 0]].map((row) => Float32Array.from(row));
  const graded = table({ token: { score: scores }, reward: Float64Array.of(0.8, 0.5, 0, 0, 0, 0) });
  const method = oreal({ perTask: Infinity, tokenWeights: "score", accept: 0.8, kl: 0 });
  const made = method.credit(graded, context)!;
  expect([...made.row["right"]!]).toEqual([1, 0, 0, 0]);
  const logProbs = [[-1, -1, -1, -1], [-1, -1], [-1, 0, -1], [-1]];
  const { metrics } = gradientOf(method.objective, made, outputs({ logProbs, score: scores.slice(0, 4).map((row) => [...row]) }));
  // Means 0.5 (right), -1, 0 and 1 (wrong).
  const loss = (mean: number, right: number): number => Math.log1p(Math.exp(right === 1 ? -mean : mean));
  expect(metrics["tokenReward.loss"]).toBeCloseTo((loss(0.5, 1) + loss(-1, 0) + loss(0, 0) + loss(1, 0)) / 4, 6);
});

test("only the token reward model learns in the first steps", () => {
  const { coefficients } = oreal({ tokenWeights: "score" });
  const at = (inPhase: number) =>
    Object.fromEntries(Object.entries(coefficients).map(([name, c]) => [name, typeof c === "number" ? c : c({ ...start, inPhase })]));
  expect(at(9)).toEqual({ "right.weight": 0, "wrong.weight": 0, "kl.weight": 0 });
  expect(at(10)).toEqual({ "right.weight": 1, "wrong.weight": 0.5, "kl.weight": 1 });
  expect(oreal().coefficients).toEqual({});
});

test("no divergence, no reference policy", () => {
  expect([needsReference(oreal()), needsReference(oreal({ kl: 0 }))]).toEqual([true, false]);
  expect(() => oreal({ epochs: 2 })).toThrow(/no importance ratio/);
});

test("the arms with one seed: wrong answers save steps, their reshaping some more, their sign decides; best-of-16 is the best policy", async () => {
  const { arms } = paper.claim;
  const steps = async (arm: string) => (await arms[arm]!(0))["steps"]!;
  const [own, right, constant] = [await steps("oreal"), await steps("rightOnly"), await steps("constantWrong")];
  expect(own).toBeLessThan(0.6 * right);
  expect(own).toBeLessThan(constant);
  expect(await steps("wrongSign")).toBe(400);
  const { gap, p } = await arms["bestOf16"]!(0);
  expect(gap).toBeLessThan(1e-12);
  expect(p).toBeGreaterThan(1e-3);
  expect((await arms["likeliestOf16"]!(0))["p"]).toBeLessThan(1e-6);
});

test("trains a language model, alone and with a token reward model on its score head", async () => {
  await withEngine(async (engine) => {
    const [first, second] = await all({ ...small, engine, method: oreal({ groupSize: 8 }), steps: 2 });
    expect(first!.gradientNorm).toBeGreaterThan(0);
    expect(second!.metrics["kl.kl"]).toBeGreaterThan(0);
  });
  const engine = await tinyEngine(environment, 1, { scoreHead: true });
  try {
    const method = oreal({ groupSize: 8, tokenWeights: "score", frozenSteps: 1, learningRate: 1e-2 });
    const reports = await all({ ...small, engine, method, steps: 3 });
    // The head starts at 0: no token counts, and the loss of the reward model is log 2.
    expect(reports[0]!.metrics["tokenReward.loss"]).toBeCloseTo(Math.log(2), 5);
    expect(reports[0]!.metrics["right.loss"]! + 0).toBe(0);
    expect(reports[2]!.metrics["right.loss"]).not.toBe(0);
    for (const report of reports) expect(report.gradientNorm).toBeGreaterThan(0);
  } finally {
    engine.dispose();
    engine.policy.dispose();
  }
  await withEngine((plain) =>
    expect(all({ ...small, engine: plain, method: oreal({ tokenWeights: "score" }), steps: 1 })).rejects.toThrow(/score/),
  );
});
