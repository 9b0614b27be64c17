import { describe, expect, it } from "vitest";
import { softmaxEngine } from "../../src/engines/index.ts";
import { bandit, chain, finiteTasks, grid, lock, stepActions, stepTask } from "../../src/environments/toy/index.ts";
import type { Finite } from "../../src/environments/toy/index.ts";
import { normal, stream } from "../../src/statistics/stream.ts";
import type { SoftmaxEngine, StepReward } from "../../src/engines/index.ts";

const shaken = (engine: SoftmaxEngine, scale = 1): SoftmaxEngine => {
  engine.weights.forEach((_, i) => (engine.weights[i] = scale * normal(stream(4, i))));
  return engine;
};
const requests = (process: Finite, count: number, seed = 1) =>
  Array.from({ length: count }, (_, i) => ({
    task: finiteTasks(process)[i % process.tasks]!,
    group: String(i % process.tasks),
    rng: stream(seed, i),
  }));

describe("linear-softmax policy", () => {
  it("has logits base + gain * features . weights", () => {
    const engine = softmaxEngine(bandit({ tasks: 2, actions: 2 }), {
      base: (s, a) => (s === 1 && a === 1 ? Math.log(3) : 0),
      features: (s, a) => [a, s * a],
      gain: 2,
    });
    expect([...engine.probs(1)]).toEqual([expect.closeTo(0.25, 12), expect.closeTo(0.75, 12)]);
    engine.weights.set([1, 0.5]);
    expect(engine.probs(0)[1]).toBeCloseTo(1 / (1 + Math.exp(-2)), 12);
    expect(engine.probs(1)[1]).toBeCloseTo(1 / (1 + Math.exp(-3) / 3), 12);
  });

  it("gives log-probability, entropy and value of each step", async () => {
    const engine = softmaxEngine(lock({ tasks: 1, length: 2, symbols: 2 }), {
      base: (s, a) => (s === 0 ? Math.log([0.2, 0.8][a]!) : 0),
      values: true,
    });
    engine.parameters["values"]!.set([3, -1]);
    const row = { states: Int32Array.of(0, 1), actions: Int32Array.of(1, 0) };
    const { logProbs, entropy, value } = await engine.forward([row], ["logProbs", "entropy", "value"]);
    expect([...logProbs![0]!]).toEqual([expect.closeTo(Math.log(0.8), 6), expect.closeTo(Math.log(0.5), 6)]);
    expect([...entropy![0]!]).toEqual([expect.closeTo(-0.2 * Math.log(0.2) - 0.8 * Math.log(0.8), 6), expect.closeTo(Math.log(2), 6)]);
    expect([...value![0]!]).toEqual([3, -1]);
  });

  it("never takes a forbidden action, and has finite gradients beside it", async () => {
    const process = bandit({ tasks: 1, actions: 3 });
    const engine = softmaxEngine(process, { base: (_, a) => (a === 1 ? -Infinity : 0) });
    const rollouts = await engine.sample(requests(process, 200), { maxActions: 1 });
    expect(rollouts.filter(({ row }) => row.actions[0] === 1)).toEqual([]);
    const rows = rollouts.slice(0, 2).map(({ row }) => row);
    await engine.backward(rows, { logProbs: rows.map((_, i) => Float32Array.of(-1 - i)), entropy: rows.map(() => Float32Array.of(-1)) });
    const { gradientNorm } = await engine.update({ learningRate: 0.1, beta1: 0.9, beta2: 0.9, epsilon: 1e-8 });
    expect(gradientNorm).toBeGreaterThan(0);
    expect(engine.weights[1]).toBe(0);
  });

  it("samples each action as often as its probability says, at any temperature", async () => {
    const process = bandit({ tasks: 1, actions: 3 });
    const engine = softmaxEngine(process, { base: (_, a) => Math.log([0.1, 0.3, 0.6][a]!) });
    const share = async (o: { temperature?: number; topK?: number; topP?: number }) => {
      const rollouts = await engine.sample(requests(process, 4000), { maxActions: 1, ...o });
      const counts = [0, 0, 0];
      for (const { row, behaviourLogProbs } of rollouts) {
        counts[row.actions[0]!]!++;
        expect(Number.isFinite(behaviourLogProbs[0])).toBe(true);
      }
      return { counts: counts.map((c) => c / 4000), first: rollouts[0]! };
    };
    const plain = await share({});
    [0.1, 0.3, 0.6].forEach((p, a) => expect(plain.counts[a]).toBeCloseTo(p, 1));
    const hot = await share({ temperature: 2 });
    const root = [0.1, 0.3, 0.6].map(Math.sqrt);
    root.forEach((p, a) => expect(hot.counts[a]).toBeCloseTo(p / (root[0]! + root[1]! + root[2]!), 1));
    expect(hot.first.sampling.temperature).toBe(2);
    expect((await share({ topK: 2 })).counts[0]).toBe(0);
    expect((await share({ topP: 0.5 })).counts).toEqual([0, 0, 1]);
    const greedy = await share({ temperature: 0 });
    expect(greedy.counts).toEqual([0, 0, 1]);
  });

  it("walks until the process ends, the horizon or the most actions, and goes on from a given walk", async () => {
    const process = lock({ tasks: 2, length: 4, symbols: 2 });
    const engine = softmaxEngine(process);
    const [whole] = await engine.sample(requests(process, 1), { maxActions: 9 });
    expect([...whole!.row.states]).toEqual([0, 1, 2, 3]);
    expect(whole!.stop).toBe("stop");
    const [cut] = await engine.sample(requests(process, 1), { maxActions: 2, record: ["entropy"] });
    expect(cut!.stop).toBe("length");
    expect(cut!.recorded!["entropy"]).toEqual(new Float32Array(2).fill(Math.log(2)));
    const [on] = await engine.sample([{ ...requests(process, 1)[0]!, from: cut!.row }], { maxActions: 9, record: ["entropy"] });
    expect([...on!.row.states]).toEqual([0, 1, 2, 3]);
    expect(on!.row.actions.slice(0, 2)).toEqual(cut!.row.actions);
    expect([...on!.mask]).toEqual([0, 0, 1, 1]);
    expect(on!.behaviourLogProbs.slice(0, 2)).toEqual(new Float32Array(2));
    const corridor = chain({ length: 9, horizon: 3 });
    const [tired] = await softmaxEngine(corridor).sample(requests(corridor, 1), { maxActions: 9 });
    expect([tired!.row.actions.length, tired!.stop]).toEqual([3, "length"]);
  });

  it("says which task or walk does not fit", async () => {
    const process = bandit({ tasks: 2, actions: 2 });
    const engine = softmaxEngine(process);
    await expect(engine.sample([{ task: { id: "x", prompt: "hello" }, group: "", rng: () => 0 }], { maxActions: 1 })).rejects.toThrow(
      /task "x"/,
    );
    await expect(engine.forward([{ states: Int32Array.of(2), actions: Int32Array.of(0) }])).rejects.toThrow(/state 2/);
    await expect(engine.forward([{ states: Int32Array.of(0, 1), actions: Int32Array.of(0) }])).rejects.toThrow(/2 states and 1 actions/);
    await expect(engine.sample(requests(process, 1), { maxActions: 1, record: ["score"] })).rejects.toThrow(/"score"/);
    expect(() => softmaxEngine(process, { features: (s) => new Float64Array(1 + s) })).toThrow(/features\(1, 0\)/);
  });
});

