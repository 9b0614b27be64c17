import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { formatSafetensors, host, parseSafetensors, values } from "../../src/arrays/index.ts";
import type { Arrays } from "../../src/arrays/index.ts";
import { writeAdapter } from "../../src/policies/adapter-files.ts";
import { readModel, writeModel } from "../../src/policies/model-files.ts";
import { readTokenizer } from "../../src/policies/tokenizer-files.ts";
import { symbolTokenizer } from "../../src/policies/tokenizer.ts";
import { transformer } from "../../src/policies/transformer.ts";
import type { TransformerPolicy } from "../../src/policies/transformer.ts";
import type { HostTensor } from "../../src/statistics/snapshot.ts";

const goldens = join(import.meta.dirname, "../golden");
const golden = (name: string) => join(goldens, name);
const tokenizer = symbolTokenizer(Array.from({ length: 32 }, (_, i) => (i === 2 ? "<eos>" : String(i))));
const scratch = await mkdtemp(join(tmpdir(), "guerdon-model-"));
afterAll(() => rm(scratch, { recursive: true }));
const models = ["llama", "llama-tied", "qwen2", "qwen2-tied", "qwen3", "qwen3-tied"];
const run = promisify(execFile);
let folders = 0;
const fresh = () => join(scratch, String(folders++));

type Json = Record<string, unknown>;
const json = async (folder: string, name: string) => JSON.parse(await readFile(join(folder, name), "utf8")) as Json;
const edit = async (folder: string, name: string, changes: Json) =>
  writeFile(join(folder, name), JSON.stringify({ ...(await json(folder, name)), ...changes }));
const tensorsOf = async (folder: string, name: string) => parseSafetensors(await readFile(join(folder, name))).tensors;
const bytes = (tensor: HostTensor | undefined) =>
  tensor && Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength).toString("hex");

function expectSameBits(ours: Readonly<Record<string, HostTensor>>, theirs: Readonly<Record<string, HostTensor>>): void {
  expect(Object.keys(ours).sort()).toEqual(Object.keys(theirs).sort());
  for (const [name, tensor] of Object.entries(theirs)) {
    expect(ours[name]?.shape, name).toEqual(tensor.shape);
    expect(bytes(ours[name]), name).toBe(bytes(tensor));
  }
}

/** Log-probabilities of one row, in float64. */
function logProbs(policy: TransformerPolicy, parameters: Readonly<Record<string, HostTensor>>): number[] {
  const onHost = (tensors: Readonly<Record<string, HostTensor>>): Arrays =>
    Object.fromEntries(Object.entries(tensors).map(([name, { data, shape }]) => [name, host(data, shape)]));
  const row = { prompt: Int32Array.of(1, 17, 5), actions: Int32Array.of(9, 31, 2) };
  const out = policy.apply(onHost(parameters), onHost(policy.collate([row], 1, 8)), ["logProbs"]);
  return Array.from(values(out["logProbs"]!).slice(2, 5));
}

