import { describe, expect, test } from "vitest";
import { withLogProbs } from "../../src/credit/index.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { modularChain, prefixTree } from "../../src/environments/toy/index.ts";
import { freeProcessRewards, paper } from "../../src/papers/free-process-rewards.ts";
import { outcomeExamples, readRewards } from "../../src/training/index.ts";

describe("the identity, on the card's two steps of two symbols, with beta .5", () => {
  const policy = [0.8, 0.2, 0.9, 0.1, 0.4, 0.6];
  const reference = [0.6, 0.4, 0.5, 0.5, 0.3, 0.7];
  const made = (p: readonly number[]) => softmaxEngine(prefixTree({ length: 2, symbols: 2 }), { base: (s, a) => Math.log(p[2 * s + a]!) });
  const rows = [0, 1].flatMap((a) => [0, 1].map((b) => ({ states: Int32Array.of(0, 1 + a), actions: Int32Array.of(a, b) })));
  const form = freeProcessRewards({ beta: 0.5 });
  const read = async (p: readonly number[]) => {
    const plain = outcomeExamples(
      rows,
      rows.map(() => ({ label: 1 })),
      () => 2,
    );
    const examples = await withLogProbs(plain, "reference", made(reference));
    return readRewards(
      form,
      made(p),
      examples,
      rows.map(() => [1, 2]),
    );
  };
  /** beta log E_reference[exp(r / beta)] over the continuations of the first symbol. */
  const soft = (rewards: readonly number[], first: number): number =>
    0.5 * Math.log([0, 1].reduce((sum, b) => sum + reference[2 * (1 + first) + b]! * Math.exp(rewards[2 * first + b]! / 0.5), 0));

  test("each partial sum is the soft value of its prefix", async () => {
    const found = await read(policy);
    const rewards = found.map(({ numbers }) => numbers[0]!);
    [0.4377344, -0.6608779, -0.2027326, -0.4236489].forEach((want, i) => expect(rewards[i]).toBeCloseTo(want, 6));
    const q = [found[0]!.steps![0]!, found[2]!.steps![0]!];
    expect(q[0]).toBeCloseTo(0.143841, 6);
    expect(q[1]).toBeCloseTo(-0.3465736, 6);
    expect([soft(rewards, 0), soft(rewards, 1)].map((v, i) => Math.abs(v - q[i]!) < 1e-6)).toEqual([true, true]);
  });

  test("means instead of sums break it", async () => {
    const found = await read(policy);
    const means = found.map(({ numbers }) => numbers[0]! / 2);
    expect(Math.abs(soft(means, 0) - found[0]!.steps![0]!)).toBeGreaterThan(0.01);
  });
});

test("what is fitted has the beta that it is read with", () => {
  for (const beta of [0.05, 1]) {
    const { objective, reading } = freeProcessRewards({ beta });
    expect([objective.coefficients["beta"], reading]).toEqual([beta, { kind: "log-ratio", beta }]);
  }
});

test("the chain: an error carries on to the result, its own step alone does not follow", () => {
  const chain = modularChain({ modulus: 5, length: 3 });
  const walk = (xs: readonly number[], actions: readonly number[]) => ({
    states: Int32Array.from(xs, (x, t) => (t === 0 ? 0 : actions[t - 1]!) * 5 + x),
    actions: Int32Array.from(actions),
  });
  const [right, wrong] = [walk([3, 4, 1], [3, 2, 3]), walk([3, 4, 1], [3, 1, 2])];
  const follows = ({ states, actions }: typeof right) => Array.from(states, (s, t) => chain.follows(s, actions[t]!));
  expect([chain.succeeded(right), follows(right)]).toEqual([true, [true, true, true]]);
  expect([chain.succeeded(wrong), follows(wrong)]).toEqual([false, [true, false, true]]);
  expect(chain.succeeded(walk([3], [3]))).toBe(false);
  for (let a = 0; a < 5; a++) expect(chain.outcomes!(0, a).reduce((sum, [, p]) => sum + p, 0)).toBeCloseTo(1, 12);
  expect(chain.next(0, 2, () => 0.99)).toBe(2 * 5 + 4);
  expect(() => modularChain({ modulus: 1, length: 3 })).toThrow(/modulus must be a whole number of at least 2/);
});

test("the arms at one seed: log-ratios find the error, with either beta; the outcome alone and shuffled labels do not", async () => {
  const { arms } = paper.claim;
  for (const arm of ["implicit", "implicitBeta1"]) {
    const { localisation, areaUnderCurve } = await arms[arm]!(0);
    expect(localisation).toBeGreaterThan(0.98);
    expect(areaUnderCurve).toBeGreaterThan(0.99);
  }
  const broadcast = await arms["broadcast"]!(0);
  expect(broadcast["localisation"]).toBeCloseTo(1 / 6, 12);
  expect(broadcast["areaUnderCurve"]).toBeLessThan(0.8);
  expect((await arms["shuffledLabels"]!(0))["areaUnderCurve"]).toBeLessThan(0.7);
  const eight = await arms["monteCarlo8"]!(0);
  expect(eight["areaUnderCurve"]).toBeGreaterThan(0.85);
  expect(eight["localisation"]).toBeLessThan(0.97);
});
