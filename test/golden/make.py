"""Makes the golden values of test/policies/parity.test.ts and tokenizer-files.test.ts. Nothing is downloaded: every model is random, from a config.

    python3 test/golden/make.py          (torch, transformers, peft, tokenizers; versions in README.md)

Each folder holds a model as `save_pretrained` writes it, plus
    golden.json            rows, logits, log-probabilities of the actions, the loss's weights and the loss
    gradients.safetensors  gradient of the loss with respect to every parameter, under transformers' names
`gpt2` and `layer-norm` are models of no family that has its own files here: their tensors stand under Guerdon's names.
The loss is sum(weight * log-probability of the action). Models run in float64 from their float32 files; transformers itself
drops to float32 inside its norms, its rotary table and the attention's softmax, so the values are good to about 1e-6.
"""

import json
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

here = pathlib.Path(__file__).resolve().parent
torch.use_deterministic_algorithms(True)

shared = dict(
    vocab_size=32,
    hidden_size=24,
    intermediate_size=28,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=512,
    bos_token_id=1,
    eos_token_id=2,
)

# Prompts and actions of different lengths, so that padding is part of the comparison.
rows = [
    {"prompt": [1, 17, 5, 30], "actions": [9, 9, 31, 2]},
    {"prompt": [1, 3], "actions": [24, 0, 12, 31, 26, 8, 13, 7, 2]},
    {"prompt": [1, 20, 21, 22, 23, 24, 25], "actions": [11]},
]
weights = [[0.7, -1.1, 0.0, 0.4], [1.0, 0.3, -0.6, 0.2, 0.9, -0.8, 0.1, 0.5, -0.2], [1.3]]


def randomise(model, seed):
    """Large enough weights that every part of the model matters; gains away from 1, biases and adapters away from 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("bias"):
                parameter.copy_(0.3 * noise)
            elif "norm" in name:
                parameter.copy_(1 + 0.3 * noise)
            elif "embed_tokens" in name:
                parameter.copy_(0.5 * noise)
            else:
                parameter.copy_(noise / parameter.shape[1] ** 0.5)


def golden(model, folder, trainable):
    """Runs the rows through the model in float64 and writes golden.json and gradients.safetensors."""
    model = model.double().eval()
    write_golden(lambda tokens: model(input_ids=tokens).logits[0], model.named_parameters(), folder, trainable)


def write_golden(logits_of, parameters, folder, trainable):
    loss, out = 0.0, []
    for row, weight in zip(rows, weights):
        tokens = torch.tensor([row["prompt"] + row["actions"]])
        logits = logits_of(tokens)
        start = len(row["prompt"]) - 1
        chosen = torch.log_softmax(logits[start:-1], -1).gather(1, tokens[0, start + 1 :, None])[:, 0]
        loss = loss + (chosen * torch.tensor(weight, dtype=torch.float64)).sum()
        out.append({**row, "weights": weight, "logits": logits.tolist(), "logProbs": chosen.tolist()})
    loss.backward()
    gradients = {name: p.grad.float().contiguous() for name, p in parameters if trainable(name)}
    # peft names its parameters after its own wrapping; its files, and so these, have neither that prefix's adapter name.
    gradients = {name.replace(".default.", "."): g for name, g in gradients.items()}
    folder.mkdir(exist_ok=True)
    save_file(gradients, folder / "gradients.safetensors")
    text = json.dumps({"rows": out, "loss": loss.item()}, default=float)
    text = json.dumps(json.loads(text, parse_float=lambda s: float(f"{float(s):.8g}")))
    (folder / "golden.json").write_text(text + "\n")


scaled = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=256)
families = {
    "llama": (LlamaForCausalLM, LlamaConfig, dict(rms_norm_eps=1e-5, rope_theta=10000.0)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, dict(rms_norm_eps=1e-6, rope_theta=1000000.0)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, dict(rms_norm_eps=1e-6, rope_theta=1000000.0, head_dim=8)),
}
for number, (family, (Model, Config, own)) in enumerate(families.items()):
    for tied in (False, True):
        folder = here / (f"{family}-tied" if tied else family)
        # The tied ones are also what large published models look like: rescaled rotary wavelengths, bfloat16, several files and an index.
        extra = dict(rope_scaling=scaled) if tied and family == "llama" else {}
        model = Model(Config(**shared, **own, **extra, tie_word_embeddings=tied))
        randomise(model, 10 * number + tied)
        if tied and family == "qwen2":
            model = model.to(torch.bfloat16)
        model.save_pretrained(folder, **(dict(max_shard_size="20KB") if tied and family == "qwen3" else {}))
        golden(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), folder, lambda name: True)

# Adapters over the llama and the qwen2 base, as peft saves them.
for base, targets in {"llama": ["q_proj", "v_proj", "down_proj"], "qwen2": ["q_proj", "k_proj", "v_proj", "o_proj"]}.items():
    folder = here / f"{base}-lora"
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(here / base),
        LoraConfig(r=4, lora_alpha=6, target_modules=targets, task_type="CAUSAL_LM"),
    )
    generator = torch.Generator().manual_seed(100 + len(targets))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[1] ** 0.5)
    model.save_pretrained(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base, "target_modules": targets}, indent=2) + "\n")
    (folder / "README.md").unlink(missing_ok=True)
    again = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(here / base), folder, is_trainable=True)
    golden(again, folder, lambda name: "lora_" in name)



def layer_norm_decoder(p, tokens, gelu):
    """A decoder with LayerNorm, learned positions and GELU in plain PyTorch, on parameters under Guerdon's names: logits [length, vocabulary]."""
    linear = lambda x, path: F.linear(x, p[f"{path}.weight"], p.get(f"{path}.bias"))
    norm = lambda x, path: F.layer_norm(x, x.shape[-1:], p[f"{path}.weight"], p[f"{path}.bias"], 1e-5)
    split = lambda x: x.reshape(x.shape[0], 4, -1).transpose(0, 1)
    x = p["model.embed_tokens.weight"][tokens[0]] + p["model.embed_positions.weight"][: tokens.shape[1]]
    for layer in range(2):
        path = f"model.layers.{layer}"
        y = norm(x, f"{path}.input_layernorm")
        q, k, v = [split(linear(y, f"{path}.self_attn.{name}_proj")) for name in "qkv"]
        mixed = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        x = x + linear(mixed.transpose(0, 1).reshape(x.shape), f"{path}.self_attn.o_proj")
        y = norm(x, f"{path}.post_attention_layernorm")
        x = x + linear(F.gelu(linear(y, f"{path}.mlp.up_proj"), approximate=gelu), f"{path}.mlp.down_proj")
    return F.linear(norm(x, "model.norm"), p.get("lm_head.weight", p["model.embed_tokens.weight"]))