describe("written models", () => {
  test.each(models)("%s: tensors come back bit for bit, and config fields are those that transformers wrote", async (name) => {
    const { policy, parameters } = await readModel(golden(name), { tokenizer });
    const folder = fresh();
    // Rescaled rotary frequencies cannot be told from the frequencies alone.
    await writeModel(folder, policy, parameters, name === "llama-tied" ? { like: golden(name) } : {});
    expectSameBits(await tensorsOf(folder, "model.safetensors"), parameters);
    expectSameBits((await readModel(folder, { tokenizer })).parameters, parameters);
    const shards = (await readdir(golden(name))).filter((file) => /^model.*\.safetensors$/.test(file));
    const theirs = Object.assign({}, ...(await Promise.all(shards.map((file) => tensorsOf(golden(name), file))))) as Record<
      string,
      HostTensor
    >;
    expectSameBits(await tensorsOf(folder, "model.safetensors"), theirs);

    const [ours, their] = [await json(folder, "config.json"), await json(golden(name), "config.json")];
    const differing = Object.keys(their).filter((key) => JSON.stringify(ours[key]) !== JSON.stringify(their[key]));
    // Ours says torch_dtype, which every version reads; the rest are defaults there, or about training. Qwen2's head size follows from its width.
    const free = ["dtype", "attention_dropout", "bos_token_id", "initializer_range", "layer_types", "max_window_layers"];
    expect(differing.filter((key) => ![...free, "pretraining_tp", "sliding_window", "transformers_version"].includes(key))).toEqual([]);
    expect(ours["torch_dtype"] ?? ours["dtype"]).toBe("float32");
    expect((await json(folder, "generation_config.json"))["eos_token_id"]).toBe(2);
    expect((await readdir(folder)).filter((file) => file.endsWith(".partial"))).toEqual([]);
  });

  test("`like` takes over fields, generation settings and tokenizer of the folder that the model came from", async () => {
    const { policy, parameters } = await readModel(golden("qwen2-tied"), { tokenizer });
    const [from, to] = [fresh(), fresh()];
    await cp(golden("qwen2-tied"), from, { recursive: true });
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) await cp(join(golden("tokenizer"), name), join(from, name));
    await edit(from, "config.json", { max_window_layers: 21 });
    await writeModel(to, policy, parameters, { like: from });
    expect(await json(to, "config.json")).toEqual({ ...(await json(from, "config.json")), dtype: "float32" });
    expect(await readFile(join(to, "tokenizer.json"))).toEqual(await readFile(join(from, "tokenizer.json")));
    expect(await json(to, "generation_config.json")).toEqual(await json(from, "generation_config.json"));
    await edit(from, "config.json", { rms_norm_eps: 1e-5 });
    await expect(writeModel(to, policy, parameters, { like: from })).rejects.toThrow(/config\.json differs from this one in epsilon/);
  });

  test("all ids that end an answer are written, and read again", async () => {
    const { policy, parameters } = await readModel(golden("llama"), { tokenizer: { ...tokenizer, stops: [7, 9] } });
    const folder = fresh();
    await writeModel(folder, policy, parameters);
    for (const name of ["config.json", "generation_config.json"]) expect((await json(folder, name))["eos_token_id"]).toEqual([2, 7, 9]);
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) await cp(join(golden("tokenizer"), name), join(folder, name));
    expect(await readTokenizer(folder)).toMatchObject({ end: 1, stops: [2, 7, 9] });
  });

  test("into the folder that it was read from: new weights come first, before the parts that lie there still", async () => {
    const folder = fresh();
    await cp(golden("qwen3-tied"), folder, { recursive: true });
    const { policy, parameters } = await readModel(folder, { tokenizer });
    const gain = { shape: [24], data: new Float32Array(24).fill(2) };
    await writeModel(folder, policy, { ...parameters, "model.norm.weight": gain }, { like: folder });
    expect((await readModel(folder, { tokenizer })).parameters["model.norm.weight"]).toEqual(gain);
  });

  test("a model that no class of transformers computes is refused with the reason", async () => {
    const config = {
      layers: 1,
      width: 8,
      heads: 2,
      vocabulary: 32,
      context: 16,
      norm: "rms",
      positions: "rotary",
      activation: "swiglu",
      tied: false,
    } as const;
    const refuses = async (changes: object, reason: RegExp) => {
      const policy = transformer({ ...config, ...changes }, { tokenizer });
      await expect(writeModel(fresh(), policy, policy.init(0))).rejects.toThrow(reason);
    };
    await refuses({ norm: "layer" }, /its norm is "layer"/);
    await refuses({ positions: "learned" }, /its positions are "learned"/);
    await refuses({ activation: "gelu" }, /its activation is "gelu"/);
    await refuses({ biases: ["q_proj"] }, /no class there has biases on exactly q_proj/);
    await refuses({ frequencies: [1, 0.5] }, /rescaled; give the option `like`/);
    const policy = transformer(config, { tokenizer });
    const { "model.norm.weight": _, ...rest } = policy.init(0);
    await expect(writeModel(fresh(), policy, rest)).rejects.toThrow(/model\.norm\.weight must have shape \[8\], and is missing/);
  });

  test("a folder that cannot be written is one error, and nothing half-written stays", async () => {
    const { policy, parameters } = await readModel(golden("llama"), { tokenizer });
    const file = fresh();
    await writeFile(file, "");
    await expect(writeModel(join(file, "inside"), policy, parameters)).rejects.toMatchObject({ name: "GuerdonError", code: "io" });
  });
});

