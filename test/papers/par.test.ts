import { expect, test } from "vitest";
import { runningMinmax, type RewardTransform } from "../../src/credit/index.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { bandit, exercise } from "../../src/environments/toy/index.ts";
import type { TextEnvironment } from "../../src/environments/index.ts";
import { par, paper } from "../../src/papers/par.ts";
import { reward, score } from "../../src/rewards/index.ts";
import { describeMethod, practise, rloo } from "../../src/training/index.ts";
import { all, environment, small, withEngine } from "../training/tiny.ts";

const length = reward("length", ({ text }) => text.length);

test("the card's known answers, for any reward", async () => {
  const number = reward("number", ({ text }) => Number(text));
  const at = async (completion: string, references: number[]) => (await score(par(number), { prompt: "p", completion, references })).value;
  expect(await at("2", [1])).toBeCloseTo(0.731059, 6);
  expect(await at("2", [1, 3])).toBeCloseTo(0.5, 12);
  expect(await at("-1", [0.5, 0.5])).toBeCloseTo(0.182426, 6);
});

test("the mean of probabilities, not the probability of the mean; steepness and the column of references are options", async () => {
  const number = reward("number", ({ text }) => Number(text));
  const row = { prompt: "p", completion: "2", references: [0, 3], others: [1] };
  expect((await score(par(number), row)).value).toBeCloseTo((0.880797 + 0.268941) / 2, 6);
  expect((await score(par(number, { references: "others", steepness: 2 }), row)).value).toBeCloseTo(0.880797, 6);
});

test("the arms with one seed: bounded rewards keep the truth, affine maps change nothing, training on the raw score is hacked", async () => {
  const { arms } = paper.claim;
  const ran = async (arm: string) => await arms[arm]!(0);
  const [own, raw, minmax, clipped] = [await ran("par"), await ran("raw"), await ran("minmax"), await ran("clipped")];
  expect(own["quarter"]! - raw["quarter"]!).toBeGreaterThan(0.8);
  expect(own["one"]! - raw["one"]!).toBeGreaterThan(2);
  for (const at of ["quarter", "half", "one"]) expect(Math.abs(minmax[at]! - raw[at]!)).toBeLessThan(1e-6);
  expect(clipped["one"]).toBeGreaterThan(own["one"]!);
  const [parTrained, rawTrained] = [await ran("parTrained"), await ran("rawTrained")];
  expect(parTrained["final"]).toBeGreaterThan(0.5);
  expect(rawTrained["final"]).toBeLessThan(-5);
  expect(rawTrained["gain"]).toBeGreaterThan(5);
  expect(rawTrained["rise"]).toBeGreaterThan(0);
});

test("trains a language model whose tasks have reference answers", () =>
  withEngine(async (engine) => {
    const posed: TextEnvironment = {
      ...environment,
      draw: (split, rng) => ({ ...environment.draw(split, rng), columns: { references: ["1 + 2", 3] } }),
    };
    const [report] = await all({ ...small, environment: posed, reward: par(length), engine, method: rloo({ groupSize: 8 }), steps: 1 });
    for (const { reward: value, parts } of report!.rollouts!.drawn) {
      const sigma = (x: number): number => 1 / (1 + Math.exp(-x));
      expect(value).toBeCloseTo((sigma(parts["length"]! - 5) + sigma(parts["length"]! - 3)) / 2, 6);
    }
    expect(report!.gradientNorm).toBeGreaterThan(0);
  }));

test("practice applies a running transform too", async () => {
  const process = bandit({ tasks: 1, actions: 2 });
  const advantages = async (rewardTransform: (() => RewardTransform) | null): Promise<number> => {
    const options = {
      engine: softmaxEngine(process),
      environment: exercise(process, ({ actions }) => 100 * actions[0]!),
      steps: 1,
      seed: 0,
    };
    let largest = 0;
    for await (const { examples, reward: given } of practise({ ...options, method: { ...rloo({ groupSize: 8 }), rewardTransform } })) {
      largest = examples!.token["advantage"]!.reduce((top, a) => Math.max(top, Math.abs(a)), 0);
      expect(Math.max(...given)).toBe(100);
    }
    return largest;
  };
  expect((await advantages(null)) / (await advantages(runningMinmax))).toBeCloseTo(100, 4);
});

test("a running transform changes what credit sees and not what reports say", () =>
  withEngine(async (engine) => {
    const method = { ...rloo({ groupSize: 8 }), rewardTransform: runningMinmax };
    expect(describeMethod(method)).toMatchObject({ rewardTransform: "running minimum and maximum" });
    const [report] = await all({ ...small, reward: length, engine, method, steps: 1 });
    const drawn = report!.rollouts!.drawn;
    const values = drawn.map((d) => d.reward!);
    const [least, greatest] = [Math.min(...values), Math.max(...values)];
    expect(greatest).toBeGreaterThan(1);
    const group = drawn.filter((d) => d.rollout.group === drawn[0]!.rollout.group);
    const others = group.slice(1).reduce((sum, d) => sum + (d.reward! - least) / (greatest - least), 0) / (group.length - 1);
    expect(group[0]!.advantage).toBeCloseTo((group[0]!.reward! - least) / (greatest - least) - others, 5);
  }));
