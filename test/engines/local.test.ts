import { afterAll, describe, expect, it } from "vitest";
import { concat } from "../../src/arrays/index.ts";
import { localEngine, localReader } from "../../src/engines/index.ts";
import { chunks, mostRows } from "../../src/engines/chunks.ts";
import { mlp } from "../../src/policies/mlp.ts";
import type { MlpConfig } from "../../src/policies/mlp.ts";
import type { ControlSequence, Policy, TextSequence } from "../../src/policies/policy.ts";
import { paddedLength } from "../../src/policies/shapes.ts";
import { symbolTokenizer } from "../../src/policies/tokenizer.ts";
import { transformer } from "../../src/policies/transformer.ts";
import { below, normal, stream } from "../../src/statistics/stream.ts";
import type { Rng } from "../../src/statistics/stream.ts";
import { expectNoLeak } from "../kit/leaks.ts";
import { engineContract, gradientBySnapshot } from "./contract.ts";
import type { Subject } from "./contract.ts";
import { aligned } from "./fused.ts";

const symbols = ["a", "b", "c", "d", "e", "f", "g", "h"];
const tokenizer = symbolTokenizer(symbols);
const decoder = (lora: boolean) =>
  transformer(
    {
      layers: 1,
      width: 16,
      heads: 2,
      vocabulary: tokenizer.vocabulary,
      context: 64,
      norm: "rms",
      positions: "rotary",
      activation: "swiglu",
      tied: false,
      valueHead: true,
      scoreHead: true,
    },
    { tokenizer, ...(lora ? { lora: { rank: 2, alpha: 4, targets: ["q_proj", "v_proj"] as const } } : {}) },
  );

const textRows = (count: number, seed: number, longest = 12): TextSequence[] => {
  const rng = stream(seed, "text");
  const ids = (length: number) => Int32Array.from({ length }, () => below(rng, symbols.length));
  return Array.from({ length: count }, () => ({ prompt: ids(1 + below(rng, 6)), actions: ids(1 + below(rng, longest)) }));
};

const controlRows =
  (config: MlpConfig) =>
  (count: number, seed: number): ControlSequence[] => {
    const rng = stream(seed, "control");
    const numbers = (length: number, draw: (rng: Rng) => number) => Float32Array.from({ length }, () => draw(rng));
    return Array.from({ length: count }, () => {
      const steps = 1 + below(rng, 14);
      const { actions } = config;
      return {
        observations: numbers(steps * config.observations, normal),
        actions: actions.kind === "gaussian" ? numbers(steps * actions.size, normal) : numbers(steps, () => below(rng, actions.count)),
      };
    });
  };

/** Engine and fused program of one policy. All parameters are moved off their special starting values (zero heads and adapters). */
async function subjectOf<X>(
  policy: Policy<X>,
  rows: (count: number, seed: number) => X[],
  tasks: Subject<X>["tasks"],
  o: { readonly cells?: number },
): Promise<Subject<X>> {
  const parameters = policy.init(7);
  for (const [name, tensor] of Object.entries(parameters)) {
    const rng = stream(8, name);
    tensor.data.forEach((x, i) => (tensor.data[i] = x + 0.1 * normal(rng)));
  }
  const engine = await localEngine({ policy, seed: 7, parameters, ...o });
  return {
    engine,
    weights: () => engine.weights(),
    rows,
    actions: (row) => policy.actions(row),
    tasks,
    dispose: () => engine.dispose(),
    model: {
      kernel: "compiled",
      trainable: (name) => policy.trainable(name),
      inputs: (given) => policy.collate(given, given.length, paddedLength(2 * Math.max(...given.map((row) => policy.cells(row))))),
      apply(weights, inputs, given, names, width) {
        const starts = given.map((row) => policy.start(row));
        return Object.fromEntries(
          Object.entries(policy.apply(weights, inputs, names)).map(([name, output]) => [name, aligned(output, starts, width, concat)]),
        );
      },
    },
  };
}

const policies: { dispose(): void }[] = [];
afterAll(() => policies.forEach((policy) => policy.dispose()));
const keep = <P extends { dispose(): void }>(policy: P): P => {
  policies.push(policy);
  return policy;
};