describe("heads", () => {
  test("a fresh score head of several numbers", async () => {
    const { policy, parameters } = await readModel(golden("llama"), { tokenizer, heads: ["score"], scores: 4 });
    expect(policy.outputs).toEqual(["logProbs", "entropy", "score.0", "score.1", "score.2", "score.3"]);
    expect(parameters["score.weight"]!.shape).toEqual([4, policy.architecture.width]);
  });

  test("are read when they are in the file, and fresh when asked for", async () => {
    const plain = await readModel(golden("llama"), { tokenizer });
    expect(plain.policy.outputs).toEqual(["logProbs", "entropy"]);
    const { policy, parameters } = await readModel(golden("llama"), { tokenizer, heads: ["value"], seed: 3 });
    expect(policy.outputs).toContain("value");
    const folder = fresh();
    const value = { shape: [1, 24], data: Float32Array.from({ length: 24 }, (_, i) => i / 7) };
    await writeModel(folder, policy, { ...parameters, "value_head.weight": value });
    const again = await readModel(folder, { tokenizer });
    expect(again.policy.outputs).toContain("value");
    expect(again.parameters["value_head.weight"]).toEqual(value);
  });
});

describe("adapters", () => {
  test.each(["llama", "qwen2"])("of %s come back bit for bit, with the settings that peft wrote", async (base) => {
    const theirs = golden(`${base}-lora`);
    const { policy, parameters } = await readModel(golden(base), { tokenizer, lora: theirs });
    const folder = fresh();
    await writeAdapter(folder, policy, parameters, base);
    expectSameBits(await tensorsOf(folder, "adapter_model.safetensors"), await tensorsOf(theirs, "adapter_model.safetensors"));
    expect(await json(theirs, "adapter_config.json")).toMatchObject({
      ...(await json(folder, "adapter_config.json")),
      target_modules: expect.arrayContaining(policy.lora!.targets as string[]),
    });
    const again = await readModel(golden(base), { tokenizer, lora: folder });
    expect(again.policy.lora).toEqual(policy.lora);
    expectSameBits(again.parameters, parameters);
  });

  test("writeModel merges them", async () => {
    const { policy, parameters } = await readModel(golden("llama"), { tokenizer, lora: golden("llama-lora") });
    const folder = fresh();
    await writeModel(folder, policy, parameters);
    const merged = await readModel(folder, { tokenizer });
    expect(merged.policy.lora).toBeUndefined();
    const [adapted, plain] = [logProbs(policy, parameters), logProbs(policy.base!, parameters)];
    logProbs(merged.policy, merged.parameters).forEach((value, i) => expect(value).toBeCloseTo(adapted[i]!, 5));
    expect(Math.abs(adapted[0]! - plain[0]!)).toBeGreaterThan(0.01);
    await writeModel(folder, policy.base!, parameters);
    const unmerged = await readModel(folder, { tokenizer });
    expect(logProbs(unmerged.policy, unmerged.parameters)).toEqual(plain);
  });

  test("a fresh one starts as the base model", async () => {
    const lora = { rank: 2, alpha: 4, targets: ["q_proj", "up_proj"] } as const;
    const { policy, parameters } = await readModel(golden("qwen3"), { tokenizer, lora });
    expect(logProbs(policy, parameters)).toEqual(logProbs(policy.base!, parameters));
    expect(Object.keys(parameters).filter((key) => policy.trainable(key))).toHaveLength(8);
  });
});

