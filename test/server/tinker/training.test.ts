import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { localEngine } from "../../../src/engines/index.ts";
import { readAdapter, readModel } from "../../../src/policies/index.ts";
import { backward, datum, folder, forward, logProbs, open, step, type Client } from "./client.ts";
import { tinyModel } from "./model.ts";

const data = folder();
let tiny: Awaited<ReturnType<typeof tinyModel>>;
let server: Client;
beforeAll(async () => {
  tiny = await tinyModel();
  server = await open(tiny.folder, data.path);
});
afterAll(async () => {
  await server.close();
  tiny.remove();
  data.remove();
});

const rows = [
  [5, 6, 7, 8, 9],
  [10, 11, 12],
  [20, 21, 22, 23],
];
const all = rows.map((tokens) => datum(tokens));
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

test("what the server is", async () => {
  expect((await server.get("healthz")).body).toEqual({ status: "ok" });
  expect((await server.get("get_server_capabilities")).body).toMatchObject({
    supported_models: [{ model_name: "tiny", max_context_length: 64 }],
  });
  const id = await server.adapter({ rank: 4, seed: 3, train_mlp: false });
  expect((await server.post("get_info", { model_id: id })).body).toMatchObject({
    model_id: id,
    status: "created",
    is_lora: true,
    lora_rank: 4,
    model_data: {
      model_name: "tiny",
      base_model: "tiny",
      lora_config: { rank: 4, seed: 3, train_attn: true, train_mlp: false, train_unembed: false },
    },
  });
});

describe("training is the local engine's", () => {
  const lora = {
    rank: 4,
    alpha: 32,
    targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] as const,
  };
  const adam = { learningRate: 0.02, beta1: 0.8, beta2: 0.9, epsilon: 1e-6, weightDecay: 0.1, clipNorm: 0.5 };
  const sent = { learning_rate: 0.02, beta1: 0.8, beta2: 0.9, eps: 1e-6, weight_decay: 0.1, grad_clip_norm: 0.5 };
  const sequences = rows.map(([first, ...rest]) => ({ prompt: Int32Array.of(first!), actions: Int32Array.from(rest) }));

  test("forward, accumulated gradients, every constant of Adam, the norm before clipping", async () => {
    const model = await server.adapter({ rank: 4, seed: 11 });
    const { policy, parameters } = await readModel(tiny.folder, { lora, seed: 11 });
    const local = await localEngine({ policy, parameters, seed: 11 });
    let seq = 0;
    for (let round = 0; round < 2; round++) {
      const before = await local.forward(sequences);
      const got = logProbs(await server.run("forward", forward(model, ++seq, all)));
      before["logProbs"]!.flatMap((row) => [...row]).forEach((value, i) => expect(got[i]).toBeCloseTo(value, 5));
      // Two requests whose gradients add up; weights of either sign.
      for (const [weight, from, to] of [
        [1, 0, 2],
        [-0.5, 2, 3],
      ] as const) {
        const part = sequences.slice(from, to);
        await local.backward(part, { logProbs: part.map((row) => new Float32Array(row.actions.length).fill(-weight)) });
        const weighted = rows.slice(from, to).map((tokens) => datum(tokens, { weights: tokens.slice(1).map(() => weight) }));
        const made = await server.run("forward_backward", backward(model, ++seq, weighted));
        expect(made.body.metrics!["loss:sum"]).toBeCloseTo(-weight * sum(logProbs(made)), 5);
      }
      const { gradientNorm } = await local.update(adam);
      const made = await server.run("optim_step", step(model, ++seq, sent));
      expect(made.body.metrics!["grad_norm"]).toBeCloseTo(gradientNorm!, 3);
    }
    const saved = await server.run("save_weights", { model_id: model, seq_id: ++seq, path: "two" });
    expect(saved.body.path).toBe(`tinker://${model}/weights/two`);
    const where = join(data.path, "models", model.replaceAll(":", "."), "weights", "two");
    const { parameters: written, lora: writtenLora } = await readAdapter(where, policy.architecture);
    expect(writtenLora).toEqual(lora);
    const weights = await local.weights();
    for (const [name, { data: values }] of Object.entries(written))
      values.forEach((value, i) => expect(Math.abs(value - (weights[name]!.data[i] as number))).toBeLessThan(2e-5));
    local.dispose();
    policy.dispose();
  });
});

