import { expect, test } from "vitest";
import { implicitCredit } from "../../src/credit/index.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { divergence, hiddenRewards, prefixTree, softOptimum } from "../../src/environments/toy/index.ts";
import { paper, rToQstar } from "../../src/papers/r-to-qstar.ts";
import { finiteSteps } from "../../src/search/index.ts";
import { stream } from "../../src/statistics/index.ts";

const uniform = (n: number) => () => new Float64Array(n).fill(1 / n);

test("the card's known answer: token credit of the optimal policy is Q - V, and its sum the reward less the first value", async () => {
  const process = prefixTree({ length: 2, symbols: 2 });
  const rewards = [
    [0, 1],
    [2, 0],
    [0, 0.5],
  ];
  const { policy, q, v, value } = softOptimum(process, uniform(2), (s, a) => rewards[s]![a]!, 0.5);
  const optimal = softmaxEngine(process, { base: (s, a) => Math.log(policy[s === 0 ? 0 : 1]![s * 2 + a]!) });
  const row = { states: Int32Array.of(0, 1), actions: Int32Array.of(0, 0) };
  const [credit] = await implicitCredit([row], optimal, softmaxEngine(process), 0.5);
  expect(credit![0]).toBeCloseTo(q[0]![0]! - v[0]![0]!, 6);
  expect(credit![1]).toBeCloseTo(q[1]![2]! - v[1]![1]!, 6);
  expect(credit![0]! + credit![1]!).toBeCloseTo(0.483289, 5);
  expect(credit![0]! + credit![1]!).toBeCloseTo(2 - value, 5);
});

test("the implicit reward of the reference's own answers is minus beta times a divergence", async () => {
  const process = prefixTree({ length: 1, symbols: 3 });
  const [reference, policy] = [
    [0.5, 0.3, 0.2],
    [0.7, 0.2, 0.1],
  ];
  const as = (p: readonly number[]) => softmaxEngine(process, { base: (_, a) => Math.log(p[a]!) });
  const rows = [0, 1, 2].map((a) => ({ states: Int32Array.of(0), actions: Int32Array.of(a) }));
  const credit = await implicitCredit(rows, as(policy!), as(reference!), 0.1);
  const mean = credit.reduce((sum, [c], a) => sum + reference![a]! * c!, 0);
  expect(mean).toBeCloseTo(-0.009203, 6);
  expect(mean).toBeCloseTo(-0.1 * divergence(reference!, policy!), 6);
});

test("of the optimal policy the widest beam is the best answer to reward and closeness, and the ratio the best reward", async () => {
  const { process, answers, reward } = hiddenRewards({ length: 3, symbols: 3, rng: stream(5, "rewards") });
  const { policy } = softOptimum(process, uniform(3), reward, 0.5);
  const depth = (s: number): number => (s === 0 ? 0 : s < 4 ? 1 : 2);
  const optimal = finiteSteps(process, softmaxEngine(process, { base: (s, a) => Math.log(policy[depth(s)]![s * 3 + a]!) }));
  const flat = finiteSteps(process, softmaxEngine(process));
  const worth = answers.map(({ states, actions }) => actions.reduce((sum, a, t) => sum + reward(states[t]!, a), 0));
  const best = answers[worth.indexOf(Math.max(...worth))]!;
  for (const against of [undefined, flat]) {
    const [found] = await rToQstar.decode(optimal, 0, { width: 27, maxActions: 3, ...(against && { against }) });
    expect(found!.actions).toEqual([...best.actions]);
  }
});

test("rewards are hidden in the prefix: each place and symbol before has its own", () => {
  const { process, answers, reward } = hiddenRewards({ length: 4, symbols: 3, rng: stream(1, "rewards") });
  expect([process.states, answers.length]).toEqual([40, 81]);
  expect(new Set(answers.map(({ actions }) => actions.join(""))).size).toBe(81);
  const values = new Set<number>();
  for (let s = 0; s < 40; s++) for (let a = 0; a < 3; a++) values.add(reward(s, a));
  // The first place has no symbol before it.
  expect(values.size).toBe(3 + 3 * 9);
  // Two prefixes of one length that end in the same symbol pay the same.
  expect(reward(4, 2)).toBe(reward(7, 2));
});

test("the arms at a small size: token credit follows Q - V, equal parts and coin tosses do not", async () => {
  const measured = (await paper.claim.arms["tokens"]!(0)) as Record<string, number>;
  expect(measured["correlation"]).toBeGreaterThan(0.85);
  expect(measured["beamGain"]).toBeGreaterThan(0.2);
  expect(measured["ofReference"]).toBeLessThan(0);
  const even = await paper.claim.arms["equalParts"]!(0);
  expect(even["correlation"]).toBeLessThan(measured["correlation"]! - 0.3);
});
