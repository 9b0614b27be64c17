import { describe, expect, test } from "vitest";
import { demonstrations, withSource } from "../../src/credit/index.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { bandit, contest, rareAnswer, regret } from "../../src/environments/toy/index.ts";
import { gradientOf } from "../../src/objectives/index.ts";
import { paper, xpo, type XpoOptions } from "../../src/papers/xpo.ts";
import { stream } from "../../src/statistics/index.ts";
import { preferenceRounds } from "../../src/training/index.ts";
import { describeMethod, needsReference } from "../../src/training/method.ts";
import { scored } from "../credit/fixtures.ts";

/** A chosen answer of log-probability -4 against a rejected one of -6, whose references are -5 and -5.5; the rejected one is the reference's. */
const pair = {
  ...demonstrations([
    { states: Int32Array.of(0), actions: Int32Array.of(0) },
    { states: Int32Array.of(0), actions: Int32Array.of(1) },
  ]),
  token: { reference: Float32Array.of(-5, -5.5) },
  row: { explored: Float32Array.of(0, 1) },
  sets: { size: 2, members: Int32Array.of(0, 1), weight: Float32Array.of(1), member: {}, set: {} },
};
const logProbs = { logProbs: [Float32Array.of(-4), Float32Array.of(-6)] };

test("the card's known answer: DPO plus alpha times the log-probability of the reference's answer", () => {
  const { loss, gradients } = gradientOf(xpo({ alpha: 0.01, beta: 0.5 }).objective, pair, logProbs);
  expect(loss).toBeCloseTo(0.326871, 6);
  // Of DPO: -0.160411 and the opposite; optimism adds alpha to the reference's answer alone, so a minimiser lowers it.
  expect(gradients["logProbs"]![0]![0]).toBeCloseTo(-0.160411, 6);
  expect(gradients["logProbs"]![1]![0]).toBeCloseTo(0.160411 + 0.01, 6);
  expect(gradientOf(xpo({ alpha: 0, beta: 0.5 }).objective, pair, logProbs).loss).toBeCloseTo(0.386871, 6);
});

test("optimism is about whole answers: each token's log-probability counts in full", () => {
  const two = (a: number, b: number) => Float32Array.of(a, b);
  const longer = {
    ...pair,
    ...demonstrations(pair.rows, { actions: () => 2 }),
    token: { reference: Float32Array.of(-2, -3, -2.5, -3) },
    row: pair.row,
  };
  const { gradients } = gradientOf(xpo({ alpha: 0.01, beta: 0.5 }).objective, longer, { logProbs: [two(-2, -2), two(-3, -3)] });
  for (const up of gradients["logProbs"]![1]!) expect(up).toBeCloseTo(0.160411 + 0.01, 6);
});

test("pairs are of a policy's answer and a reference's; of the reference's answers all are made less likely, paired or not", () => {
  const source = Int32Array.of(0, 0, 1, 1);
  const group = new Int32Array(4);
  const table = scored([{ reward: 1 }, { reward: 0 }, { reward: 0.5 }, { reward: 1 }], { keys: { group, task: group, source } });
  const at = { step: 0, phase: 0, inPhase: 0, signals: {} };
  const made = (options: XpoOptions) => xpo(options).credit(table, { rng: stream(1, "credit"), at, progress: 0 })!;
  // 0 against 2, 2 against 1, 3 against 1; 0 and 3 are equally good, and 2 against 3 are both the reference's.
  const all = made({ perTask: 9 });
  expect(new Set([0, 1, 2].map((s) => all.sets!.members.slice(2 * s, 2 * s + 2).join(" ")))).toEqual(new Set(["0 2", "2 1", "3 1"]));
  expect([...all.row["explored"]!]).toEqual([0, 0, 1, 1]);
  const one = made({ perTask: 1 });
  expect(one.sets!.weight).toHaveLength(1);
  expect([...one.row["explored"]!]).toEqual([0, 0, 1, 1]);
});

test("a reference's answers are those that another engine drew", () => {
  const table = scored([{ reward: 1 }, { reward: 0, sampling: { engine: "engine 2" } }]);
  expect([...withSource(table, { id: "engine 1" }).keys["source"]!]).toEqual([0, 1]);
});

test("alpha can follow a schedule", () => {
  const { objective } = xpo({ alpha: 0.01, beta: 0.5 });
  expect(gradientOf(objective, pair, logProbs, { "optimism.weight": -0.1 }).loss).toBeCloseTo(0.386871 - 0.6, 6);
});

test("the method asks the reference and says what it does", () => {
  const method = paper.method!({ environment: undefined as never });
  expect(needsReference(method)).toBe(true);
  expect(describeMethod(method)).toMatchObject({ name: "XPO", groupSize: 8, referenceAnswers: 8, settings: { alpha: 1e-5, beta: 0.1 } });
});

describe("the arms at a small size", () => {
  const measure = (arm: string, seed: number) => Promise.resolve(paper.claim.arms[arm]!(seed)) as Promise<Record<string, number>>;

  test("XPO finds the answer, and its log-ratios stay within the bound", async () => {
    const { solved, implicit } = await measure("xpo", 0);
    expect(solved).toBe(1);
    expect(implicit).toBeLessThanOrEqual(4);
  });

  test("online DPO never sees it; too much optimism gives every answer the same", async () => {
    expect((await measure("onlineDpo", 0))["labels"]).toBe(328);
    expect((await measure("plainGradient", 0))["labels"]).toBe(328);
    expect((await measure("tooOptimistic", 0))["regret"]).toBeGreaterThan(1);
    expect((await measure("unbounded", 0))["implicit"]).toBeGreaterThan(8);
  });

  test("the other sign never arrives", async () => {
    const { game, reference, reward } = rareAnswer(stream(0, "rewards"));
    const engine = softmaxEngine(bandit({ tasks: 1, actions: 6 }), { base: (_, a) => Math.log(reference[a]!), gain: 1 / 0.3 });
    const method = xpo({ alpha: -0.03, beta: 0.3, groupSize: 1, referenceAnswers: 1, learningRate: 0.1 });
    const run = preferenceRounds({ engine, method, ...contest(game, 8), rounds: 12, updates: 40, keep: "all", seed: 0 });
    let pairs = 0;
    for await (const { examples } of run) pairs = examples!.sets!.weight.reduce((a, b) => a + b);
    expect(pairs).toBe(96);
    expect(regret(engine.probs(0), reference, reward, 0.3)).toBeGreaterThan(0.9 * regret(reference, reference, reward, 0.3));
  });
});