describe("what cannot be read is one error that names file and field", () => {
  const broken = async (base: string, change: (folder: string) => Promise<unknown>, message: RegExp, code = "unsupported") => {
    const folder = fresh();
    await cp(golden(base), folder, { recursive: true });
    await change(folder);
    const failure = base.endsWith("-lora")
      ? readModel(golden(base.replace("-lora", "")), { tokenizer, lora: folder })
      : readModel(folder, { tokenizer });
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toMatchObject({ name: "GuerdonError", code });
  };
  const config = (changes: Json) => (folder: string) => edit(folder, "config.json", changes);
  const tensors = (change: (all: Record<string, HostTensor>) => void) => async (folder: string) => {
    const all = await tensorsOf(folder, "model.safetensors");
    change(all);
    await writeFile(join(folder, "model.safetensors"), formatSafetensors(all));
  };

  test("architecture and fields of config.json", async () => {
    await broken(
      "llama",
      config({ architectures: ["GPT2LMHeadModel"] }),
      /config\.json: architectures is \["GPT2LMHeadModel"\]; the architectures that can be read are Llama/,
    );
    await broken("llama", config({ hidden_act: "gelu" }), /config\.json: hidden_act is "gelu"; only "silu"/);
    await broken("qwen2", config({ use_sliding_window: true }), /config\.json: use_sliding_window is true/);
    await broken("qwen3", config({ layer_types: ["full_attention", "sliding_attention"] }), /layer_types .*only "full_attention"/);
    await broken(
      "llama",
      config({ rope_scaling: { rope_type: "yarn", factor: 4 } }),
      /config\.json: rope_scaling: rope_type is "yarn"; supported are/,
    );
    await broken("llama", config({ partial_rotary_factor: 0.5 }), /partial_rotary_factor is 0\.5/);
    await broken("llama", config({ hidden_size: "24" }), /config\.json: hidden_size is "24", not a number/, "input");
    await broken("llama", config({ vocab_size: undefined }), /config\.json: vocab_size is missing, not a number/, "input");
    await broken("llama", (folder) => rm(join(folder, "config.json")), /has no config\.json/, "input");
    await broken("llama", (folder) => writeFile(join(folder, "config.json"), "[1]"), /config\.json must hold a JSON object/, "input");
    await broken("llama", config({ vocab_size: 31 }), /\[31, 24\]/, "input");
  });

  test("rotary settings in the words of transformers 5", async () => {
    const folder = fresh();
    await cp(golden("llama-tied"), folder, { recursive: true });
    const { rope_scaling, rope_theta } = await json(folder, "config.json");
    await edit(folder, "config.json", {
      rope_scaling: undefined,
      rope_theta: undefined,
      rope_parameters: { ...(rope_scaling as Json), rope_theta },
    });
    const [ours, theirs] = [await readModel(folder, { tokenizer }), await readModel(golden("llama-tied"), { tokenizer })];
    expect(ours.policy.architecture).toEqual(theirs.policy.architecture);
  });

  test("tensors", async () => {
    const q = "model.layers.1.self_attn.q_proj.weight";
    await broken(
      "llama",
      tensors((all) => delete all[q]),
      /model\.safetensors: the tensor model\.layers\.1\.self_attn\.q_proj\.weight of shape \[24, 24\] is missing/,
      "input",
    );
    await broken(
      "llama",
      tensors((all) => (all[q] = { shape: [48, 12], data: all[q]!.data })),
      /q_proj\.weight has shape \[48, 12\]; the config asks for \[24, 24\]/,
      "input",
    );
    await broken(
      "llama",
      tensors((all) => (all[q] = { shape: [24, 24], data: new Int32Array(576) })),
      /q_proj\.weight holds whole numbers/,
      "input",
    );
    await broken(
      "llama",
      tensors((all) => (all["model.layers.0.extra.weight"] = all[q]!)),
      /model\.layers\.0\.extra\.weight of shape \[24, 24\] has no place/,
    );
    await broken(
      "llama",
      (folder) => rm(join(folder, "model.safetensors")),
      /has no model\.safetensors and no model\.safetensors\.index\.json/,
      "input",
    );
    await broken(
      "llama",
      (folder) => writeFile(join(folder, "model.safetensors"), "no"),
      /model\.safetensors: Not a valid safetensors file/,
      "input",
    );
    await broken(
      "qwen3-tied",
      (folder) => rm(join(folder, "model-00002-of-00003.safetensors")),
      /weight_map names model-00002-of-00003\.safetensors/,
      "input",
    );
    // An output matrix beside a tied embedding is a copy that some files hold.
    const folder = fresh();
    await cp(golden("llama-tied"), folder, { recursive: true });
    await tensors((all) => (all["lm_head.weight"] = all["model.embed_tokens.weight"]!))(folder);
    expect(Object.keys((await readModel(folder, { tokenizer })).parameters)).not.toContain("lm_head.weight");
  });

  test("adapters", async () => {
    const adapter = (changes: Json) => (folder: string) => edit(folder, "adapter_config.json", changes);
    await broken("llama-lora", adapter({ use_dora: true }), /adapter_config\.json: use_dora is true/);
    await broken("llama-lora", adapter({ rank_pattern: { q_proj: 8 } }), /rank_pattern is \{"q_proj":8\}/);
    await broken("llama-lora", adapter({ target_modules: ["q_proj", "lm_head"] }), /target_modules has "lm_head"/);
    await broken("llama-lora", adapter({ target_modules: ".*q_proj" }), /target_modules is "\.\*q_proj"/);
    await broken("llama-lora", adapter({ peft_type: "IA3" }), /peft_type is "IA3"/);
    await broken("llama-lora", adapter({ r: 8 }), /lora_A\.weight has shape \[4, 24\]; the config asks for \[8, 24\]/, "input");
  });

  test("a tokenizer of another model", async () => {
    const many = symbolTokenizer(Array.from({ length: 33 }, (_, i) => `${i}`));
    await expect(readModel(golden("llama"), { tokenizer: many })).rejects.toThrow(/the tokenizer has 33 ids, the model 32/);
    await expect(readModel(golden("llama"))).rejects.toThrow(/has no tokenizer\.json/);
  });
});