describe("the losses that the server computes", () => {
  // One row of two targets: sums over tokens, by hand.
  const old = [-5, -6];
  const advantages = [2, -1];
  const weights = [1, 0.5];
  const tokens = [5, 6, 7];
  const columns = { logprobs: old, advantages, weights };
  const clip = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);
  const terms: Record<string, (logp: number, i: number, low: number, high: number) => number> = {
    importance_sampling: (logp, i) => Math.exp(logp - old[i]!) * advantages[i]!,
    ppo: (logp, i, low, high) => {
      const r = Math.exp(logp - old[i]!);
      return Math.min(r * advantages[i]!, clip(r, low, high) * advantages[i]!);
    },
    cispo: (logp, i, low, high) => clip(Math.exp(logp - old[i]!), low, high) * advantages[i]! * logp,
  };
  /** d term / d logp. */
  const slopes: typeof terms = {
    importance_sampling: terms["importance_sampling"]!,
    ppo: (logp, i, low, high) => {
      const r = Math.exp(logp - old[i]!);
      const stopped = advantages[i]! > 0 ? r > high : r < low;
      return stopped ? 0 : r * advantages[i]!;
    },
    cispo: (logp, i, low, high) => clip(Math.exp(logp - old[i]!), low, high) * advantages[i]!,
  };

  test.each([
    ["importance_sampling", undefined],
    ["ppo", undefined],
    ["ppo", { clip_low_threshold: 0.2, clip_high_threshold: 6 }],
    ["cispo", undefined],
    ["cispo", { clip_low_threshold: 0.95, clip_high_threshold: 1.01 }],
  ])("%s %o: value, and the gradient as two calls would have it", async (loss, config) => {
    const { clip_low_threshold: low, clip_high_threshold: high } = { clip_low_threshold: 0.8, clip_high_threshold: 1.2, ...config };
    const model = await server.adapter({ rank: 2, seed: 5 });
    const made = await server.run("forward_backward", backward(model, 1, [datum(tokens, columns)], loss, config));
    const at = logProbs(made);
    expect(made.body.metrics!["loss:sum"]).toBeCloseTo(-sum(at.map((logp, i) => weights[i]! * terms[loss]!(logp, i, low, high))), 4);
    const direct = await server.run("optim_step", step(model, 2));

    const other = await server.adapter({ rank: 2, seed: 5 });
    const minusGradient = at.map((logp, i) => weights[i]! * slopes[loss]!(logp, i, low, high));
    await server.run("forward_backward", backward(other, 1, [datum(tokens, { weights: minusGradient })]));
    const twoCalls = await server.run("optim_step", step(other, 2));
    expect(direct.body.metrics!["grad_norm"]).toBeCloseTo(twoCalls.body.metrics!["grad_norm"]!, 3);
    expect(direct.body.metrics!["grad_norm"]! > 0).toBe(minusGradient.some((g) => g !== 0));
  });

  test("a loss without what it reads fails, naming it, and adds nothing", async () => {
    const model = await server.adapter();
    const { status, body } = await server.run("forward_backward", backward(model, 1, [datum(tokens, { advantages })], "ppo"));
    expect([status, body.detail]).toEqual([400, "Datum 0 has no logprobs, which the loss ppo needs."]);
    const next = await server.run("optim_step", step(model, 2));
    expect([next.status, next.body.detail]).toEqual([400, expect.stringMatching(/needs a gradient/)]);
  });

  test("targets need not be the next inputs", async () => {
    const model = await server.adapter();
    const shifted = datum([5, 6, 7, 8]);
    const free = { ...shifted, loss_fn_inputs: { target_tokens: { data: [100, 7, 101] } } };
    const [next, other] = [
      logProbs(await server.run("forward", forward(model, 1, [shifted]))),
      logProbs(await server.run("forward", forward(model, 2, [free]))),
    ];
    expect(other[1]).toBeCloseTo(next[1]!, 5);
    expect(other[0]).not.toBeCloseTo(next[0]!, 3);
  });
});

test("adapters on one base do not touch each other", async () => {
  const [a, b] = [await server.adapter({ rank: 4, seed: 1 }), await server.adapter({ rank: 4, seed: 1 })];
  const untouched = await server.run("forward", forward(b, 1, all));
  // Interleaved: each has its own gradient and its own optimizer.
  await Promise.all([server.run("forward_backward", backward(a, 1, all)), server.run("forward_backward", backward(b, 2, all))]);
  await server.run("optim_step", step(a, 2));
  expect(logProbs(await server.run("forward", forward(b, 3, all)))).toEqual(logProbs(untouched));
  await server.run("optim_step", step(b, 4));
  expect(logProbs(await server.run("forward", forward(b, 5, all)))).toEqual(logProbs(await server.run("forward", forward(a, 3, all))));
});

