import { beforeAll, describe, expect, test } from "vitest";
import { compile, host, startArrays, upload, valueAndGradient, values } from "../../src/arrays/index.ts";
import type { Arr, Arrays, HostArray } from "../../src/arrays/index.ts";
import type { TextSequence } from "../../src/policies/policy.ts";
import { parameterShapes } from "../../src/policies/transformer-config.ts";
import type { TransformerConfig } from "../../src/policies/transformer-config.ts";
import { transformer } from "../../src/policies/transformer.ts";
import { expectSameOnBothKernels } from "../kit/kernels.ts";
import type { TestInputs } from "../kit/kernels.ts";
import { expectNoLeak } from "../kit/leaks.ts";
import { families, numbers, scrambled } from "./tiny.ts";

const rows: TextSequence[] = [
  { prompt: Int32Array.of(1, 2), actions: Int32Array.of(3, 0, 4) },
  { prompt: Int32Array.of(4), actions: Int32Array.of(1, 1) },
];
const onHost = (arrays: Readonly<Record<string, HostArray>>): Arrays =>
  Object.fromEntries(Object.entries(arrays).map(([name, { shape, data }]) => [name, host(data, shape)]));
const asInputs = (arrays: Readonly<Record<string, HostArray>>, whole: boolean): TestInputs =>
  Object.fromEntries(
    Object.entries(arrays).map(([name, { shape, data }]) => [
      name,
      { shape, data: Array.from(data), whole: whole && (data instanceof Int32Array || name === "order") },
    ]),
  );

beforeAll(() => startArrays());

describe.each(Object.entries(families))("%s", (_, config) => {
  const policy = transformer(config, { tokenizer: numbers(config.vocabulary) });
  const parameters = scrambled(policy.init(1), 2);
  const inputs = policy.collate(rows, 2, 8);

  test.each([...policy.outputs, "features"])("%s: gradient by differences, and the same when compiled", async (name) => {
    const apply = (all: Arrays): Arr => (name === "features" ? policy.features(all, all) : policy.apply(all, all, [name])[name]!);
    await expectSameOnBothKernels(apply, { ...asInputs(parameters, false), ...asInputs(inputs, true) }, { tolerance: 5e-5 });
  });

  test("a row's outputs do not depend on padding or on other rows", () => {
    const all = onHost(parameters);
    const padded = policy.apply(all, onHost(inputs), policy.outputs);
    const alone = policy.apply(all, onHost(policy.collate([rows[1]!], 1, 3)), policy.outputs);
    for (const name of policy.outputs)
      for (let j = 0; j < 2; j++) expect(values(padded[name]!)[8 + j]).toBeCloseTo(values(alone[name]!)[j]!, 12);
    for (const name of policy.outputs) expect(values(padded[name]!).every(Number.isFinite)).toBe(true);
  });
});

test("logProbs and entropy are those of the softmax over each position's next token", () => {
  const config = { ...families["query and key norm, head size apart from width"]!, vocabulary: 3 };
  const policy = transformer(config, { tokenizer: numbers(3) });
  const all = onHost(scrambled(policy.init(1), 5));
  const logProbs = [0, 1, 2].map((token) => {
    const row = { prompt: Int32Array.of(2, 1), actions: Int32Array.of(token) };
    const { logProbs, entropy } = policy.apply(all, onHost(policy.collate([row], 1, 8)), ["logProbs", "entropy"]);
    return { logProb: values(logProbs!)[policy.start(row)]!, entropy: values(entropy!)[policy.start(row)]! };
  });
  expect(logProbs.reduce((sum, { logProb }) => sum + Math.exp(logProb), 0)).toBeCloseTo(1, 12);
  const entropy = -logProbs.reduce((sum, { logProb }) => sum + Math.exp(logProb) * logProb, 0);
  for (const each of logProbs) expect(each.entropy).toBeCloseTo(entropy, 12);
});