describe("exact values", () => {
  it("are those of a bandit and a stopping task, by hand", () => {
    const two = softmaxEngine(bandit({ tasks: 2, actions: 2 }), {
      base: (s, a) =>
        Math.log(
          [
            [0.2, 0.8],
            [0.5, 0.5],
          ][s]![a]!,
        ),
    });
    // Task 0 pays for action 1, task 1 pays 3 for action 0; tasks weigh the same.
    const reward: StepReward = (s, a) => (s === 0 ? a : 3 * (1 - a));
    expect(two.exact.value(reward)).toBeCloseTo((0.8 + 1.5) / 2, 12);
    // d value / d logit[s, a] = p (r - value of s) / 2
    expect([...two.exact.gradient(reward)]).toEqual([-0.08, 0.08, 0.375, -0.375].map((g) => expect.closeTo(g, 12)));
    // Uniform over useful, filler, stop; needs one useful step, three actions: success = 1/3*1/3 + 1/3*(1/3*1/3)*2.
    const process = stepTask({ needs: [1], horizon: 3 });
    const success: StepReward = (s, a) => (a === stepActions.stop && s >= 1 ? 1 : 0);
    expect(softmaxEngine(process).exact.value(success)).toBeCloseTo(1 / 9 + 3 / 27, 12);
  });

  it("agree with finite differences and with sampling, also where the process draws", async () => {
    const process = grid({ width: 3, height: 3, horizon: 6, start: [0, 2], goal: 8, walls: [4], slip: 0.3 });
    for (const features of [undefined, (s: number, a: number) => [Math.sin(s + a), Math.cos(2 * s - a), a === 2 ? 1 : 0]]) {
      const engine = shaken(softmaxEngine(process, features ? { features, gain: 0.7 } : {}));
      const reward: StepReward = (s, a, next) => (next === -1 ? 5 : -0.1 * a) + 0.01 * s;
      const gradient = engine.exact.gradient(reward);
      const h = 1e-5;
      engine.weights.forEach((w, i) => {
        engine.weights[i] = w + h;
        const up = engine.exact.value(reward);
        engine.weights[i] = w - h;
        const down = engine.exact.value(reward);
        engine.weights[i] = w;
        expect(gradient[i]).toBeCloseTo((up - down) / (2 * h), 7);
      });
      const rollouts = await engine.sample(requests(process, 6000), { maxActions: 6 });
      const reached = rollouts.filter(({ stop }) => stop === "stop").length / 6000;
      const exact = engine.exact.value((_s, _a, next) => (next === -1 ? 1 : 0));
      expect(Math.abs(reached - exact)).toBeLessThan(4 * Math.sqrt((exact * (1 - exact)) / 6000));
    }
  });

  it("has the divergence of two policies over whole walks", () => {
    const process = lock({ tasks: 2, length: 3, symbols: 2 });
    const engine = shaken(softmaxEngine(process));
    const other = softmaxEngine(process);
    expect(engine.exact.klTo(engine)).toBeCloseTo(0, 12);
    let expected = 0;
    for (let s = 0; s < 6; s++) for (const p of engine.probs(s)) expected += (p * Math.log(p / 0.5)) / 2;
    expect(engine.exact.klTo(other)).toBeCloseTo(expected, 12);
    expect(other.exact.klTo({ probs: () => [1, 0] })).toBe(Infinity);
  });
});
