"""Loads what Guerdon wrote with transformers (and peft), and compares its logits with those of the model it was read from.

    python3 test/golden/load_back.py WRITTEN GOLDEN [BASE]

WRITTEN is a folder of `writeModel`; with BASE, one of `writeAdapter` for that base model. GOLDEN holds golden.json. Prints one JSON line
and fails when a tensor is missing or left over, or the logits differ by more than 1e-5 of the largest.
"""

import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import AutoModelForCausalLM

written, golden = sys.argv[1], pathlib.Path(sys.argv[2])
if len(sys.argv) > 3:
    from peft import PeftModel
    from safetensors import safe_open

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(sys.argv[3]), written)
    with safe_open(pathlib.Path(written) / "adapter_model.safetensors", "pt") as file:
        names = set(file.keys())
    wanted = {name.replace(".default.", ".") for name, _ in model.named_parameters() if "lora_" in name}
    odd = sorted(names ^ wanted)
else:
    model, info = AutoModelForCausalLM.from_pretrained(written, output_loading_info=True)
    odd = [str(name) for part in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs") for name in info[part]]
model = model.double().eval()
worst = 0.0
for row in json.loads((golden / "golden.json").read_text())["rows"]:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row["prompt"] + row["actions"]])).logits[0]
    theirs = torch.tensor(row["logits"], dtype=torch.float64)
    worst = max(worst, ((logits - theirs).abs().max() / theirs.abs().max()).item())
eos = model.generation_config.eos_token_id
print(json.dumps({"class": type(model.get_base_model() if len(sys.argv) > 3 else model).__name__, "distance": worst, "odd": odd, "eos": eos}))
sys.exit(1 if odd or worst > 1e-5 else 0)
