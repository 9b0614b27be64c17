import { fields, isRecord, type Fields } from "./folder.ts";
import { GuerdonError } from "../error.ts";
import { resolve, type Projection, type TransformerConfig } from "./transformer-config.ts";

/*
 * `config.json` of Hugging Face transformers' LlamaForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM, and our TransformerConfig. Fields
 * that would change what the model computes and are not known here are refused; what remains (dropout, caches, initialisation) is
 * about training or speed there and is not read.
 */

type Architecture = "LlamaForCausalLM" | "Qwen2ForCausalLM" | "Qwen3ForCausalLM";
const architectures: Readonly<Record<Architecture, string>> = {
  LlamaForCausalLM: "llama",
  Qwen2ForCausalLM: "qwen2",
  Qwen3ForCausalLM: "qwen3",
};

const attention: readonly Projection[] = ["q_proj", "k_proj", "v_proj", "o_proj"];
const mlp: readonly Projection[] = ["gate_proj", "up_proj", "down_proj"];

/** Our config of the model that a config.json describes. @throws GuerdonError "unsupported" or "input", naming file and field */
export function fromHuggingFace(config: Fields): TransformerConfig {
  const architecture = architectureOf(config);
  const heads = config.number("num_attention_heads");
  const width = config.number("hidden_size");
  // Qwen3's class has a head_dim of its own when the file names none; the other two divide.
  const headSize = config.number("head_dim", architecture === "Qwen3ForCausalLM" ? 128 : width / heads);
  const activation = config.text("hidden_act", "silu");
  if (activation !== "silu") throw config.refuse("hidden_act", `is ${JSON.stringify(activation)}; only "silu" is supported`, "unsupported");
  refuseSlidingWindow(config);
  return {
    layers: config.number("num_hidden_layers"),
    width,
    heads,
    // Without the field Llama has as many as heads; the Qwen classes fall back to 32, which no file can mean.
    keyValueHeads: config.number("num_key_value_heads", architecture === "LlamaForCausalLM" ? heads : undefined),
    headSize,
    hidden: config.number("intermediate_size"),
    vocabulary: config.number("vocab_size"),
    context: config.number("max_position_embeddings"),
    norm: "rms",
    epsilon: config.number("rms_norm_eps", 1e-6),
    positions: "rotary",
    ...rotary(config, headSize),
    activation: "swiglu",
    tied: config.boolean("tie_word_embeddings", false),
    biases: biasesOf(architecture, config),
    queryKeyNorm: architecture === "Qwen3ForCausalLM",
  };
}

function architectureOf(config: Fields): Architecture {
  const known = Object.keys(architectures) as Architecture[];
  const given = config.all["architectures"];
  const found = known.find((name) => (Array.isArray(given) ? given.includes(name) : architectures[name] === config.all["model_type"]));
  if (found) return found;
  const [field, value] = given === undefined ? ["model_type", config.all["model_type"]] : ["architectures", given];
  throw config.refuse(
    String(field),
    `is ${JSON.stringify(value)}; the architectures that can be read are ${known.join(", ")}`,
    "unsupported",
  );
}

function biasesOf(architecture: Architecture, config: Fields): readonly Projection[] {
  if (architecture === "Qwen2ForCausalLM") return ["q_proj", "k_proj", "v_proj"];
  return [
    ...(config.boolean("attention_bias", false) ? attention : []),
    ...(architecture === "LlamaForCausalLM" && config.boolean("mlp_bias", false) ? mlp : []),
  ];
}

function refuseSlidingWindow(config: Fields): void {
  const kinds = config.all["layer_types"] ?? [];
  if (config.boolean("use_sliding_window", false))
    throw config.refuse("use_sliding_window", "is true; attention over a sliding window is not supported", "unsupported");
  if (!Array.isArray(kinds) || kinds.some((kind) => kind !== "full_attention"))
    throw config.refuse("layer_types", `is ${JSON.stringify(kinds)}; only "full_attention" is supported`, "unsupported");
}

