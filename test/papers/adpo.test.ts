import { describe, expect, test } from "vitest";
import { softmaxEngine } from "../../src/engines/index.ts";
import { bandit, exercise } from "../../src/environments/index.ts";
import { gradientOf } from "../../src/objectives/index.ts";
import { adpo, paper } from "../../src/papers/adpo.ts";
import { stream } from "../../src/statistics/index.ts";
import { describeMethod, onlineDpo, practise } from "../../src/training/index.ts";
import { start } from "../../src/training/schedule.ts";
import { scored } from "../credit/fixtures.ts";
import { all, environment, small, withEngine } from "../training/tiny.ts";

const context = { rng: stream(1, "credit"), at: start, progress: 0 };
const answers = (...rewards: number[]) => scored(rewards.map((reward) => ({ reward, mask: [1] })));
const anchored = (rewards: readonly number[], anchor: readonly number[]) => ({
  ...adpo().credit(answers(...rewards), context)!,
  row: { anchor: Float32Array.from(anchor) },
});
const says = (logs: readonly number[]) => ({ logProbs: logs.map((l) => Float32Array.of(l)) });

describe("the card's known answers", () => {
  test("the loss of three answers and its gradient", () => {
    const examples = anchored([3, 2, 1], [-1.5, -1.5, -2.5]);
    const target = Float32Array.of(0.7, 0.2, 0.1);
    const given = { ...examples, sets: { ...examples.sets!, member: { target } } };
    const { metrics, gradients } = gradientOf(adpo().objective, given, says([-1, -2, -3]));
    expect(metrics["kl"]).toBeCloseTo(0.037726, 6);
    [0.173972, -0.186986, 0.013014].forEach((g, i) => expect(gradients["logProbs"]![i]![0]).toBeCloseTo(g, 6));
  });

  test("a pair with a hard target, the better one first, is DPO with beta 1 / tau", () => {
    const table = { ...answers(0, 1), token: { reference: [Float32Array.of(-5), Float32Array.of(-5.5)] } };
    const hard = adpo({ anchor: "reference", tau: 2, temperature: 0.01 });
    const dpo = onlineDpo({ beta: 0.5 });
    const [ours, theirs] = [hard, dpo].map(({ credit, objective }) => gradientOf(objective, credit(table, context)!, says([-6, -4])));
    expect(ours!.loss).toBeCloseTo(theirs!.loss, 12);
    expect(ours!.gradients["logProbs"]).toEqual(theirs!.gradients["logProbs"]);
  });
});

test("targets do not know the scale of rewards; a group of equal rewards moves nothing where the anchor is the policy", () => {
  const target = (...rewards: number[]) => [...adpo({ temperature: 0.5 }).credit(answers(...rewards), context)!.sets!.member["target"]!];
  expect(target(1, 0)[0]).toBeCloseTo(1 / (1 + Math.exp(-4)), 6);
  target(5, -3, 1, 1).forEach((q, i) => expect(q).toBeCloseTo(target(0.05, -0.03, 0.01, 0.01)[i]!, 5));
  const { gradients } = gradientOf(adpo().objective, anchored([1, 1, 1], [-1, -2, -3]), says([-1, -2, -3]));
  for (const [g] of gradients["logProbs"]!) expect(g).toBeCloseTo(0, 7);
  // On the policy's own answers the first gradient is that of an advantage: (1 / G - q) / tau.
  const own = anchored([3, 2, 1], [-1, -2, -3]);
  const first = gradientOf(adpo().objective, own, says([-1, -2, -3])).gradients["logProbs"]!;
  own.sets!.members.forEach((row, k) => expect(first[row]![0]).toBeCloseTo((1 / 3 - own.sets!.member["target"]![k]!) / 0.5, 6));
});

test("at the minimum of a step the policy is, on the group, the anchor times target^tau", async () => {
  const process = bandit({ tasks: 1, actions: 5 });
  const engine = softmaxEngine(process, { base: (_, action) => action / 3, optimizer: "sgd" });
  const before = engine.probs(0).slice();
  const method = adpo({ tau: 0.8, temperature: 0.6, groupSize: 12, learningRate: 0.5, epochs: 2000, optimizer: { clipNorm: null } });
  const game = exercise(process, ({ actions: [answer = 0] }) => answer ** 2);
  for await (const { examples } of practise({ engine, environment: game, method, steps: 1, seed: 1 })) {
    const { members, member } = examples!.sets!;
    const left = Array.from(members, (row, k) => {
      const [action] = examples!.rows[row]!.actions;
      return Math.log(engine.probs(0)[action!]! / before[action!]!) - 0.8 * Math.log(member["target"]![k]!);
    });
    expect(Math.max(...left) - Math.min(...left)).toBeLessThan(1e-4);
  }
});

test("the arms at a small size: a moving anchor learns, a fixed one and none stop, groups tell more than pairs", async () => {
  const { arms } = paper.claim;
  const of = async (arm: string, metric: string, seed = 3): Promise<number> => (await arms[arm]!(seed))[metric]!;
  expect(await of("moving", "worth")).toBeGreaterThan(1.5);
  for (const arm of ["fixed", "none"]) expect(await of(arm, "worth")).toBeLessThan(0.9);
  let gain = 0;
  for (const seed of [0, 1, 2, 3]) gain += ((await of("groups", "accuracy", seed)) - (await of("pairs", "accuracy", seed))) / 4;
  expect(gain).toBeGreaterThan(0.08);
});

test("it trains a language model, with an anchor that moves along or stays", () =>
  withEngine(async (engine) => {
    expect(describeMethod(paper.method!({ environment }))).toMatchObject({ anchor: { reference: 0, every: 1 }, reference: null });
    expect(describeMethod(adpo({ anchor: "reference" }))["reference"]).not.toBeNull();
    for (const anchor of ["previous", "reference"] as const) {
      const reports = await all({ ...small, engine, method: adpo({ anchor, groupSize: 4, every: 2, epochs: 2 }), steps: 2 });
      for (const { loss, gradientNorm } of reports) expect([Number.isFinite(loss), gradientNorm! > 0]).toEqual([true, true]);
    }
  }));
