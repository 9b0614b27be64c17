import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { compile, host, parseSafetensors, readAll, startArrays, valueAndGradient, values } from "../../src/arrays/index.ts";
import type { Arr, Arrays } from "../../src/arrays/index.ts";
import { readModel } from "../../src/policies/model-files.ts";
import type { TextSequence } from "../../src/policies/policy.ts";
import { symbolTokenizer } from "../../src/policies/tokenizer.ts";
import { transformer } from "../../src/policies/transformer.ts";
import type { TransformerPolicy } from "../../src/policies/transformer.ts";
import { resolve } from "../../src/policies/transformer-config.ts";
import type { TransformerConfig } from "../../src/policies/transformer-config.ts";
import { hidden, unembed } from "../../src/policies/transformer-layers.ts";
import type { HostTensor } from "../../src/statistics/snapshot.ts";

/** Golden values of Hugging Face transformers and peft: see test/golden/README.md. */
const goldens = join(import.meta.dirname, "../golden");
const tokenizer = symbolTokenizer(Array.from({ length: 32 }, (_, i) => (i === 2 ? "<eos>" : String(i))));

interface Golden {
  readonly loss: number;
  readonly rows: readonly {
    readonly prompt: number[];
    readonly actions: number[];
    readonly weights: number[];
    readonly logits: number[][];
    readonly logProbs: number[];
  }[];
}

/** Largest absolute difference over largest absolute value; where all are 0 (the gradient of a key's bias) over a thousandth. */
function distance(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  expect(ours.length).toBe(theirs.length);
  const difference = Array.from(theirs, (value, i) => Math.abs((ours[i] ?? NaN) - value));
  return Math.max(...difference) / Math.max(1e-3, ...Array.from(theirs, Math.abs));
}

