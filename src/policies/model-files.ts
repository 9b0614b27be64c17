import { formatSafetensors } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import type { HostTensor } from "../statistics/snapshot.ts";
import { readAdapter } from "./adapter-files.ts";
import { jsonText, readOptional, requireFields, writeFiles } from "./folder.ts";
import { fromHuggingFace, toHuggingFace } from "./model-config.ts";
import { readTensors, takeTensors } from "./tensor-files.ts";
import { readTokenizer } from "./tokenizer-files.ts";
import { endings } from "./tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { adapterName, modulePath, parameterShapes, type LoraConfig, type TransformerConfig } from "./transformer-config.ts";
import { transformer, type TransformerPolicy } from "./transformer.ts";

export interface ReadModelOptions {
  /** Default: `tokenizer.json` of the folder. */
  readonly tokenizer?: Tokenizer;
  /** A fresh adapter of this shape, or the folder of one that peft or `writeAdapter` saved. */
  readonly lora?: LoraConfig | string;
  /** Fresh heads to put on a model whose file has none. Heads that are in the file are always read. */
  readonly heads?: readonly ("value" | "score")[];
  /** Numbers that a fresh score head gives. Default 1. */
  readonly scores?: number;
  /** Seed of what is fresh. Default 0. */
  readonly seed?: number;
}

const headTensors = { value: "value_head.weight", score: "score.weight" } as const;

/**
 * Reads a language model from a local folder as Hugging Face's `save_pretrained` writes it: `config.json` of a LlamaForCausalLM,
 * Qwen2ForCausalLM or Qwen3ForCausalLM and its tensors (float32, float16 or bfloat16, one file or several), under their own names.
 *
 * @returns the policy, and parameters to give to an engine: `localEngine({ policy, parameters, seed })`
 * @throws GuerdonError "unsupported" or "input" that names file and field, for what is missing, misshapen or not known here
 */
export async function readModel(
  folder: string,
  options: ReadModelOptions = {},
): Promise<{ readonly policy: TransformerPolicy; readonly parameters: Record<string, HostTensor> }> {
  const read = fromHuggingFace(await requireFields(folder, "config.json"));
  const found = await readTensors(folder, "model");
  const heads = (head: "value" | "score") => headTensors[head] in found || (options.heads?.includes(head) ?? false);
  const scores = found[headTensors.score]?.tensor.shape[0] ?? options.scores ?? 1;
  const config: TransformerConfig = { ...read, valueHead: heads("value"), scoreHead: heads("score") && (scores > 1 ? scores : true) };
  const stored = Object.entries(parameterShapes(config)).filter(
    ([name]) => name in found || !Object.values<string>(headTensors).includes(name),
  );
  const base = takeTensors(found, Object.fromEntries(stored), (name) => isDerived(name, config));
  const adapter = typeof options.lora === "string" ? await readAdapter(options.lora, config) : { lora: options.lora, parameters: {} };
  const tokenizer = options.tokenizer ?? (await readTokenizer(folder));
  if (tokenizer.vocabulary > config.vocabulary)
    throw new GuerdonError(
      "input",
      `${folder}: the tokenizer has ${tokenizer.vocabulary} ids, the model ${config.vocabulary}. They do not belong together.`,
    );
  const policy = transformer(config, { tokenizer, ...(adapter.lora ? { lora: adapter.lora } : {}) });
  const parameters: Record<string, HostTensor> = { ...base, ...adapter.parameters };
  const names = Object.keys(parameterShapes(config, adapter.lora));
  const fresh = policy.init(options.seed ?? 0, (name) => !(name in parameters));
  return { policy, parameters: Object.fromEntries(names.map((name) => [name, (parameters[name] ?? fresh[name]) as HostTensor])) };
}

/** Tensors that some files hold beside the parameters they follow from. */
const isDerived = (name: string, config: TransformerConfig): boolean =>
  name.endsWith(".rotary_emb.inv_freq") || (config.tied && name === "lm_head.weight");

export interface WriteModelOptions {
  /** Folder that the model was read from: its other fields, generation settings and tokenizer files are taken over. */
  readonly like?: string;
}

/** Files beside config and weights that belong to a model. */
const companions = [
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "tokenizer.model",
  "chat_template.jinja",
];

