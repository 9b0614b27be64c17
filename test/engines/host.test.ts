import { adamw, clipByGlobalNorm, exp, globalNorm, host, logSoftmax, matmul, oneHot, values } from "../../src/arrays/index.ts";
import { describe, expect, it } from "vitest";
import { softmaxEngine } from "../../src/engines/index.ts";
import { finiteTasks, lock } from "../../src/environments/toy/index.ts";
import type { StateSequence } from "../../src/policies/policy.ts";
import { below, normal, stream } from "../../src/statistics/stream.ts";
import { engineContract, gradientBySnapshot } from "./contract.ts";
import type { Subject } from "./contract.ts";

const process = lock({ tasks: 3, length: 4, symbols: 3 });
const { states: S, actions: A } = process;

const rows = (count: number, seed: number): StateSequence[] => {
  const rng = stream(seed, "walks");
  return Array.from({ length: count }, () => {
    const length = 1 + below(rng, process.horizon);
    const start = process.start(below(rng, process.tasks));
    return { states: Int32Array.from({ length }, (_, t) => start + t), actions: Int32Array.from({ length }, () => below(rng, A)) };
  });
};

const doubles = (words: ArrayLike<number>): Float64Array => new Float64Array(Int32Array.from(words).buffer);

for (const kind of ["table", "features"] as const) {
  const K = 5;
  const noise = stream(1, "features");
  const phi = Float64Array.from({ length: S * A * K }, () => normal(noise));
  const base = Float64Array.from({ length: S * A }, () => normal(noise));
  const gain = 1.5;
  engineContract<StateSequence>(
    `softmax (${kind})`,
    async () => {
      const engine = softmaxEngine(process, {
        base: (s, a) => base[s * A + a]!,
        gain,
        values: true,
        scores: true,
        ...(kind === "features" ? { features: (s, a) => phi.subarray((s * A + a) * K, (s * A + a + 1) * K) } : {}),
      });
      engine.weights.forEach((_, i) => (engine.weights[i] = 0.3 * normal(stream(2, i))));
      for (const name of ["values", "scores"])
        engine.parameters[name]!.forEach((_, i) => (engine.parameters[name]![i] = normal(stream(3, i))));
      const subject: Subject<StateSequence> = {
        engine,
        weights: async () =>
          Object.fromEntries(Object.entries(engine.parameters).map(([name, p]) => [name, { shape: [p.length], data: p.slice() }])),
        rows,
        actions: (row) => row.actions.length,
        tasks: finiteTasks(process),
        dispose: () => {},
        model: {
          kernel: "host",
          trainable: () => true,
          inputs: () => ({}),
          apply(parameters, _, given, names, width) {
            const weights = parameters["weights"]!;
            const own = kind === "features" ? matmul(host(phi, [S * A, K]), weights.reshape([K, 1])) : weights;
            const logits = host(base, [S, A]).add(own.reshape([S, A]).mul(gain));
            const log = logSoftmax(logits);
            const pick = (index: (row: StateSequence, j: number) => number, n: number) =>
              oneHot(
                host(
                  given.flatMap((row) => Array.from({ length: width }, (__, j) => (j < row.actions.length ? index(row, j) : 0))),
                  [given.length * width],
                ),
                n,
              );
            const at = {
              states: pick((row, j) => row.states[j]!, S),
              cells: pick((row, j) => row.states[j]! * A + row.actions[j]!, S * A),
            };
            const shape = [given.length, width];
            const outputs = {
              logProbs: () => matmul(at.cells, log.reshape([S * A, 1])).reshape(shape),
              entropy: () => matmul(at.states, exp(log).mul(log).sum(1).neg().reshape([S, 1])).reshape(shape),
              value: () => matmul(at.states, parameters["values"]!.reshape([S, 1])).reshape(shape),
              score: () => matmul(at.cells, parameters["scores"]!.reshape([S * A, 1])).reshape(shape),
            };
            return Object.fromEntries(names.map((name) => [name, outputs[name as keyof typeof outputs]()]));
          },
        },
      };
      return subject;
    },
    (engine) => gradientBySnapshot(engine, (t) => doubles(t.data)),
  );
}

describe("host engine", () => {
  it("takes the steps of the arrays room's AdamW, with clipping, and decays no vectors", async () => {
    const engine = softmaxEngine(lock({ tasks: 1, length: 2, symbols: 3 }));
    const row = { states: Int32Array.of(0, 1), actions: Int32Array.of(2, 0) };
    let parameter = host(new Float64Array(6), [6]);
    let [m, v] = [parameter, parameter];
    for (let step = 1; step <= 4; step++) {
      const gradients = { logProbs: [Float32Array.of(-2 * step, 1)] };
      // d log p[taken] / d logits = one-hot - p
      const p = [0, 1].map((s) => engine.probs(s));
      const gradient = host(
        p.flatMap((probs, s) => [...probs].map((q, a) => gradients.logProbs[0]![s]! * ((a === row.actions[s] ? 1 : 0) - q))),
        [6],
      );
      const norm = values(globalNorm({ gradient }))[0]!;
      await engine.backward([row], gradients);
      const { gradientNorm } = await engine.update({
        learningRate: 0.1,
        beta1: 0.8,
        beta2: 0.9,
        epsilon: 1e-6,
        clipNorm: 1,
        weightDecay: 0.5,
      });
      expect(gradientNorm).toBeCloseTo(norm, 12);
      const clipped = clipByGlobalNorm({ gradient }, 1)["gradient"]!;
      ({ parameter, m, v } = adamw(parameter, clipped, m, v, {
        learningRate: 0.1,
        beta1: 0.8,
        beta2: 0.9,
        epsilon: 1e-6,
        weightDecay: 0,
        bias1: 1 - 0.8 ** step,
        bias2: 1 - 0.9 ** step,
      }));
      // The convention differs by 1e-6 in the norm.
      values(parameter).forEach((w, i) => expect(engine.weights[i]).toBeCloseTo(w, 5));
    }
  });

  it("descends plainly when asked, and projects after each update", async () => {
    const engine = softmaxEngine(lock({ tasks: 1, length: 1, symbols: 2 }), {
      optimizer: "sgd",
      project: (w) => w.forEach((x, i) => (w[i] = Math.min(x, 0.2))),
    });
    const row = { states: Int32Array.of(0), actions: Int32Array.of(1) };
    await engine.backward([row], { logProbs: [Float32Array.of(-1)] });
    await engine.update({ learningRate: 0.5, beta1: 0, beta2: 0, epsilon: 1 });
    // gradient = -(one-hot - 1/2), times -0.5; the second weight is held at 0.2.
    expect([...engine.weights]).toEqual([-0.25, 0.2]);
  });
});
