import { expect, test, vi } from "vitest";
import { softmaxEngine } from "../../src/engines/index.ts";
import { bandit, bradleyTerryPreferences, contest } from "../../src/environments/toy/index.ts";
import { inpo } from "../../src/papers/inpo.ts";
import { xpo } from "../../src/papers/xpo.ts";
import { onlineDpo, preferenceRounds, rolloutMethod } from "../../src/training/index.ts";

const game = bradleyTerryPreferences([0, 1, 3]);
const setting = { ...contest(game, 20), rounds: 4, updates: 5, keep: "all", seed: 2 } as const;
const learner = () => softmaxEngine(bandit({ tasks: 1, actions: 3 }));
const dpo = onlineDpo({ groupSize: 2, beta: 0.5, learningRate: 0.1 });

test("pairs of all rounds are kept as weights, or those of one round alone", async () => {
  for (const keep of ["all", "round"] as const) {
    const engine = learner();
    const weights: number[] = [];
    for await (const { examples } of preferenceRounds({ ...setting, keep, engine, method: dpo })) {
      expect(examples!.rows.length).toBeLessThanOrEqual(3);
      weights.push(examples!.sets!.weight.reduce((a, b) => a + b));
    }
    expect(weights).toEqual(keep === "all" ? [20, 40, 60, 80] : [20, 20, 20, 20]);
    expect(engine.weightsVersion).toBe(20);
    expect(engine.probs(0)[2]).toBeGreaterThan(0.4);
  }
});

test("the same seed gives the same weights, another seed others", async () => {
  const trained = async (seed: number): Promise<number[]> => {
    const engine = learner();
    for await (const _ of preferenceRounds({ ...setting, seed, engine, method: xpo({ groupSize: 1, referenceAnswers: 1 }) }));
    return [...engine.weights];
  };
  expect(await trained(1)).toEqual(await trained(1));
  expect(await trained(1)).not.toEqual(await trained(2));
});

test("the optimizer begins each round afresh", async () => {
  const engine = learner();
  const reset = vi.spyOn(engine, "resetOptimizer");
  for await (const _ of preferenceRounds({ ...setting, engine, method: dpo }));
  expect(reset).toHaveBeenCalledTimes(4);
});

test("coefficients follow their schedules", async () => {
  const seen: number[] = [];
  const method = { ...dpo, coefficients: { beta: ({ step }: { readonly step: number }) => (seen.push(step), 0.5) } };
  for await (const _ of preferenceRounds({ ...setting, engine: learner(), method }));
  expect([...new Set(seen)]).toEqual([0, 1, 2, 3]);
});

test("what has no place here is refused, and so is what cannot be", async () => {
  const run = (method: typeof dpo, keep: "all" | "round" = "round") =>
    preferenceRounds({ ...setting, keep, engine: learner(), method }).next();
  await expect(run({ ...dpo, dynamicSampling: { rounds: 2 } })).rejects.toThrow(/no place/);
  await expect(run({ ...dpo, epochs: 2 })).rejects.toThrow(/no place/);
  await expect(run(inpo({ groupSize: 2 }), "all")).rejects.toThrow(/moves/);
  expect(() => inpo({ ratio: 1.5 })).toThrow(/weight in \[0, 1\]/);
  expect(() => inpo({ every: 0 })).toThrow(/every 0 steps/);
  expect(() => xpo({ referenceAnswers: -1 })).toThrow(/referenceAnswers is -1/);
  expect(() => rolloutMethod({ ...dpo, name: "alone" }, { groupSize: 1 })).toThrow(/groupSize is 1/);
});