/**
 * Writes `config.json` and `model.safetensors` (float32), so that transformers loads the model as a LlamaForCausalLM, Qwen2ForCausalLM or
 * Qwen3ForCausalLM. A LoRA adapter is merged into its matrices, so that the folder holds the policy as it acts; `writeAdapter` writes the
 * adapter alone. Heads for value and score stay in the file under their names; transformers passes over them.
 *
 * @throws GuerdonError "unsupported" when no class there computes this model; "io" when the folder cannot be written
 */
export async function writeModel(
  folder: string,
  policy: TransformerPolicy,
  parameters: Readonly<Record<string, HostTensor>>,
  options: WriteModelOptions = {},
): Promise<void> {
  const { architecture: model, lora, tokenizer } = policy;
  // The view of an adapted model without its adapter (`base`) has no base itself.
  const merged = lora && policy.base ? mergeAdapter(model, lora, parameters) : parameters;
  const tensors: Record<string, HostTensor> = {};
  for (const [name, shape] of Object.entries(parameterShapes(model))) {
    const tensor = merged[name];
    if (!tensor || tensor.shape.join() !== shape.join())
      throw new GuerdonError(
        "usage",
        `writeModel: the parameter ${name} must have shape [${shape.join(", ")}], and ${tensor ? `has [${tensor.shape.join(", ")}]` : "is missing"}.`,
      );
    tensors[name] = tensor;
  }
  const files: Record<string, Uint8Array | string> = { "model.safetensors": formatSafetensors(tensors, { format: "pt" }) };
  if (options.like === undefined) {
    const ends = endings(tokenizer);
    const end = ends.length > 1 ? ends : (ends[0] ?? null);
    if (end !== null) files["generation_config.json"] = jsonText({ eos_token_id: end });
    files["config.json"] = jsonText(toHuggingFace(model, end));
  } else {
    for (const name of companions) {
      const content = await readOptional(options.like, name);
      if (content) files[name] = content;
    }
    files["config.json"] = await configLike(options.like, model);
  }
  await writeFiles(folder, files);
}

/**
 * Text of the config.json of another folder, after a check that it describes this model. It stays as it is but for the tensors' type,
 * because a JSON parser loses the difference of 8.0 and 8, on which transformers insists.
 */
async function configLike(folder: string, model: TransformerConfig): Promise<string> {
  const config = await requireFields(folder, "config.json");
  const { valueHead: _, scoreHead: __, ...wanted } = model;
  for (const [name, value] of Object.entries(fromHuggingFace(config)))
    if (JSON.stringify(value) !== JSON.stringify(wanted[name as keyof typeof wanted]))
      throw new GuerdonError("usage", `writeModel: the model of ${config.file} differs from this one in ${name}.`);
  const text = new TextDecoder().decode((await readOptional(folder, "config.json")) ?? undefined);
  return text.replaceAll(/("(?:torch_)?dtype"\s*:\s*)"[^"]*"/g, '$1"float32"');
}

/** Parameters with W + alpha / rank x B A in place of each adapted W. */
function mergeAdapter(
  model: TransformerConfig,
  lora: LoraConfig,
  parameters: Readonly<Record<string, HostTensor>>,
): Record<string, HostTensor> {
  const merged: Record<string, HostTensor> = { ...parameters };
  for (let layer = 0; layer < model.layers; layer++)
    for (const target of lora.targets) {
      const module = modulePath(layer, target);
      const [weight, a, b] = [`${module}.weight`, adapterName(module, "A"), adapterName(module, "B")].map((name) => {
        const tensor = parameters[name];
        if (!tensor) throw new GuerdonError("usage", `writeModel: the parameter ${name} is missing.`);
        return tensor;
      }) as [HostTensor, HostTensor, HostTensor];
      const [outputs, inputs] = weight.shape as [number, number];
      const data = Float32Array.from(weight.data);
      for (let o = 0; o < outputs; o++)
        for (let i = 0; i < inputs; i++) {
          let sum = 0;
          for (let r = 0; r < lora.rank; r++) sum += (b.data[o * lora.rank + r] as number) * (a.data[r * inputs + i] as number);
          data[o * inputs + i] = (data[o * inputs + i] as number) + (lora.alpha / lora.rank) * sum;
        }
      merged[`${module}.weight`] = { shape: weight.shape, data };
    }
  return merged;
}
