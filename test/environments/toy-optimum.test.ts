import { describe, expect, test } from "vitest";
import {
  bandit,
  chain,
  divergence,
  finiteTasks,
  geometricMean,
  given,
  optimalValue,
  prefixTree,
  regret,
  regularisedValue,
  softOptimum,
  tilt,
  tiltTo,
} from "../../src/environments/toy/index.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { normal, stream } from "../../src/statistics/stream.ts";

const near = (actual: ArrayLike<number>, expected: readonly number[], digits = 6): void => {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(actual[i]!).toBeCloseTo(value, digits);
};

describe("the best policy near a reference", () => {
  const reference = [0.5, 0.3, 0.2];
  const reward = [1, 2, 0];

  test("has no regret, and every other policy has some", () => {
    const best = tilt(reference, reward, 0.5);
    expect(regularisedValue(best, reference, reward, 0.5)).toBeCloseTo(optimalValue(reference, reward, 0.5), 12);
    expect(regret(best, reference, reward, 0.5)).toBeCloseTo(0, 12);
    expect(regret(reference, reference, reward, 0.5)).toBeCloseTo(1.504669 - 1.1, 6);
    expect(regret([0.2, 0.78, 0.02], reference, reward, 0.5)).toBeGreaterThan(0);
  });

  test("at a given distance, which does not depend on the score's unit or zero", () => {
    const there = tiltTo(reference, reward, 0.4);
    expect(divergence(there, reference)).toBeCloseTo(0.4, 12);
    near(tiltTo(reference, [1003, 2003, 3], 0.4), [...there], 9);
    // The distance that a known temperature gives leads back to it.
    near(tiltTo(reference, reward, divergence(tilt(reference, reward, 0.5), reference)), [0.18223, 0.807905, 0.009865]);
    expect(divergence(tiltTo(reference, reward, 1.2), reference)).toBeCloseTo(1.2, 9);
    // All mass on the best answer is -log 0.3 = 1.204 nats away.
    expect(() => tiltTo(reference, reward, 1.21)).toThrow(/between 0 and 1.2039/);
    expect(() => tiltTo(reference, [1, 1, 1], 0.1)).toThrow(/0.1 nats/);
  });

  test("given a condition", () => {
    near(
      given(reference, (i) => i !== 0),
      [0, 0.6, 0.4],
      12,
    );
    expect(() => given([1, 0], (i) => i === 1)).toThrow(/nowhere/);
  });

  test("does not overflow for a small temperature", () => {
    near(tilt(reference, [1000, 2000, 0], 1e-3), [0, 1, 0]);
    expect(optimalValue(reference, reward, 1e-6)).toBeCloseTo(2, 4);
  });

  test("a geometric mean of weight 0 and 1 is one of the two", () => {
    near(geometricMean([0.2, 0.8], [0.5, 0.5], 0), [0.2, 0.8]);
    near(geometricMean([0.2, 0.8], [0.5, 0.5], 1), [0.5, 0.5]);
    near(geometricMean([0.2, 0.8], [0.5, 0.5], 0.5), [1 / 3, 2 / 3]);
  });

  test("the divergence is that of the definition", () => {
    // beta = 0.1: what the implicit reward of the reference's own samples falls to, on average.
    expect(-0.1 * divergence([0.5, 0.3, 0.2], [0.7, 0.2, 0.1])).toBeCloseTo(-0.009203, 6);
    expect(divergence([0, 1], [0.5, 0.5])).toBeCloseTo(Math.log(2), 12);
    expect(divergence([0.5, 0.5], [0, 1])).toBe(Infinity);
  });

  test("refuses temperatures and lengths that mean nothing", () => {
    expect(() => tilt([1], [1], 0)).toThrow(/positive/);
    expect(() => tilt([0.5, 0.5], [1], 1)).toThrow(/one an action/);
    expect(() => optimalValue([1], [1], Number.NaN)).toThrow(/positive/);
  });
});

describe("the soft Bellman recursion", () => {
  const uniform = (n: number) => () => new Float64Array(n).fill(1 / n);

  test("gives the known answer of two tokens", () => {
    const process = prefixTree({ length: 2, symbols: 2 });
    const rewards = [
      [0, 1],
      [2, 0],
      [0, 0.5],
    ];
    const { q, v, policy, value } = softOptimum(process, uniform(2), (s, a) => rewards[s]![a]!, 0.5);
    expect(v[1]![1]).toBeCloseTo(1.662501, 6);
    expect(v[1]![2]).toBeCloseTo(0.310057, 6);
    near(q[0]!.subarray(0, 2), [1.662501, 1.310057]);
    expect(value).toBeCloseTo(1.516711, 6);
    near(policy[0]!.subarray(0, 2), [0.669271, 0.330729]);
    // The log-ratios along a walk add up to its reward minus the first state's value.
    const along = 0.5 * Math.log(policy[0]![0]! / 0.5) + 0.5 * Math.log(policy[1]![1 * 2 + 0]! / 0.5);
    expect(along).toBeCloseTo(0.483289, 6);
  });

  test("of a bandit is the Gibbs policy", () => {
    const reference = [0.5, 0.3, 0.2];
    const { policy, value } = softOptimum(
      bandit({ tasks: 1, actions: 3 }),
      () => reference,
      (_, a) => [1, 2, 0][a]!,
      0.5,
    );
    near(policy[0]!, [0.18223, 0.807905, 0.009865]);
    expect(value).toBeCloseTo(1.504669, 6);
  });

  test("no other policy is worth more, in a process that slips too", () => {
    const process = chain({ length: 3, horizon: 4, slip: 0.2 });
    const reward = (s: number, a: number): number => (s === 1 && a === 1 ? 1 : -0.1);
    const { value } = softOptimum(process, uniform(2), reward, 0.3);
    const rng = stream(3, "policies");
    for (let i = 0; i < 20; i++) {
      const logits = Array.from({ length: 4 }, () => 2 * normal(rng));
      const engine = softmaxEngine(process, { base: (s, a) => logits[s * 2 + a]! });
      const worth = engine.exact.value(reward) - 0.3 * engine.exact.klTo({ probs: uniform(2) });
      expect(worth).toBeLessThanOrEqual(value + 1e-12);
    }
  });
});

test("a prefix tree has one state a prefix", async () => {
  const process = prefixTree({ length: 3, symbols: 2 });
  expect(process.states).toBe(7);
  const engine = softmaxEngine(process);
  const [rollout] = await engine.sample([{ task: finiteTasks(process)[0]!, group: "g", rng: stream(1, "x") }], { maxActions: 9 });
  const { states, actions } = rollout!.row;
  expect(rollout!.stop).toBe("stop");
  expect([...states]).toEqual([0, 1 + actions[0]!, 2 * (1 + actions[0]!) + 1 + actions[1]!]);
});