test("value belongs to the state before an action, score to the state after it", () => {
  const policy = transformer({ ...families["layer norm, learned positions, GELU"]! }, { tokenizer: numbers(5) });
  const raw = scrambled(policy.init(1), 3);
  const all = onHost({ ...raw, "value_head.weight": raw["score.weight"]! });
  const row = rows[0]!;
  const { value, score } = policy.apply(all, onHost(policy.collate([row], 1, 8)), ["value", "score"]);
  const [v, s, at] = [values(value!), values(score!), policy.start(row)];
  expect([s[at], s[at + 1]]).toEqual([v[at + 1], v[at + 2]]);
  const features = values(policy.features(all, onHost(policy.collate([row], 1, 8))));
  const weight = raw["score.weight"]!.data;
  expect(features.reduce((sum, x, i) => sum + x * weight[i]!, 0)).toBeCloseTo(s[at + 2]!, 12);
});

describe("LoRA", () => {
  const config = { ...families["RMS norm, rotary positions, SwiGLU, shared keys, biases"]!, scoreHead: true };
  const lora = { rank: 2, alpha: 6, targets: ["q_proj", "down_proj"] } as const;
  const policy = transformer(config, { tokenizer: numbers(5), lora });
  const plain = transformer(config, { tokenizer: numbers(5) });
  const logProbs = (of: typeof policy, parameters: Parameters<typeof onHost>[0]) =>
    values(of.apply(onHost(parameters), onHost(of.collate(rows, 2, 8)), ["logProbs"])["logProbs"]!);

  test("a fresh adapter changes nothing; a trained one equals the merged matrix; the base view ignores it", () => {
    const fresh = policy.init(4);
    expect(logProbs(policy, fresh)).toEqual(logProbs(plain, fresh));
    const trained = scrambled(fresh, 8);
    expect(logProbs(policy.base!, trained)).toEqual(logProbs(plain, trained));
    const merged = { ...trained };
    for (const path of ["self_attn.q_proj", "mlp.down_proj"]) {
      const name = `model.layers.0.${path}`;
      const [a, b] = ["A", "B"].map((m) => trained[`base_model.model.${name}.lora_${m}.weight`]!);
      const { shape, data } = trained[`${name}.weight`]!;
      const [outputs, inputs] = shape as [number, number];
      const sum = Float64Array.from(data);
      for (let o = 0; o < outputs; o++)
        for (let i = 0; i < inputs; i++)
          for (let r = 0; r < 2; r++) sum[o * inputs + i]! += 3 * b!.data[o * 2 + r]! * a!.data[r * inputs + i]!;
      merged[`${name}.weight`] = { shape, data: Float32Array.from(sum) };
    }
    const [adapted, whole] = [logProbs(policy, trained), logProbs(plain, merged)];
    adapted.forEach((x, i) => expect(x).toBeCloseTo(whole[i]!, 5));
    expect(adapted).not.toEqual(logProbs(plain, trained));
  });

  test("only adapters and heads are trained", () => {
    const names = Object.keys(parameterShapes(config, lora));
    expect(names.filter((name) => policy.trainable(name))).toEqual([
      "score.weight",
      "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
      "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
      "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight",
      "base_model.model.model.layers.0.mlp.down_proj.lora_B.weight",
    ]);
    expect(names.every((name) => plain.trainable(name) === true)).toBe(true);
  });

  test("gradients", async () => {
    const inputs = policy.collate(rows, 2, 8);
    const parameters = scrambled(policy.init(1), 9);
    const apply = (all: Arrays): Arr => policy.apply(all, all, ["logProbs"])["logProbs"]!;
    await expectSameOnBothKernels(apply, { ...asInputs(parameters, false), ...asInputs(inputs, true) }, { tolerance: 5e-5 });
  });
});

const mainJob: TransformerConfig = {
  layers: 3,
  width: 64,
  heads: 4,
  vocabulary: 110,
  context: 18,
  norm: "layer",
  positions: "learned",
  activation: "gelu",
  tied: false,
};

