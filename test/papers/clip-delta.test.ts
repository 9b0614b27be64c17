import { describe, expect, test } from "vitest";
import { returnsToGo } from "../../src/credit/index.ts";
import type { TextEnvironment } from "../../src/environments/index.ts";
import { clipDelta, paper } from "../../src/papers/clip-delta.ts";
import { clippedSteps, deltaSteps, reward, score, sum } from "../../src/rewards/index.ts";
import { reinforcePlusPlus } from "../../src/training/index.ts";
import { all, environment, small, withEngine } from "../training/tiny.ts";

const q = [0.9, 0.4, 0.7, 0.8];
const close = (got: ArrayLike<number>, want: readonly number[]): void => {
  expect(got).toHaveLength(want.length);
  want.forEach((w, i) => expect(got[i]).toBeCloseTo(w, 12));
};

describe("the card's known answers", () => {
  test("clip, delta, and what is to come at each step", () => {
    close(clippedSteps(q, 0.5), [0, -0.1, 0, 0]);
    close(deltaSteps(q), [0.5, -0.3, -0.1, 0.8]);
    close(returnsToGo(deltaSteps(q), 1), q);
    close(deltaSteps(clippedSteps(q, 0.5)), [0.1, -0.1, 0, 0]);
  });

  test("as a reward: five steps, of which the last states the answer", async () => {
    const judge = reward.steps("judge", ({ steps }) => steps.map((step) => Number(step)));
    const row = { prompt: "p", completion: "", steps: ["0.9", "0.4", "0.7", "0.8", "0.1"] };
    const { value, steps } = await score(clipDelta(judge, { threshold: 0.5 }), row);
    close(steps!, [0.1, -0.1, 0, 0, 0]);
    expect(value).toBeCloseTo(0, 12);
    // Without a step for the answer the last one counts: clipped 0, -0.1, 0, 0, -0.4.
    close((await score(clipDelta(judge, { threshold: 0.5, answerStep: false }), row)).steps!, [0.1, -0.1, 0, 0.4, -0.4]);
  });

  test("repeating good steps earns nothing", () => {
    const sumOf = (steps: readonly number[]) => steps.reduce((total, r) => total + r, 0);
    const many = Array.from({ length: 50 }, () => 0.9);
    expect(sumOf(deltaSteps(clippedSteps(many, 0.6)))).toBe(0);
    expect(sumOf(deltaSteps(many))).toBeCloseTo(0.9, 12);
  });
});

test("the arms with one seed: summed scores make it repeat until it is cut, refined ones do no harm", async () => {
  const { arms } = paper.claim;
  const ran = async (arm: string) => await arms[arm]!(0);
  const [summed, both, only] = [await ran("summedScores"), await ran("clipDelta"), await ran("successOnly")];
  expect(summed["success"]).toBeLessThan(0.05);
  expect(summed["length"]).toBeGreaterThan(14);
  expect(both["success"]).toBeGreaterThan(0.92);
  expect(Math.abs(both["success"]! - only["success"]!)).toBeLessThan(0.03);
  expect(both["length"]).toBeLessThan(8);
  expect([summed, both, only].map(({ walks }) => walks)).toEqual([9600, 9600, 9600]);
});

test("trains a language model where the environment answers back: each turn is a step", () =>
  withEngine(async (engine) => {
    const talking: TextEnvironment = { ...environment, maxActions: 3, respond: (_, turns) => (turns.length < 4 ? ", 1" : null) };
    const judge = reward.steps("judge", ({ steps }) => steps.map((step) => step.length / 6));
    const right = reward("right", ({ text }) => text.length % 2 === 0);
    const whole = sum({ right, process: clipDelta(judge, { threshold: 0.3 }) }, { weights: { process: 0.2 } });
    const method = reinforcePlusPlus({ groupSize: 16 });
    const [report] = await all({ ...small, environment: talking, reward: whole, engine, method, tasksPerStep: 8, steps: 1 });
    const drawn = report!.rollouts!.drawn;
    const talked = drawn.filter(({ rollout }) => rollout.steps!.length > 1);
    expect(talked.length).toBeGreaterThan(0);
    expect(report!.loss).not.toBeNull();
    expect(report!.gradientNorm).toBeGreaterThan(0);
    // The whole rollout's process reward is 0.2 times the clipped score of its first turn, unless that is the one that states the answer.
    for (const { rollout, parts, reward: total } of drawn) {
      const first = (rollout.turns![0]!.content as string).length / 6;
      const expected = rollout.steps!.length > 1 ? Math.min(first - 0.3, 0) : 0;
      expect(parts["process"]).toBeCloseTo(expected, 6);
      expect(total).toBeCloseTo(parts["right"]! + 0.2 * expected, 6);
    }
  }));