def from_gpt2(model):
    """The parameters of a GPT2LMHeadModel under Guerdon's names; its matrices are [inputs, outputs], those of q, k and v in one."""
    state, out = model.state_dict(), {}
    for ours, theirs in {"model.embed_tokens": "wte", "model.embed_positions": "wpe"}.items():
        out[f"{ours}.weight"] = state[f"transformer.{theirs}.weight"]
    for kind in ("weight", "bias"):
        for layer in range(2):
            ours, theirs = f"model.layers.{layer}", f"transformer.h.{layer}"
            out[f"{ours}.input_layernorm.{kind}"] = state[f"{theirs}.ln_1.{kind}"]
            out[f"{ours}.post_attention_layernorm.{kind}"] = state[f"{theirs}.ln_2.{kind}"]
            for name, part in zip("qkv", state[f"{theirs}.attn.c_attn.{kind}"].t().chunk(3)):
                out[f"{ours}.self_attn.{name}_proj.{kind}"] = part
            out[f"{ours}.self_attn.o_proj.{kind}"] = state[f"{theirs}.attn.c_proj.{kind}"].t()
            out[f"{ours}.mlp.up_proj.{kind}"] = state[f"{theirs}.mlp.c_fc.{kind}"].t()
            out[f"{ours}.mlp.down_proj.{kind}"] = state[f"{theirs}.mlp.c_proj.{kind}"].t()
        out[f"model.norm.{kind}"] = state[f"transformer.ln_f.{kind}"]
    return out


# gpt2: tied, biases on all projections, GELU with tanh; the plain decoder must equal transformers' own. layer-norm: the main job's family,
# untied, without those biases, exact GELU.
model = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=24, n_inner=40, n_layer=2, n_head=4, n_positions=32, bos_token_id=1, eos_token_id=2))
generator = torch.Generator().manual_seed(200)
with torch.no_grad():
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "ln_" in name or name.endswith("bias"):
            parameter.copy_((0 if name.endswith("bias") else 1) + 0.3 * noise)
        else:
            parameter.copy_(noise * (0.5 if ".wte." in name or ".wpe." in name else parameter.shape[0] ** -0.5))
tensors = {"gpt2": from_gpt2(model)}
tensors["layer-norm"] = {n: t for n, t in tensors["gpt2"].items() if not n.endswith("proj.bias")}
tensors["layer-norm"]["lm_head.weight"] = torch.randn((32, 24), generator=generator) / 24**0.5
for name, gelu in {"gpt2": "tanh", "layer-norm": "none"}.items():
    folder = here / name
    folder.mkdir(exist_ok=True)
    save_file({n: t.contiguous() for n, t in tensors[name].items()}, folder / "model.safetensors")
    parameters = {n: t.double().requires_grad_() for n, t in tensors[name].items()}
    if name == "gpt2":
        for row in rows:
            tokens = torch.tensor([row["prompt"] + row["actions"]])
            torch.testing.assert_close(layer_norm_decoder(parameters, tokens, gelu), model.double().eval()(input_ids=tokens).logits[0], rtol=1e-9, atol=1e-9)
    write_golden(lambda tokens: layer_norm_decoder(parameters, tokens, gelu), parameters.items(), folder, lambda name: True)

# A byte-level BPE in the style of Qwen and Llama 3: a start token put there by the post-processor, special tokens inside the text.
folder = here / "tokenizer"
folder.mkdir(exist_ok=True)
tokenizer = Tokenizer(models.BPE())
tokenizer.normalizer = normalizers.NFC()
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=320, special_tokens=["<|begin|>", "<|end|>", "<|im_end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
)
tokenizer.train_from_iterator(["the policy answers and the reward scores the answer", "a reward, earned: 12 + 30 = 42", "größer als der Lohn"] * 4, trainer)
tokenizer.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)])
tokenizer.save(str(folder / "tokenizer.json"))
(folder / "tokenizer_config.json").write_text(
    json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>", "eos_token": {"content": "<|end|>", "__type": "AddedToken"}}, indent=2) + "\n"
)
texts = ["the reward", "", " the  answers\n\tare 42!", "Größe: 3 μm, naïve café", "e\u0301 and 🙂🙃", "<|im_end|>the end<|end|>", "日本語 12+30=42", "x" * 40, "is it right ? I 'm sure , yes"]
cases = []
for text in texts:
    plain, prompt = tokenizer.encode(text, add_special_tokens=False).ids, tokenizer.encode(text).ids
    cases.append({"text": text, "ids": plain, "prompt": prompt, "decoded": tokenizer.decode(plain, skip_special_tokens=False)})
(folder / "golden.json").write_text(json.dumps({"vocabulary": tokenizer.get_vocab_size(), "cases": cases}, ensure_ascii=False, indent=1) + "\n")
