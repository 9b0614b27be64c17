import { describe, expect, test } from "vitest";
import { halves, rowMeans } from "../../src/credit/index.ts";
import { canon, conditionalAdvantage, paper, type CanonOptions } from "../../src/papers/canon.ts";
import { stream } from "../../src/statistics/index.ts";
import { describeMethod } from "../../src/training/index.ts";
import { scored } from "../credit/fixtures.ts";
import { all, environment, small, withEngine } from "../training/tiny.ts";

const reward = Float64Array.of(1, 0, 1, 1, 0, 0, 0, 0);
const metric = Float64Array.of(0.9, 0.2, 0.4, 0.8, 0.1, 0.7, 0.6, 0.3);
const group = new Int32Array(8);
const rng = () => stream(1, "ties");
const close = (got: ArrayLike<number>, want: readonly number[]): void => {
  expect(got).toHaveLength(want.length);
  want.forEach((w, i) => expect(got[i]).toBeCloseTo(w, 12));
};

describe("the card's known answers", () => {
  test.each([
    [1, [0.75, -0.5, 0.5, 0.75, -0.5, -0.25, -0.25, -0.5]],
    [0, [0.5, -0.25, 0.75, 0.5, -0.25, -0.5, -0.5, -0.25]],
    [0.5, [0.625, -0.375, 0.625, 0.625, -0.375, -0.375, -0.375, -0.375]],
  ])("mu %d", (mu, want) => close(conditionalAdvantage({ reward, group, metric }, { mu, rng: rng() }), want));

  test("leaning to the short half with 0.9", () => {
    const tilt = { half: "high", factor: 0.9 } as const;
    close(
      conditionalAdvantage({ reward, group, metric }, { mu: 1, tilt, rng: rng() }),
      [0.65, -0.45, 0.55, 0.65, -0.45, -0.25, -0.25, -0.45],
    );
  });

  test("the mean advantage of the upper half is the difference of the halves, half of it, or nothing", () => {
    const upper = (mu: number): number => {
      const advantage = conditionalAdvantage({ reward, group, metric }, { mu, rng: rng() });
      return [0, 3, 5, 6].reduce((sum, i) => sum + advantage[i]!, 0) / 4;
    };
    expect([upper(1), upper(0.5), upper(0)].map((x) => x + 0)).toEqual([0.25, 0.125, 0]);
  });

  test("a group of one has no halves", () =>
    expect(() =>
      conditionalAdvantage({ reward: Float64Array.of(1), group: new Int32Array(1), metric: Float64Array.of(1) }, { mu: 1, rng: rng() }),
    ).toThrow(/there are none/));
});

describe("the method hands its options to the advantage", () => {
  /** Of what the method makes of the card's group: each answer's advantage, the metric being a part of the score. */
  const advantages = (options: Partial<CanonOptions>, step = 0): number[] => {
    const table = scored(
      [...reward].map((r) => ({ reward: r })),
      { parts: { own: metric } },
    );
    const method = canon({ maxActions: 3, metric: ({ parts }) => parts["own"]!, ...options });
    const made = method.credit(table, { rng: rng(), at: { step, phase: 0, inPhase: step, signals: {} }, progress: 0 })!;
    return Array.from(rowMeans(made, made.token["advantage"]!), (a) => Math.round(a * 1e6) / 1e6);
  };

  test("a metric, 1 for the other half unless said, a schedule, a tilt", () => {
    expect(advantages({})).toEqual([0.75, -0.5, 0.5, 0.75, -0.5, -0.25, -0.25, -0.5]);
    const mu = ({ inPhase }: { readonly inPhase: number }): number => (inPhase === 0 ? 1 : 0);
    expect(advantages({ mu })).toEqual(advantages({}));
    expect(advantages({ mu }, 1)).toEqual([0.5, -0.25, 0.75, 0.5, -0.25, -0.5, -0.5, -0.25]);
    expect(advantages({ tilt: { half: "high", factor: 0.9 } })).toEqual([0.65, -0.45, 0.55, 0.65, -0.45, -0.25, -0.25, -0.45]);
  });

  test("without a metric, the mean entropy of an answer's tokens", () => {
    const table = scored([...reward].map((r) => ({ reward: r })));
    const rollouts = table.rollouts.map((one, i) => ({ ...one, recorded: { entropy: new Float32Array(3).fill(metric[i]!) } }));
    const at = { step: 0, phase: 0, inPhase: 0, signals: {} };
    const made = canon({ maxActions: 3 }).credit({ ...table, rollouts }, { rng: rng(), at, progress: 0 })!;
    close(rowMeans(made, made.token["advantage"]!), [0.75, -0.5, 0.5, 0.75, -0.5, -0.25, -0.25, -0.5]);
  });
});

test("ties are cut at random, whatever their order in the batch, and groups do not mix", () => {
  const upper = new Float64Array(4);
  for (let i = 0; i < 400; i++)
    halves(new Float64Array(4), new Int32Array(4), stream(i, "ties")).forEach((half, row) => (upper[row]! += half));
  for (const count of upper) expect(Math.abs(count - 200)).toBeLessThan(50);
  expect([...halves(Float64Array.of(1, 9, 2, 8, 3), Int32Array.of(7, 7, 5, 5, 5), rng())]).toEqual([0, 1, 2, 3, 3]);
});

test("the arms at a small size: the metric helps both ways, a random one does not, a wrong bonus never arrives", async () => {
  const { arms } = paper.claim;
  const total = async (arm: string, seeds = [0, 1]): Promise<number> => {
    let sum = 0;
    for (const seed of seeds) sum += (await arms[arm]!(seed))["steps"]!;
    return sum;
  };
  const [tuned, plain] = [await total("canonTuned", [0, 1, 2, 3]), await total("drGrpoTuned", [0, 1, 2, 3])];
  expect(tuned / plain).toBeLessThan(0.85);
  expect(await total("directionalBonus", [0])).toBe(3000);
  expect(await total("directionalBonus", [1])).toBeLessThan(1000);
});

test("it trains a language model: halves by entropy, or by a schedule of mu", () =>
  withEngine(async (engine) => {
    const method = paper.method!({ environment });
    expect(describeMethod(method)["settings"]).toMatchObject({ metric: "entropy", mu: 1, high: 0.28, aggregation: "row-sum" });
    const reports = await all({ ...small, engine, method, steps: 2 });
    for (const report of reports) expect(report.gradientNorm).toBeGreaterThan(0);
    const { maxActions } = environment;
    const [first, second] = await all({
      ...small,
      engine,
      method: canon({ maxActions, groupSize: 4, mu: (at) => (at.inPhase === 0 ? 1 : 0.5) }),
      steps: 2,
    });
    // With mu 1/2 the advantages of a group sum to nothing, as those of Dr.GRPO.
    const sums = (report: typeof first): number[] => {
      const bySum = new Map<string, number>();
      for (const { rollout, advantage } of report!.rollouts!.drawn) bySum.set(rollout.group, (bySum.get(rollout.group) ?? 0) + advantage!);
      return [...bySum.values()];
    };
    for (const sum of sums(second)) expect(sum).toBeCloseTo(0, 6);
    expect(first!.loss).not.toBeNull();
  }));
