import { describe, expect, test } from "vitest";
import { demonstrations, populationPairs, withRowLogProbs } from "../../src/credit/index.ts";
import { geometricMixture, softmaxEngine, type Reader } from "../../src/engines/index.ts";
import {
  bandit,
  divergence,
  geometricMean,
  preferences,
  regularisedEquilibrium,
  tilt,
  winRates,
} from "../../src/environments/toy/index.ts";
import { gradientOf, pairLoss } from "../../src/objectives/index.ts";
import { inpo, paper } from "../../src/papers/inpo.ts";
import type { StateSequence } from "../../src/policies/index.ts";
import { stream } from "../../src/statistics/index.ts";
import { describeMethod, step } from "../../src/training/index.ts";
import { scored } from "../credit/fixtures.ts";
import { all, small, withEngine } from "../training/tiny.ts";

const game = preferences([
  [0.5, 0.9, 0.2],
  [0.1, 0.5, 0.8],
  [0.8, 0.2, 0.5],
]);
const reference = Float64Array.of(0.6, 0.3, 0.1);
const [tau, eta] = [0.1, 0.5];
const close = (got: ArrayLike<number>, want: readonly number[], digits = 6): void => {
  expect(got.length).toBe(want.length);
  for (const [i, w] of want.entries()) expect(got[i]).toBeCloseTo(w, digits);
};
/** One exact step from a policy. */
const next = (policy: Float64Array): Float64Array => tilt(geometricMean(policy, reference, tau / eta), winRates(game, policy), eta);

const row = (action: number): StateSequence => ({ states: Int32Array.of(0), actions: Int32Array.of(action) });
const saying = (logs: readonly number[]): Reader<StateSequence> => ({
  outputs: ["logProbs"],
  forward: async (rows) => ({ logProbs: rows.map(({ actions }) => Float32Array.of(logs[actions[0]!]!)) }),
});

describe("the card's known answers", () => {
  test("one pair: ipo against the mixture is the loss of the paper", async () => {
    const anchor = geometricMixture(saying([-4.8, -5.2]), saying([-5, -5.5]), tau / eta);
    const pair = {
      ...demonstrations([row(0), row(1)]),
      sets: { size: 2, members: Int32Array.of(0, 1), weight: Float32Array.of(1), member: {}, set: {} },
    };
    const anchored = await withRowLogProbs(pair, "anchor", anchor);
    const logs = [-4, -6];
    const read = { logProbs: logs.map((l) => Float32Array.of(l)) };
    const h = logs[0]! - logs[1]! - (anchored.row["anchor"]![0]! - anchored.row["anchor"]![1]!);
    expect(h).toBeCloseTo(1.58, 6);
    expect(gradientOf(inpo({ eta, ratio: tau / eta }).objective, anchored, read).loss).toBeCloseTo(0.3364, 6);
    // The same in the paper's words: margins of the policy, of the reference and of the previous policy, each on its own.
    const paperH = 2 - (tau / eta) * 0.5 - (1 - tau / eta) * 0.4;
    expect((paperH - 1 / (2 * eta)) ** 2).toBeCloseTo(0.3364, 12);
    expect(pairLoss("ipo", { beta: eta, against: "anchor" }).coefficients).toMatchObject({ beta: eta });
  });

  test("one exact step from the reference, and the way to the equilibrium", () => {
    close(next(reference), [0.693928, 0.190418, 0.115655]);
    const equilibrium = regularisedEquilibrium({ game, reference, tau });
    let policy: Float64Array = reference;
    const away: Record<number, number> = {};
    for (let t = 1; t <= 30; t++) away[t] = divergence(equilibrium, (policy = next(policy)));
    expect(away[1]).toBeCloseTo(0.193, 3);
    expect(away[3]).toBeCloseTo(0.102, 3);
    expect(away[10]).toBeCloseTo(0.0113, 4);
    expect(away[30]).toBeCloseTo(3.4e-5, 6);
  });

  test("the loss over all pairs of the previous policy has its minimum at the exact step", async () => {
    const previous = Float64Array.of(0.3, 0.5, 0.2);
    const process = bandit({ tasks: 1, actions: 3 });
    const as = (p: Float64Array) => softmaxEngine(process, { base: (_, a) => Math.log(p[a]!) });
    const engine = as(previous);
    const anchor = geometricMixture(as(previous), as(reference), tau / eta);
    const examples = await withRowLogProbs(populationPairs(game, previous), "anchor", anchor);
    const terms = [{ examples, objective: pairLoss("ipo", { beta: eta, against: "anchor", softLabels: true }) }];
    for (let k = 0; k < 1200; k++)
      await step(engine, terms, { learningRate: 0.05 * (1 - k / 1200), beta1: 0.9, beta2: 0.999, epsilon: 1e-12 });
    close(engine.probs(0), [0.451102, 0.396123, 0.152775], 5);
    close(next(previous), [0.451102, 0.396123, 0.152775]);
  });
});

test("pairs of all answers weigh what two draws of them would", () => {
  const { rows, sets } = populationPairs(game, reference);
  expect(rows.map(({ actions }) => actions[0])).toEqual([0, 1, 2]);
  close(sets!.weight, [0.18, 0.06, 0.03]);
  close(sets!.set["label"]!, [0.9, 0.2, 0.8]);
  expect(() => populationPairs(game, [1])).toThrow(/3 answers/);
});

test("on language models the best of eight answers is paired with the worst", () => {
  expect(describeMethod(inpo())).toMatchObject({
    groupSize: 8,
    settings: { eta: 0.1, ratio: 1 / 3 },
    anchor: { reference: 1 / 3, every: 25 },
  });
  const at = { step: 0, phase: 0, inPhase: 0, signals: {} };
  const table = scored([{ reward: 0.5 }, { reward: 0 }, { reward: 1 }, { reward: 0.2 }]);
  const { rows, sets } = inpo().credit(table, { rng: stream(1, "credit"), at, progress: 0 })!;
  expect(Array.from(sets!.members, (row) => rows[row]!.actions[0]! / 10)).toEqual([2, 1]);
});

test("on a language model the policy becomes its own anchor every so many steps", () =>
  withEngine(async (engine) => {
    const margins = async (every: number): Promise<number[]> => {
      const method = inpo({ ratio: 0, every, groupSize: 8, learningRate: 1e-2 });
      return (await all({ ...small, engine, method, steps: 3 })).map(({ metrics }) => Math.abs(metrics["margin"]!));
    };
    // A policy that was made its own anchor just now has no margin against it.
    for (const margin of await margins(1)) expect(margin).toBeLessThan(1e-5);
    const [first, second, third] = await margins(2);
    expect([first! < 1e-5, second! > 1e-3, third! < 1e-5]).toEqual([true, true, true]);
  }));

test("the arms at a small size: equilibria are reached, and not without the mixture, with another target or for a reward", async () => {
  const gap = async (arm: string): Promise<number> => (await paper.claim.arms[arm]!(0))["gap"]!;
  expect(await gap("exact")).toBeLessThan(1e-5);
  expect(await gap("rewardThenGibbs")).toBeGreaterThan(0.1);
  const sampled = await gap("sampled");
  expect(sampled).toBeLessThan(0.01);
  expect(await gap("withoutPull")).toBeGreaterThan(2 * sampled);
  expect(await gap("twiceTheTarget")).toBeGreaterThan(2 * sampled);
});
