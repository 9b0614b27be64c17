import { formatSafetensors } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import type { HostTensor } from "../statistics/snapshot.ts";
import { jsonText, requireFields, writeFiles, type Fields } from "./folder.ts";
import { readTensors, takeTensors } from "./tensor-files.ts";
import { parameterShapes, type LoraConfig, type Projection, type TransformerConfig } from "./transformer-config.ts";
import type { TransformerPolicy } from "./transformer.ts";

const projections: readonly Projection[] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/** Settings of peft that change what an adapter computes, and that are not offered here: refused unless empty, false or "none". */
const unsupported = [
  "use_dora",
  "use_rslora",
  "use_qalora",
  "use_bdlora",
  "lora_bias",
  "fan_in_fan_out",
  "bias",
  "modules_to_save",
  "layers_to_transform",
  "layers_pattern",
  "rank_pattern",
  "alpha_pattern",
  "layer_replication",
  "target_parameters",
  "exclude_modules",
  "trainable_token_indices",
  "alora_invocation_tokens",
];

const isOff = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === false ||
  value === "none" ||
  (typeof value === "object" && Object.keys(value).length === 0);

/**
 * Reads a LoRA adapter as peft saves it: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * @param base config of the model that the adapter is for
 * @returns the adapter's config and its matrices, under peft's names
 * @throws GuerdonError "input" or "unsupported", naming file and field
 */
export async function readAdapter(
  folder: string,
  base: TransformerConfig,
): Promise<{ readonly lora: LoraConfig; readonly parameters: Record<string, HostTensor> }> {
  const config = await requireFields(folder, "adapter_config.json");
  const kind = config.text("peft_type");
  if (kind !== "LORA") throw config.refuse("peft_type", `is ${JSON.stringify(kind)}; only "LORA" is supported`, "unsupported");
  for (const field of unsupported)
    if (!isOff(config.all[field]))
      throw config.refuse(field, `is ${JSON.stringify(config.all[field])}, which is not supported`, "unsupported");
  const lora = { rank: config.number("r"), alpha: config.number("lora_alpha"), targets: targetsOf(config) };
  const expected = adapterShapes(base, lora);
  return { lora, parameters: takeTensors(await readTensors(folder, "adapter_model"), expected, () => false) };
}

function targetsOf(config: Fields): readonly Projection[] {
  const given = config.all["target_modules"];
  if (given === "all-linear") return projections;
  if (!Array.isArray(given))
    throw config.refuse("target_modules", `is ${JSON.stringify(given)}, and must be a list of ${projections.join(", ")}`, "unsupported");
  const strange = given.find((name) => !projections.includes(name));
  if (strange !== undefined)
    throw config.refuse("target_modules", `has ${JSON.stringify(strange)}; possible are ${projections.join(", ")}`, "unsupported");
  return projections.filter((name) => given.includes(name));
}

/** Names and shapes of an adapter's matrices alone. */
function adapterShapes(base: TransformerConfig, lora: LoraConfig): Record<string, readonly number[]> {
  const without = parameterShapes(base);
  return Object.fromEntries(Object.entries(parameterShapes(base, lora)).filter(([name]) => !(name in without)));
}

/**
 * Writes the adapter of a model for peft: `adapter_config.json` and `adapter_model.safetensors`, each written whole or not at all.
 *
 * @param parameters all parameters of the policy, or the adapter's alone
 * @param baseModel name or folder of the base model, for `base_model_name_or_path`
 */
export async function writeAdapter(
  folder: string,
  policy: TransformerPolicy,
  parameters: Readonly<Record<string, HostTensor>>,
  baseModel: string,
): Promise<void> {
  const { architecture, lora } = policy;
  if (!lora) throw new GuerdonError("usage", "writeAdapter: the policy has no LoRA adapter. writeModel writes whole models.");
  const tensors: Record<string, HostTensor> = {};
  for (const name of Object.keys(adapterShapes(architecture, lora))) {
    const tensor = parameters[name];
    if (!tensor) throw new GuerdonError("usage", `writeAdapter: the parameters lack ${name}.`);
    tensors[name] = tensor;
  }
  await writeFiles(folder, {
    "adapter_model.safetensors": formatSafetensors(tensors, { format: "pt" }),
    "adapter_config.json": jsonText({
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: baseModel,
      r: lora.rank,
      lora_alpha: lora.alpha,
      lora_dropout: 0,
      target_modules: lora.targets,
      bias: "none",
      fan_in_fan_out: false,
      use_dora: false,
      use_rslora: false,
      modules_to_save: null,
      inference_mode: true,
    }),
  });
}