const tasks = ["a b", "c"].map((prompt, i) => ({ id: String(i), prompt }));
for (const lora of [false, true]) {
  const policy = keep(decoder(lora));
  engineContract<TextSequence>(
    `transformer${lora ? " with adapters" : ""}`,
    (o) => subjectOf(policy, textRows, tasks, o),
    (engine) => gradientBySnapshot(engine, (t) => t.data),
  );
}

const control: Readonly<Record<string, MlpConfig>> = {
  gaussian: { observations: 3, actions: { kind: "gaussian", size: 2, deviation: "head" }, hidden: [8], value: true, score: true },
  categorical: { observations: 2, actions: { kind: "categorical", count: 3 }, hidden: [8, 8], value: true },
};
for (const [kind, config] of Object.entries(control)) {
  const policy = keep(mlp(config));
  engineContract<ControlSequence>(
    `mlp (${kind})`,
    (o) => subjectOf(policy, controlRows(config), null, o),
    (engine) => gradientBySnapshot(engine, (t) => t.data),
  );
}

describe("chunks", () => {
  it("pads lengths to a short ladder of multiples of 8", () => {
    expect([1, 8, 9, 16, 17, 24, 25, 32, 33, 48, 49, 64, 65, 96, 97, 183, 300].map(paddedLength)).toEqual([
      8, 8, 16, 16, 24, 24, 32, 32, 48, 48, 64, 64, 96, 96, 128, 192, 384,
    ]);
  });

  it("keeps the budget, covers every row once, and wastes little", () => {
    const rng = stream(1, "lengths");
    for (let trial = 0; trial < 50; trial++) {
      const lengths = Array.from({ length: 1 + below(rng, 200) }, () => 6 + Math.floor(Math.exp(3 + normal(rng))));
      const cut = chunks(lengths, 6144);
      expect(cut.flatMap(({ members }) => members).sort((a, b) => a - b)).toEqual([...lengths.keys()]);
      for (const { members, rowCount, length } of cut) {
        expect(Math.log2(rowCount) % 1).toBe(0);
        expect(members.length).toBeLessThanOrEqual(rowCount);
        expect(Math.max(...members.map((i) => lengths[i]!))).toBeLessThanOrEqual(length);
        expect(rowCount * length <= 6144 || rowCount === 1).toBe(true);
      }
    }
    // The main job: 256 rows of 18 are one chunk of 256 x 24.
    expect(
      chunks(
        Array.from({ length: 256 }, () => 18),
        6144,
      ),
    ).toMatchObject([{ rowCount: 256, length: 24 }]);
    // A row longer than the budget stands alone.
    expect(chunks([7000, 10], 6144).map(({ rowCount, length }) => [rowCount, length])).toEqual([
      [1, 8192],
      [8, 16],
    ]);
  });
});