describe("checkpoints", () => {
  test("a state goes on in another model exactly, with its optimizer or without", async () => {
    const model = await server.adapter();
    let seq = 0;
    for (let i = 0; i < 2; i++) {
      await server.run("forward_backward", backward(model, ++seq, all));
      await server.run("optim_step", step(model, ++seq));
    }
    const { path } = (await server.run("save_weights", { model_id: model, seq_id: ++seq, path: "half-way" })).body;
    const goOn = async (id: string, from: number) => {
      await server.run("forward_backward", backward(id, from, all));
      await server.run("optim_step", step(id, from + 1));
      return logProbs(await server.run("forward", forward(id, from + 2, all)));
    };
    const [whole, weightsOnly] = [await server.adapter({ rank: 4, seed: 99 }), await server.adapter({ rank: 4, seed: 98 })];
    expect((await server.run("load_weights", { model_id: whole, seq_id: 1, path, optimizer: true })).body.path).toBe(path);
    await server.run("load_weights", { model_id: weightsOnly, seq_id: 1, path, optimizer: false });
    const expected = await goOn(model, seq + 1);
    expect(await goOn(whole, 2)).toEqual(expected);
    expect(await goOn(weightsOnly, 2)).not.toEqual(expected);

    // As the Python SDK does it: one request makes the model and loads the state.
    const session = await server.session();
    const made = await server.run("load_weights", { session_id: session, model_seq_id: 4, path, optimizer: true });
    expect(made.body.model_id).toBe(`${session}:train:4`);
    expect(await goOn(`${session}:train:4`, 1)).toEqual(expected);

    expect((await server.post("weights_info", { tinker_path: path })).body).toMatchObject({
      base_model: "tiny",
      is_lora: true,
      lora_rank: 4,
    });
    expect((await server.get(`training_runs/${model}/checkpoints`)).body).toMatchObject({
      checkpoints: [{ checkpoint_id: "weights/half-way", checkpoint_type: "training", tinker_path: path }],
    });
    expect((await server.get(`training_runs/${model}`)).body).toMatchObject({ lora_rank: 4, last_checkpoint: { tinker_path: path } });
    const named = { model_id: model, path: "half-way" };
    expect((await server.run("save_weights", { ...named, seq_id: seq + 4 })).body.detail).toMatch(/there is a checkpoint/i);
    expect((await server.run("save_weights", { ...named, seq_id: seq + 5, overwrite: true })).body.path).toBe(path);
  });

  test("weights are loaded by a model's first request only, and by a model of the same shape", async () => {
    const model = await server.adapter();
    const { path } = (await server.run("save_weights", { model_id: model, seq_id: 1, path: "first" })).body;
    const late = await server.run("load_weights", { model_id: model, seq_id: 2, path });
    expect([late.status, late.body.detail]).toEqual([400, expect.stringMatching(/first request only/)]);
    const small = await server.adapter({ rank: 2, seed: 1 });
    const other = await server.run("load_weights", { model_id: small, seq_id: 1, path });
    expect([other.status, other.body.detail]).toEqual([400, expect.stringMatching(/rank 4 .* rank 2/)]);
  });

  test("saving leaves a gradient that waits where it is; folders are peft's", async () => {
    const [model, other] = [await server.adapter(), await server.adapter()];
    await server.run("forward_backward", backward(model, 1, all));
    await server.run("forward_backward", backward(other, 1, all));
    expect((await server.run("save_weights", { model_id: model, seq_id: 2, path: "between" })).status).toBe(200);
    expect((await server.run("save_weights_for_sampler", { model_id: model, seq_id: 3, path: "ok" })).status).toBe(200);
    const kept = join(data.path, "models", model.replaceAll(":", "."), "sampler_weights", "ok");
    expect(readdirSync(kept).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    expect(JSON.parse(readFileSync(join(kept, "adapter_config.json"), "utf8"))).toMatchObject({
      peft_type: "LORA",
      r: 4,
      lora_alpha: 32,
      base_model_name_or_path: tiny.folder,
    });
    const [saved, plain] = [await server.run("optim_step", step(model, 4)), await server.run("optim_step", step(other, 2))];
    expect(saved.body.metrics).toEqual(plain.body.metrics);
  });
});

test("an unloaded model is gone, and what was saved of it is not", async () => {
  const model = await server.adapter();
  const { path } = (await server.run("save_weights", { model_id: model, seq_id: 1, path: "last" })).body;
  expect((await server.run("unload_model", { model_id: model })).body.model_id).toBe(model);
  // Sent again because its answer was lost.
  expect((await server.run("unload_model", { model_id: model })).body.model_id).toBe(model);
  const after = await server.post("forward", forward(model, 2, all));
  expect([after.status, after.body.detail]).toEqual([404, expect.stringContaining(path!)]);
  expect((await server.post("get_info", { model_id: model })).body).toMatchObject({ status: "unloaded" });
  const next = await server.adapter();
  expect((await server.run("load_weights", { model_id: next, seq_id: 1, path })).status).toBe(200);
});

test("a gradient that is not finite is refused, and the model goes on as it was", async () => {
  const model = await server.adapter();
  const before = logProbs(await server.run("forward", forward(model, 1, all)));
  const huge = rows.map((tokens) => datum(tokens, { weights: tokens.slice(1).map(() => 3e38) }));
  await server.run("forward_backward", backward(model, 2, huge));
  const refused = await server.run("optim_step", step(model, 3));
  expect([refused.status, refused.body.detail]).toEqual([400, expect.stringMatching(/gradient is not finite/)]);
  expect(logProbs(await server.run("forward", forward(model, 4, all)))).toEqual(before);
});
