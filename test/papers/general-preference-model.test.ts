import { describe, expect, test } from "vitest";
import { softmaxEngine } from "../../src/engines/index.ts";
import { bandit, exercise } from "../../src/environments/toy/index.ts";
import { generalPreferenceModel, generalPreferenceOptimisation, paper } from "../../src/papers/general-preference-model.ts";
import { lead, readRow, skewScore } from "../../src/rewards/index.ts";
import { stream } from "../../src/statistics/index.ts";
import { describeMethod, practise } from "../../src/training/index.ts";
import { scored } from "../credit/fixtures.ts";
import { all, environment, small, withEngine } from "../training/tiny.ts";

describe("the card's known answers", () => {
  const [v, w] = [
    [1, 2, 0.3, -0.4],
    [0.5, -1, 0.2, 0.7],
  ] as const;

  test("scores are skew-symmetric", () => {
    expect(skewScore([1, 2], [0.5, -1])).toBe(-2);
    expect(skewScore(v, w)).toBeCloseTo(-1.71, 12);
    expect(skewScore(w, v)).toBeCloseTo(1.71, 12);
    expect(skewScore(v, v)).toBe(0);
    expect(1 / (1 + Math.exp(1.71))).toBeCloseTo(0.1531637, 7);
  });

  test("three unit vectors a third of a turn apart beat each other in a ring", () => {
    const around = [0, 120, 240].map((degrees) => [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)]);
    for (let i = 0; i < 3; i++) expect(skewScore(around[i]!, around[(i + 1) % 3]!)).toBeCloseTo(0.8660254, 7);
  });

  test("a constant second number makes it Bradley-Terry; the temperature divides", () => {
    const { reading } = generalPreferenceModel({ size: 2, temperature: 0.1 });
    const read = (r: number) => readRow(reading, { outputs: { "score.0": [r], "score.1": [1] }, mask: [1] }).numbers;
    expect(lead(reading, read(1.2), read(0.5))).toBeCloseTo(7, 12);
  });
});

test("GPO on a bandit: one update is a step towards pi exp(score / beta), and more epochs arrive there", async () => {
  const worth = [0.2, 0, -0.2];
  const process = bandit({ tasks: 1, actions: 3 });
  const policy = softmaxEngine(process, { optimizer: "sgd" });
  const method = generalPreferenceOptimisation({ beta: 0.5, groupSize: 600, epochs: 100, learningRate: 1 });
  const task = exercise(process, ({ actions }) => worth[actions[0]!]!);
  for await (const { drawn } of practise({ engine: policy, environment: task, method, steps: 1, seed: 0, optimizer: { clipNorm: 1e9 } }))
    expect(drawn).toBe(600);
  const log = [...policy.probs(0)].map(Math.log);
  // The mirror step, but for its normaliser: differences of log-probabilities are differences of worth over beta.
  expect(log[0]! - log[1]!).toBeCloseTo(0.4, 1);
  expect(log[1]! - log[2]!).toBeCloseTo(0.4, 1);
});

test("GPO: the score of an answer is its lead over its group, as a group's mean preference has it already", () => {
  const table = scored([{ reward: 1 }, { reward: 0 }, { reward: 3, group: 1 }, { reward: 1, group: 1 }]);
  const at = { step: 0, phase: 0, inPhase: 0, signals: {} };
  const { row } = generalPreferenceOptimisation().credit(table, { rng: stream(1, "credit"), at, progress: 0 })!;
  expect([...row["score"]!]).toEqual([0.5, -0.5, 1, -1]);
});

test("GPO trains a language model", () =>
  withEngine(async (engine) => {
    const method = paper.method!({ environment });
    expect(describeMethod(method)["settings"]).toMatchObject({ beta: 1, against: "behaviour" });
    for (const report of await all({ ...small, engine, method, steps: 2 })) expect(report.gradientNorm).toBeGreaterThan(0);
  }));

test("the arms at one seed: a cycle needs the embedding, an order does not", async () => {
  const { arms } = paper.claim;
  const [general, scalar] = [await arms["generalPreference"]!(0), await arms["bradleyTerry"]!(0)];
  expect(general["cyclic"]).toBeGreaterThan(0.95);
  expect(scalar["cyclic"]).toBeLessThan(0.65);
  expect(general["transitive"]).toBeGreaterThan(scalar["transitive"]! - 0.03);
});