/** A python3 that has transformers and peft: GUERDON_PYTHON, or the benchmark's own. */
async function findPython(): Promise<string | null> {
  const own = join(import.meta.dirname, "../../bench/.venv/bin/python");
  for (const candidate of [process.env["GUERDON_PYTHON"], own])
    if (
      candidate &&
      (await run(candidate, ["-c", "import transformers, peft"]).then(
        () => true,
        () => false,
      ))
    )
      return candidate;
  return null;
}

// Without such a python the tests above still compare with files that transformers and peft wrote; test/golden/README.md has the last result.
const python = await findPython();
if (python !== null)
  describe("transformers and peft load what is written here", () => {
    const load = async (...folders: string[]) => {
      const { stdout } = await run(python, [join(goldens, "load_back.py"), ...folders]);
      return JSON.parse(stdout) as { class: string; distance: number; odd: string[]; eos: unknown };
    };
    test.each(models)("%s", async (name) => {
      const { policy, parameters } = await readModel(golden(name), { tokenizer });
      const folder = fresh();
      await writeModel(folder, policy, parameters, name === "llama-tied" ? { like: golden(name) } : {});
      const [wanted] = (await json(folder, "config.json"))["architectures"] as string[];
      expect(await load(folder, golden(name))).toMatchObject({ class: wanted, odd: [], eos: 2 });
    });
    test.each(["llama", "qwen2"])("an adapter of %s, alone and merged", async (base) => {
      const { policy, parameters } = await readModel(golden(base), { tokenizer, lora: golden(`${base}-lora`) });
      const [alone, merged] = [fresh(), fresh()];
      await writeAdapter(alone, policy, parameters, golden(base));
      expect(await load(alone, golden(`${base}-lora`), golden(base))).toMatchObject({ odd: [] });
      await writeModel(merged, policy, parameters);
      expect(await load(merged, golden(`${base}-lora`))).toMatchObject({ odd: [] });
    });
  });