describe("local engine", () => {
  it("compiles few shapes over 200 random ragged batches", async () => {
    const policy = keep(mlp({ observations: 1, actions: { kind: "categorical", count: 2 }, hidden: [2] }));
    const engine = await localEngine({ policy, seed: 0, cells: 512 });
    const rng = stream(2, "batches");
    const shapes = new Set<string>();
    for (let batch = 0; batch < 200; batch++) {
      const rows = Array.from({ length: 1 + below(rng, 40) }, () => {
        const steps = 1 + below(rng, 60);
        return { observations: new Float32Array(steps), actions: new Float32Array(steps) };
      });
      for (const { rowCount, length } of chunks(
        rows.map(({ actions }) => actions.length),
        512,
      ))
        shapes.add(`${rowCount}x${length}`);
      await engine.forward(rows);
    }
    // For each length of the ladder the row counts are the powers of two from 8 (or the most that fit) to the most that fit.
    const ladder = [8, 16, 24, 32, 48, 64];
    const bound = ladder.reduce((sum, length) => sum + Math.max(1, Math.log2(mostRows(length, 512)) - 2), 0);
    expect(engine.compiledShapes).toBe(shapes.size);
    expect(shapes.size).toBeLessThanOrEqual(bound);
    expect(bound).toBe(13);
    engine.dispose();
  });

  it("leaks nothing, in any call or failure", async () => {
    const policy = keep(decoder(true));
    const engine = await localEngine({ policy, seed: 3, cells: 64 });
    const rows = textRows(9, 1);
    const gradients = { logProbs: rows.map((row) => new Float32Array(row.actions.length).fill(0.1)) };
    const bad = { logProbs: rows.map((row) => new Float32Array(row.actions.length).fill(NaN)) };
    const options = { learningRate: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
    await expectNoLeak(async () => {
      await engine.forward(rows, ["logProbs", "entropy"]);
      await engine.backward(rows, gradients);
      await engine.backward(rows, gradients);
      await engine.update(options);
      await engine.backward(rows, gradients);
      await engine.discard();
      const reader = await engine.freeze();
      await reader.forward(rows);
      reader.dispose!();
      const base = await engine.base!();
      await base.forward(rows);
      await base.features(rows);
      base.dispose();
      await engine.features(rows);
      await engine.restore(await engine.snapshot());
      await engine.resetOptimizer();
      await engine.backward(rows, bad);
      await expect(engine.update(options)).rejects.toThrow(/not finite/);
      await expect(
        engine.backward([...rows, { prompt: Int32Array.of(0), actions: Int32Array.of(999) }], {
          logProbs: [...gradients.logProbs, new Float32Array(1)],
        }),
      ).rejects.toThrow(/999/);
      await expect(engine.forward([...rows, { prompt: new Int32Array(0), actions: Int32Array.of(1) }])).rejects.toThrow(/prompt/);
    });
    engine.dispose();
  });

  it("reads the model under an adapter, which updates do not change", async () => {
    const policy = keep(decoder(true));
    const plain = keep(decoder(false));
    const all = policy.init(5);
    const frozen = Object.fromEntries(Object.entries(all).filter(([name]) => !policy.trainable(name)));
    const parameters = Object.fromEntries(
      Object.entries(all).map(([name, t]) => [
        name,
        { ...t, data: policy.trainable(name) ? t.data.map((x, i) => x + Math.sin(i)) : t.data },
      ]),
    );
    const engine = await localEngine({ policy, seed: 0, parameters });
    const model = await localEngine({ policy: plain, seed: 0, parameters: { ...plain.init(0), ...frozen } });
    const rows = textRows(5, 6);
    const base = await engine.base!();
    expect(base.outputs).toEqual(["logProbs", "entropy"]);
    const names = ["logProbs", "entropy"];
    const before = await base.forward(rows, names);
    expect(before).toEqual(await model.forward(rows, names));
    expect(before).not.toEqual(await engine.forward(rows, names));
    expect(await base.features(rows)).toEqual(await model.features(rows));
    await engine.backward(rows, { logProbs: rows.map((row) => new Float32Array(row.actions.length).fill(0.1)) });
    await engine.update({ learningRate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 });
    engine.dispose();
    expect(await base.forward(rows, names)).toEqual(before);
    await expect(base.forward(rows, ["value"])).rejects.toThrow(/no output "value"/);
    base.dispose();
    await expect(base.forward(rows)).rejects.toThrow(/disposed/);
    expect("base" in model).toBe(false);
    model.dispose();
  });

  it("reads a model that is not trained", async () => {
    const policy = keep(decoder(false));
    const parameters = policy.init(9);
    const rows = textRows(6, 7);
    await expectNoLeak(async () => {
      const reader = await localReader({ policy, parameters }, { cells: 64 });
      expect(reader.outputs).toEqual(policy.outputs);
      const engine = await localEngine({ policy, seed: 9, cells: 64 });
      expect(await reader.forward(rows, ["logProbs", "value"])).toEqual(await engine.forward(rows, ["logProbs", "value"]));
      engine.dispose();
      await expect(reader.forward(rows, ["reward"])).rejects.toThrow(/no output "reward"/);
      reader.dispose();
      reader.dispose();
      await expect(reader.forward(rows)).rejects.toThrow(/disposed/);
    });
  });

  it("gives one vector a row, whatever the chunks: the final hidden state that the score head reads at the row's end", async () => {
    const policy = keep(decoder(false));
    const parameters = policy.init(7);
    parameters["score.weight"]!.data.forEach((_, i, head) => (head[i] = Math.cos(i)));
    const rows = textRows(11, 8);
    const [whole, cut] = await Promise.all([6144, 64].map((cells) => localEngine({ policy, seed: 7, parameters, cells })));
    const features = await whole!.features(rows);
    expect(features.map((vector) => vector.length)).toEqual(rows.map(() => 16));
    const { score } = await whole!.forward(rows, ["score"]);
    features.forEach((vector, i) => expect(vector.reduce((sum, x, k) => sum + x * Math.cos(k), 0)).toBeCloseTo(score![i]!.at(-1)!, 5));
    (await cut!.features(rows)).forEach((vector, i) => vector.forEach((x, k) => expect(x).toBeCloseTo(features[i]![k]!, 5)));
    expect(await whole!.features([])).toEqual([]);
    const frozen = await cut!.freeze();
    expect((await frozen.features(rows)).length).toBe(11);
    for (const one of [frozen, whole!, cut!]) one.dispose();

    const control = await localEngine({
      policy: keep(mlp({ observations: 1, actions: { kind: "categorical", count: 2 }, hidden: [2] })),
      seed: 0,
    });
    await expect(control.features([])).rejects.toMatchObject({ code: "unsupported" });
    control.dispose();
  });

  it("refuses a snapshot of an adapter that was trained on other frozen weights", async () => {
    const policy = keep(decoder(true));
    const [one, same, other] = await Promise.all([3, 3, 4].map((seed) => localEngine({ policy, seed })));
    const saved = await one!.snapshot();
    await same!.restore(saved);
    await expect(other!.restore(saved)).rejects.toThrow(/other frozen weights/);
    for (const engine of [one, same, other]) engine!.dispose();
  });

  it("frees everything on dispose, readers when they are disposed", async () => {
    const policy = keep(mlp({ observations: 4, actions: { kind: "gaussian", size: 2 }, hidden: [64, 64] }));
    const row = { observations: new Float32Array(8), actions: new Float32Array(4) };
    await expectNoLeak(async () => {
      const engine = await localEngine({ policy, seed: 0 });
      const reader = await engine.freeze();
      await engine.backward([row], { logProbs: [Float32Array.of(1, 1)] });
      engine.dispose();
      engine.dispose();
      await expect(engine.forward([row])).rejects.toThrow(/disposed/);
      expect((await reader.forward([row]))["logProbs"]![0]!.length).toBe(2);
      reader.dispose!();
      await expect(reader.forward([row])).rejects.toThrow(/disposed/);
    });
  });

  it("decays matrices only, and updates what is trainable only", async () => {
    const policy = keep(decoder(true));
    const engine = await localEngine({ policy, seed: 3 });
    const before = await engine.weights();
    const rows = textRows(3, 2);
    await engine.backward(rows, { logProbs: rows.map((row) => new Float32Array(row.actions.length).fill(0.1)) });
    await engine.update({ learningRate: 1e-2, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 });
    const after = await engine.weights();
    for (const name of Object.keys(before)) if (!policy.trainable(name)) expect(after[name], name).toEqual(before[name]);
    // A fresh adapter's B is zero, so its A and the zero heads have no gradient of log-probabilities yet.
    const changed = Object.keys(before).filter((name) => after[name]!.data.some((x, i) => x !== before[name]!.data[i]));
    expect(changed.map((name) => name.replace(/.*(q|v)_proj/, "$1"))).toEqual(["q.lora_B.weight", "v.lora_B.weight"]);
    engine.dispose();

    const small = keep(mlp({ observations: 2, actions: { kind: "gaussian", size: 1 }, hidden: [3] }));
    const parameters = Object.fromEntries(
      Object.entries(small.init(0)).map(([name, t]) => [name, { ...t, data: new Float32Array(t.data.length).fill(1) }]),
    );
    const decaying = await localEngine({ policy: small, seed: 0, parameters });
    const row = { observations: new Float32Array(2), actions: new Float32Array(1) };
    await decaying.backward([row], { logProbs: [new Float32Array(1)] });
    await decaying.update({ learningRate: 0.5, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.2 });
    for (const [name, { shape, data }] of Object.entries(await decaying.weights()))
      for (const x of data) expect(x, name).toBeCloseTo(shape.length > 1 ? 0.9 : 1, 6);
    decaying.dispose();
  });
});