/** Families without files of their own here: GPT-2, and the main job's model, with the same parts but for biases and tying. */
const layerNorm: TransformerConfig = {
  layers: 2,
  width: 24,
  heads: 4,
  hidden: 40,
  vocabulary: 32,
  context: 32,
  norm: "layer",
  positions: "learned",
  activation: "gelu",
  tied: false,
};
const configs: Readonly<Record<string, TransformerConfig>> = {
  gpt2: { ...layerNorm, tied: true, biases: ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"] },
  "layer-norm": layerNorm,
};

async function load(name: string): Promise<{ policy: TransformerPolicy; parameters: Readonly<Record<string, HostTensor>> }> {
  const folder = join(goldens, name);
  const config = configs[name];
  if (config) {
    const { tensors } = parseSafetensors(await readFile(join(folder, "model.safetensors")));
    return { policy: transformer(config, { tokenizer }), parameters: tensors };
  }
  return name.endsWith("-lora")
    ? readModel(join(goldens, name.replace("-lora", "")), { tokenizer, lora: folder })
    : readModel(folder, { tokenizer });
}

const cases = ["llama", "llama-tied", "qwen2", "qwen2-tied", "qwen3", "qwen3-tied", "llama-lora", "qwen2-lora"];

describe.each([
  ...cases.map((name) => [name, 1e-4, 1e-4] as const),
  // GELU here is a polynomial, 3.6e-5 from the exact form and 4.6e-4 from the one with tanh; gradients see its slope.
  ["gpt2", 1.5e-4, 1.5e-3],
  ["layer-norm", 3e-5, 3e-4],
] as const)("%s equals transformers and PyTorch", async (name, tolerance, slopeTolerance) => {
  const folder = join(goldens, name);
  const golden = JSON.parse(await readFile(join(folder, "golden.json"), "utf8")) as Golden;
  const gradients = parseSafetensors(await readFile(join(folder, "gradients.safetensors"))).tensors;
  const { policy, parameters } = await load(name);
  const trained = Object.keys(parameters).filter((key) => policy.trainable(key));
  const rows: TextSequence[] = golden.rows.map(({ prompt, actions }) => ({
    prompt: Int32Array.from(prompt),
    actions: Int32Array.from(actions),
  }));
  // One row and some positions more than needed: padding is part of the comparison.
  const [N, T] = [rows.length + 1, 16];
  const inputs = policy.collate(rows, N, T);
  const weights: HostTensor = { shape: [N, T], data: new Float32Array(N * T) };
  golden.rows.forEach((row, n) => weights.data.set(row.weights, n * T + policy.start(rows[n]!)));

  /** The golden loss, its gradient with respect to the trained parameters, and the log-probabilities [N, T]. */
  const run = (all: Arrays, given: Arrays, weight: Arr) => {
    const some: Arrays = Object.fromEntries(trained.map((key) => [key, all[key]!]));
    return valueAndGradient((parts) => {
      const { logProbs } = policy.apply({ ...all, ...parts }, given, ["logProbs"]);
      return { value: logProbs!.mul(weight).sum(), aux: { logProbs: logProbs! } };
    }, some);
  };
  /** Our log-probabilities of the golden rows' actions, one after the other. */
  const picked = (logProbs: ArrayLike<number>): number[] =>
    rows.flatMap((row, n) => Array.from(row.actions, (_, j) => logProbs[n * T + policy.start(row) + j]!));
  const expected = golden.rows.flatMap((row) => row.logProbs);

  const onHost = (tensors: Readonly<Record<string, HostTensor>>): Arrays =>
    Object.fromEntries(Object.entries(tensors).map(([key, { data, shape }]) => [key, host(data, shape)]));

  test("logits, in float64 on the host", () => {
    const lora = policy.lora ? { lora: policy.lora } : {};
    const model = { config: resolve(policy.architecture), parameters: onHost(parameters), ...lora };
    const ours = values(unembed(model, hidden(model, onHost(inputs))));
    const vocabulary = policy.architecture.vocabulary;
    golden.rows.forEach(({ logits }, n) =>
      expect(distance(ours.slice(n * T * vocabulary, (n * T + logits.length) * vocabulary), logits.flat())).toBeLessThan(tolerance),
    );
  });

  test("entropy, in float64 on the host", () => {
    const { entropy } = policy.apply(onHost(parameters), onHost(inputs), ["entropy"]);
    const theirs = golden.rows.flatMap(({ logits }, n) =>
      Array.from(rows[n]!.actions, (_, j) => {
        const at = logits[policy.start(rows[n]!) + j]!;
        const total = at.reduce((sum, x) => sum + Math.exp(x), 0);
        return Math.log(total) - at.reduce((sum, x) => sum + x * Math.exp(x), 0) / total;
      }),
    );
    expect(distance(picked(values(entropy!)), theirs)).toBeLessThan(tolerance);
  });

  test("log-probabilities and every parameter's gradient, in float64 on the host", () => {
    const { value, aux, gradient } = run(onHost(parameters), onHost(inputs), host(weights.data, weights.shape));
    expect(Math.abs(values(value)[0]! / golden.loss - 1)).toBeLessThan(tolerance);
    expect(distance(picked(values(aux.logProbs)), expected)).toBeLessThan(tolerance);
    expect(Object.keys(gradient).sort()).toEqual(Object.keys(gradients).sort());
    for (const [key, { data }] of Object.entries(gradients))
      expect(distance(values(gradient[key]!), data), key).toBeLessThan(slopeTolerance);
  });

  describe("in float32, compiled", () => {
    beforeAll(() => startArrays({ device: "wasm" }));
    test("log-probabilities and every parameter's gradient", async () => {
      const program = compile((all: Record<string, Arr>, given: Record<string, Arr>, weight: Arr) => {
        const { aux, gradient } = run(all, given, weight);
        return { logProbs: aux.logProbs, gradient };
      });
      const out = program.run(parameters, inputs, weights);
      const gradient = await readAll(out.gradient);
      expect(distance(picked(await out.logProbs.read()), expected)).toBeLessThan(tolerance);
      for (const [key, { data }] of Object.entries(gradients))
        expect(distance(gradient[key]!.data, data), key).toBeLessThan(slopeTolerance);
      for (const tensor of [out.logProbs, ...Object.values(out.gradient)]) tensor.dispose();
      program.dispose();
    });
  });
});