/** Base and, where the file rescales them, frequencies. transformers 5 writes `rope_parameters`, earlier ones `rope_theta` and `rope_scaling`. */
function rotary(config: Fields, headSize: number): Pick<TransformerConfig, "theta" | "frequencies"> {
  const field = isRecord(config.all["rope_parameters"]) ? "rope_parameters" : "rope_scaling";
  const given = config.all[field];
  const partial = config.number("partial_rotary_factor", 1);
  if (partial !== 1) throw config.refuse("partial_rotary_factor", `is ${partial}; only 1 is supported`, "unsupported");
  if (given === undefined || given === null) return { theta: config.number("rope_theta", 10000) };
  if (!isRecord(given)) throw config.refuse(field, "must be an object or null");
  const scaling = fields(`${config.file}: ${field}`, given);
  const theta = scaling.number("rope_theta", config.number("rope_theta", 10000));
  const kind = scaling.text("rope_type", typeof given["type"] === "string" ? given["type"] : "default");
  const plain = Array.from({ length: headSize >> 1 }, (_, i) => theta ** ((-2 * i) / headSize));
  switch (kind) {
    case "default":
      return { theta };
    case "linear": {
      const factor = scaling.number("factor");
      return { theta, frequencies: plain.map((frequency) => frequency / factor) };
    }
    case "llama3":
      return { theta, frequencies: llama3(plain, scaling) };
    default:
      throw scaling.refuse("rope_type", `is ${JSON.stringify(kind)}; supported are "default", "linear" and "llama3"`, "unsupported");
  }
}

/** Llama 3.1's rescaling: long wavelengths are stretched by `factor`, short ones kept, those between blended. */
function llama3(plain: readonly number[], scaling: Fields): number[] {
  const factor = scaling.number("factor");
  const low = scaling.number("low_freq_factor");
  const high = scaling.number("high_freq_factor");
  const trained = scaling.number("original_max_position_embeddings");
  return plain.map((frequency) => {
    // How many of the wave's turns fit into the context of the first training, from `low` (stretch) to `high` (keep).
    const turns = (trained * frequency) / (2 * Math.PI);
    const keep = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return (1 - keep) * (frequency / factor) + keep * frequency;
  });
}

/**
 * config.json for a model of ours, such that transformers builds the same one. Heads for value and score are not part of it.
 *
 * @param end id of the end token, or of all where there are several, or null
 * @throws GuerdonError "unsupported" when no class there computes this model; the message says which part is the reason
 */
export function toHuggingFace(config: TransformerConfig, end: number | readonly number[] | null): Record<string, unknown> {
  const full = resolve(config);
  const refuse = (reason: string) =>
    new GuerdonError(
      "unsupported",
      `This model cannot be written for Hugging Face transformers: ${reason}. Its checkpoints can be kept and read as they are.`,
    );
  if (full.norm !== "rms") throw refuse(`its norm is "${full.norm}", and Llama, Qwen2 and Qwen3 have "rms"`);
  if (full.positions !== "rotary") throw refuse(`its positions are "${full.positions}", and Llama, Qwen2 and Qwen3 have "rotary"`);
  if (full.activation !== "swiglu") throw refuse(`its activation is "${full.activation}", and Llama, Qwen2 and Qwen3 have "swiglu"`);
  const theta = full.theta ?? 10000;
  const { frequencies: _, ...unscaled } = config;
  const plain = resolve(unscaled).frequencies;
  if (full.frequencies.some((frequency, i) => frequency !== plain[i]))
    throw refuse("its rotary frequencies are rescaled; give the option `like` with the folder that it was read from");
  const has = (names: readonly Projection[]) => names.every((name) => full.biases.includes(name));
  const biases = full.biases.length;
  const architecture: Architecture = (() => {
    if (full.queryKeyNorm && (biases === 0 || (biases === 4 && has(attention)))) return "Qwen3ForCausalLM";
    if (!full.queryKeyNorm && biases === 3 && has(["q_proj", "k_proj", "v_proj"])) return "Qwen2ForCausalLM";
    if (!full.queryKeyNorm && biases === (has(attention) ? 4 : 0) + (has(mlp) ? 3 : 0)) return "LlamaForCausalLM";
    throw refuse(`no class there has biases on exactly ${full.biases.join(", ")}${full.queryKeyNorm ? " and norms of query and key" : ""}`);
  })();
  return {
    architectures: [architecture],
    model_type: architectures[architecture],
    ...(architecture === "Qwen2ForCausalLM" ? {} : { attention_bias: has(attention) }),
    ...(architecture === "LlamaForCausalLM" ? { mlp_bias: has(mlp) } : { use_sliding_window: false }),
    head_dim: full.headSize,
    hidden_act: "silu",
    hidden_size: full.width,
    intermediate_size: full.hidden,
    max_position_embeddings: full.context,
    num_attention_heads: full.heads,
    num_hidden_layers: full.layers,
    num_key_value_heads: full.keyValueHeads,
    rms_norm_eps: full.epsilon,
    rope_scaling: null,
    rope_theta: theta,
    tie_word_embeddings: full.tied,
    torch_dtype: "float32",
    use_cache: true,
    vocab_size: full.vocabulary,
    bos_token_id: null,
    eos_token_id: end,
  };
}
