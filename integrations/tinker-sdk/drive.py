"""Drives a training service with the official SDK: python drive.py <address> <model> < rows.json > numbers.json"""

import importlib.metadata
import json
import platform
import sys

import tinker
import torch
from tinker import types

url, base_model = sys.argv[1:]
rows = json.load(sys.stdin)
service = tinker.ServiceClient(base_url=url, api_key="tml-local")
capabilities = [model.model_name for model in service.get_server_capabilities().supported_models]
training = service.create_lora_training_client(base_model=base_model, rank=8, seed=1)


def data(*columns):
    """The rows, shifted as the protocol wants them, with what a loss reads."""
    return [
        types.Datum(
            model_input=types.ModelInput.from_ints(row["tokens"][:-1]),
            loss_fn_inputs={"target_tokens": row["tokens"][1:], **{column: row[column] for column in columns}},
        )
        for row in rows
    ]


def logprobs(output):
    return [[float(x) for x in one["logprobs"].data] for one in output.loss_fn_outputs]


steps = []


def step(name, future):
    """The pass's numbers, and those of the update that follows."""
    output = future.result(timeout=60)
    metrics = training.optim_step(types.AdamParams(learning_rate=1e-2, beta1=0.9, beta2=0.95, eps=1e-8)).result(timeout=60).metrics
    steps.append({"name": name, "logprobs": logprobs(output), "metrics": dict(output.metrics), "update": dict(metrics or {})})


def custom(_, per_row):
    """Squared distance of each row's mean log-probability from -4: no loss of any service."""
    loss = sum((row.mean() + 4.0) ** 2 for row in per_row)
    return loss, {"custom:mean": float(loss)}


first = logprobs(training.forward(data("weights"), "cross_entropy").result(timeout=60))
step("cross_entropy", training.forward_backward(data("weights"), "cross_entropy"))
step("importance_sampling", training.forward_backward(data("weights", "advantages", "logprobs"), "importance_sampling"))
step("ppo", training.forward_backward(data("weights", "advantages", "logprobs"), "ppo"))
step("custom", training.forward_backward_custom(data("weights"), custom))
last = logprobs(training.forward(data("weights"), "cross_entropy").result(timeout=60))

state = training.save_state("state").result(timeout=60).path
again = service.create_lora_training_client(base_model=base_model, rank=8, seed=2)
again.load_state_with_optimizer(state).result(timeout=60)
loaded = logprobs(again.forward(data("weights"), "cross_entropy").result(timeout=60))

named = training.save_weights_for_sampler("sampler").result(timeout=60).path
sampling = training.save_weights_and_get_sampling_client()
prompt = rows[0]["tokens"][:3]
drawn = sampling.sample(
    prompt=types.ModelInput.from_ints(prompt), num_samples=3, sampling_params=types.SamplingParams(max_tokens=8, seed=5)
).result(timeout=60)
samples = [{"tokens": list(one.tokens), "logprobs": list(one.logprobs), "stop": one.stop_reason} for one in drawn.sequences]
scored = sampling.compute_logprobs(types.ModelInput.from_ints(prompt + samples[0]["tokens"])).result(timeout=60)
base = service.create_sampling_client(base_model=base_model)
under = base.compute_logprobs(types.ModelInput.from_ints(rows[0]["tokens"])).result(timeout=60)

json.dump(
    {
        "versions": {"python": platform.python_version(), **{n: importlib.metadata.version(n) for n in ["tinker", "torch", "protobuf", "pydantic"]}},
        "capabilities": capabilities,
        "first": first,
        "steps": steps,
        "last": last,
        "loaded": loaded,
        "paths": {"state": state, "sampler": named},
        "prompt": prompt,
        "samples": samples,
        "scored": scored,
        "base": under,
    },
    sys.stdout,
)
