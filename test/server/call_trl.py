"""Calls the TRL shim as TRL's trainer does: keyword arguments only, every column repeated to the batch, None for "not applicable".

With TRL installed the trainer's own `_calculate_rewards` makes the call; without it, the same arguments are passed by hand. Prints JSON.
"""
import json
import math
import sys
import types

sys.path.insert(0, sys.argv[1])
from guerdon_reward import guerdon_reward

metrics, extra = {}, {}
prompts = [[{"role": "user", "content": "6 x 7?"}]] * 3
completions = [[{"role": "assistant", "content": text}] for text in ("42", "41", "null")]
inputs = [
    {"prompt": prompts[i], "solution": "42", "reference": "42", "weight": float("nan"), "picture": object(), "number": i} for i in range(3)
]
log = lambda name, value: metrics.setdefault(name, []).append(value)
log_extra = lambda column, values: extra.setdefault(column, []).extend(values)

try:
    if "--by-hand" in sys.argv:
        raise ImportError
    import torch
    from trl.trainer import grpo_trainer
except ImportError:
    keys = [key for key in inputs[0] if key not in ("prompt", "completion", "completion_ids")]
    columns = {key: [example[key] for example in inputs] for key in keys}
    rewards = guerdon_reward(
        prompts=prompts,
        completions=completions,
        completion_ids=[[1], [2], [3]],
        trainer_state=object(),
        log_extra=log_extra,
        log_metric=log,
        **columns,
    )
    print(json.dumps({"by": "hand", "rewards": rewards, "metrics": metrics, "extra": extra, "name": guerdon_reward.__name__}))
else:
    # Its logger wants to know which process it is in.
    __import__("accelerate").PartialState()
    grpo_trainer.gather = lambda tensor: tensor
    grpo_trainer.profiling_context = lambda trainer, name: __import__("contextlib").nullcontext()
    trainer = types.SimpleNamespace(
        accelerator=types.SimpleNamespace(device="cpu"),
        reward_funcs=[guerdon_reward],
        reward_processing_classes=[None],
        reward_func_names=[grpo_trainer.get_callable_name(guerdon_reward)],
        state=object(),
        environments=None,
        _log_completion_extra=log_extra,
        _log_metric=log,
    )
    calculate = getattr(grpo_trainer.GRPOTrainer._calculate_rewards, "__wrapped__", grpo_trainer.GRPOTrainer._calculate_rewards)
    tensor = calculate(trainer, inputs, prompts, completions, [[1], [2], [3]])[:, 0].tolist()
    rewards = [None if math.isnan(value) else value for value in tensor]
    print(json.dumps({"by": "trl", "rewards": rewards, "metrics": metrics, "extra": extra, "name": trainer.reward_func_names[0]}))
