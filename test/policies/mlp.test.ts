import { afterAll, describe, expect, it } from "vitest";
import { localEngine } from "../../src/engines/index.ts";
import { mlp } from "../../src/policies/mlp.ts";
import type { MlpConfig, MlpPolicy } from "../../src/policies/mlp.ts";
import type { ControlSequence } from "../../src/policies/policy.ts";
import { normal, stream } from "../../src/statistics/stream.ts";
import { expectSameOnBothKernels, finiteDifferences } from "../kit/kernels.ts";
import { expectNoLeak } from "../kit/leaks.ts";

const made: MlpPolicy[] = [];
afterAll(() => made.forEach((policy) => policy.dispose()));
const policyOf = (config: MlpConfig): MlpPolicy => {
  const policy = mlp(config);
  made.push(policy);
  return policy;
};
const gaussian = (deviation: "parameter" | "head") =>
  policyOf({ observations: 2, actions: { kind: "gaussian", size: 2, deviation }, hidden: [4], value: true, score: true });
const categorical = () => policyOf({ observations: 3, actions: { kind: "categorical", count: 3 }, hidden: [5], score: 2 });

/** Parameters moved off their start, where the policy hardly depends on what it sees. */
function shaken(policy: MlpPolicy) {
  const parameters = policy.init(1);
  for (const [name, { data }] of Object.entries(parameters)) data.forEach((x, i) => (data[i] = x + 0.5 * normal(stream(2, name, i))));
  return parameters;
}

const row = (observations: number[], actions: number[]): ControlSequence => ({
  observations: Float32Array.from(observations),
  actions: Float32Array.from(actions),
});

describe("mlp policy", () => {
  it("has the log-density and entropy of its Gaussian, by hand", async () => {
    const policy = policyOf({ observations: 1, actions: { kind: "gaussian", size: 2 }, hidden: [], value: true });
    const parameters = {
      "policy.0.weight": { shape: [1, 2], data: Float32Array.of(1, -1) },
      "policy.0.bias": { shape: [2], data: Float32Array.of(0, 1) },
      "policy.logDeviation": { shape: [2], data: Float32Array.of(0, Math.log(2)) },
      "value.0.weight": { shape: [1, 1], data: Float32Array.of(3) },
      "value.0.bias": { shape: [1], data: Float32Array.of(1) },
    };
    const engine = await localEngine({ policy, seed: 0, parameters });
    // Mean (0.5, 0.5), deviations (1, 2), action (1.5, 0.5).
    const out = await engine.forward([row([0.5], [1.5, 0.5])], ["logProbs", "entropy", "value"]);
    expect(out["logProbs"]![0]![0]).toBeCloseTo(-0.5 - Math.log(2 * Math.PI) - Math.log(2), 5);
    expect(out["entropy"]![0]![0]).toBeCloseTo(1 + Math.log(2 * Math.PI) + Math.log(2), 5);
    expect(out["value"]![0]![0]).toBeCloseTo(2.5, 6);
    engine.dispose();
  });

  for (const [name, policy, rows] of [
    ["Gaussian, own deviation", gaussian("parameter"), [row([1, -1, 0.3, 2], [0.1, 0.2, -1, 0.5]), row([0.4, 0.4], [1, 1])]],
    ["Gaussian, deviation from the network", gaussian("head"), [row([1, -1, 0.3, 2], [0.1, 0.2, -1, 0.5]), row([0.4, 0.4], [1, 1])]],
    ["categorical", categorical(), [row([1, -1, 0.3, 2, 0.5, 0.2], [2, 0]), row([0.4, 0.4, 1], [1])]],
  ] as const)
    it(`is the same on both kernels, and has right gradients: ${name}`, async () => {
      const inputs = policy.collate(rows, 2, 2);
      const numbers = (t: { shape: readonly number[]; data: ArrayLike<number> }) => ({ shape: t.shape, data: Array.from(t.data) });
      const parameters = Object.fromEntries(Object.entries(shaken(policy)).map(([key, t]) => [key, numbers(t)]));
      const fixed = Object.fromEntries(
        Object.entries(inputs).map(([key, t]) => [`input ${key}`, { ...numbers(t), whole: t.data instanceof Int32Array }]),
      );
      for (const output of policy.outputs) {
        const f = (all: Parameters<typeof policy.apply>[0]) =>
          policy.apply(all, { observations: all["input observations"]!, actions: all["input actions"]! }, [output])[output]!;
        await expectSameOnBothKernels(f, { ...parameters, ...fixed });
        finiteDifferences(f, { ...parameters, ...fixed });
      }
    });

  it("acts as it is trained: act's log-probabilities and values are the engine's", async () => {
    for (const policy of [gaussian("parameter"), gaussian("head"), categorical()]) {
      const engine = await localEngine({ policy, seed: 0, parameters: shaken(policy) });
      const O = policy.architecture.observations;
      const observations = Float32Array.from({ length: 5 * O }, (_, i) => Math.sin(i));
      const rngs = () => Array.from({ length: 5 }, (_, b) => stream(3, b));
      const acted = await policy.act(engine.parameters, observations, rngs());
      const size = acted.actions.length / 5;
      const rows = Array.from({ length: 5 }, (_, b) => ({
        observations: observations.slice(b * O, (b + 1) * O),
        actions: acted.actions.slice(b * size, (b + 1) * size),
      }));
      const names = policy.outputs.includes("value") ? ["logProbs", "value"] : ["logProbs"];
      const out = await engine.forward(rows, names);
      for (let b = 0; b < 5; b++) {
        expect(acted.logProbs[b]).toBeCloseTo(out["logProbs"]![b]![0]!, 4);
        if (acted.value) expect(acted.value[b]).toBeCloseTo(out["value"]![b]![0]!, 5);
      }
      // The batch's make-up changes nothing.
      const alone = await policy.act(engine.parameters, observations.slice(4 * O), [stream(3, 4)]);
      expect(alone.actions).toEqual(acted.actions.slice(4 * size));
      const greedy = await policy.act(engine.parameters, observations);
      expect([...(await policy.act(engine.parameters, observations)).actions]).toEqual([...greedy.actions]);
      expect(Math.max(...greedy.logProbs.map((l, b) => acted.logProbs[b]! - l))).toBeLessThanOrEqual(1e-6);
      await expectNoLeak(() => policy.act(engine.parameters, observations, rngs()));
      engine.dispose();
    }
  });

  it("says what does not fit", async () => {
    const policy = categorical();
    expect(() => mlp({ observations: 0, actions: { kind: "categorical", count: 2 }, hidden: [] })).toThrow(/observations/);
    expect(() => policy.collate([row([1, 2], [0])], 1, 8)).toThrow(/Row 0 has 2 observation numbers/);
    expect(() => policy.collate([row([1, 2, 3], [3])], 1, 8)).toThrow(/action 3/);
    await expect(policy.sample({}, [], { maxActions: 1 })).rejects.toMatchObject({ code: "unsupported" });
    await expect(policy.act({}, new Float32Array(4))).rejects.toThrow(/3 numbers/);
  });
});