test("the main job's model has 163,584 weights, initialised as calibrated", () => {
  const parameters = transformer(mainJob, { tokenizer: numbers(110) }).init(0);
  expect(Object.values(parameters).reduce((sum, { data }) => sum + data.length, 0)).toBe(163_584);
  const deviation = (name: string) =>
    Math.sqrt(Array.from(parameters[name]!.data).reduce((sum, x) => sum + x * x, 0) / parameters[name]!.data.length);
  for (const [name, expected] of [
    ["model.embed_tokens.weight", 0.5],
    ["model.embed_positions.weight", 0.5],
    ["model.layers.0.self_attn.q_proj.weight", 1 / 8],
    ["model.layers.1.self_attn.o_proj.weight", 1 / 8 / Math.sqrt(6)],
    ["model.layers.2.mlp.up_proj.weight", 1 / 8],
    ["model.layers.2.mlp.down_proj.weight", 1 / 16 / Math.sqrt(6)],
    ["lm_head.weight", 0.5 / 8],
  ] as const)
    expect(deviation(name) / expected).toBeCloseTo(1, 1);
  expect(new Set(parameters["model.norm.weight"]!.data)).toEqual(new Set([1]));
  expect(new Set(parameters["model.norm.bias"]!.data)).toEqual(new Set([0]));
});

test("large vocabularies are computed with in smaller pieces", () => {
  const cells = (vocabulary: number) => transformer({ ...mainJob, vocabulary }, { tokenizer: numbers(110) }).comfortableCells;
  expect([110, 5000, 32_000, 151_936].map(cells)).toEqual([6144, 6144, 1049, 221]);
});

test("apply and its gradient leak nothing", async () => {
  const policy = transformer({ ...mainJob, layers: 1, valueHead: true }, { tokenizer: numbers(110) });
  const parameters = Object.fromEntries(Object.entries(policy.init(0)).map(([name, tensor]) => [name, upload(tensor)]));
  const program = compile((all: Arrays, inputs: Arrays) =>
    valueAndGradient((p) => {
      const { logProbs, value } = policy.apply(p, inputs, ["logProbs", "value"]);
      return { value: logProbs!.add(value!).sum(), aux: { logProbs: logProbs! } };
    }, all),
  );
  await expectNoLeak(async () => {
    const { value, aux, gradient } = program.run(parameters, policy.collate(rows, 16, 16));
    await value.read();
    for (const tensor of [value, aux.logProbs, ...Object.values(gradient)]) tensor.dispose();
  });
  expect(program.shapes).toBe(1);
});

test("wrong rows, prompts and models are refused by name", () => {
  const config = families["layer norm, learned positions, GELU"]!;
  const policy = transformer(config, { tokenizer: numbers(5) });
  const row = (prompt: number[], actions: number[]) => ({ prompt: Int32Array.from(prompt), actions: Int32Array.from(actions) });
  expect(() => policy.collate([rows[0]!, row([1], [5])], 2, 8)).toThrow("Row 1, answer token 0: id 5 is outside the vocabulary of 5.");
  expect(() => policy.collate([row([-1], [])], 1, 8)).toThrow("Row 0, prompt token 0: id -1");
  expect(() => policy.collate([row([], [1])], 1, 8)).toThrow("empty prompt");
  expect(() =>
    policy.collate(
      [
        row(
          [1],
          Array.from({ length: 12 }, () => 1),
        ),
      ],
      1,
      16,
    ),
  ).toThrow("more than the context of 12");
  expect(() => policy.begin({ id: "t", prompt: 7 })).toThrow("Task t");
  expect(() => policy.apply(onHost(policy.init(0)), onHost(policy.collate(rows, 2, 8)), ["reward"])).toThrow('no output "reward"');
  expect(() => policy.apply({}, onHost(policy.collate(rows, 2, 8)), ["logProbs"])).toThrow("model.embed_tokens.weight");
  expect(() => transformer(config, { tokenizer: numbers(6) })).toThrow("6 ids");
  expect(() => transformer({ ...config, heads: 3 }, { tokenizer: numbers(5) })).toThrow("headSize");
  expect(() => transformer(config, { tokenizer: numbers(5), lora: { rank: 1, alpha: 1, targets: ["gate_proj"] } })).toThrow("gate_proj");
});
