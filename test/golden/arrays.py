"""Golden values for test/arrays/golden.test.ts, from PyTorch in float64. Run: python test/golden/arrays.py (writes arrays.json beside it)."""

import json
import math
from pathlib import Path

import torch
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)


def numbers(seed, *shape):
    """Deterministic without any library's generator, so that the test can state the inputs too."""
    n = math.prod(shape)
    return torch.tensor([math.sin(0.7 * i + seed) * (1 + 0.3 * math.cos(1.3 * i * seed)) for i in range(n)]).reshape(shape)


def entry(x):
    return {"shape": list(x.shape), "data": [float(f"{v:.15g}") for v in x.detach().flatten().tolist()]}


def case(f, **inputs):
    """The result, and the gradient of the result's sum weighted by 1, 2, 3, ..."""
    leaves = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    y = f(**leaves)
    (y.flatten() * torch.arange(1, y.numel() + 1)).sum().backward()
    return {
        "inputs": {name: entry(x) for name, x in inputs.items()},
        "result": entry(y),
        "gradient": {name: entry(x.grad) for name, x in leaves.items()},
    }


def attention(q, k, v):
    T = q.shape[-2]
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return F.softmax(scores.masked_fill(torch.ones(T, T).triu(1).bool(), -1e30), -1) @ v


def adamw():
    """Three steps with weight decay and gradient clipping."""
    parameters = {name: numbers(seed, *shape).requires_grad_() for name, seed, shape in [("a", 1, (3, 2)), ("b", 2, (4,))]}
    optimizer = torch.optim.AdamW(parameters.values(), lr=0.02, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    start = {name: entry(p) for name, p in parameters.items()}
    steps = []
    for t in range(3):
        for i, p in enumerate(parameters.values()):
            p.grad = numbers(3 + t + 10 * i, *p.shape)
        gradients = {name: entry(p.grad) for name, p in parameters.items()}
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), 1.5)
        clipped = {name: entry(p.grad) for name, p in parameters.items()}
        optimizer.step()
        steps.append({"gradient": gradients, "norm": norm.item(), "clipped": clipped, "parameters": {name: entry(p) for name, p in parameters.items()}})
    return {"start": start, "steps": steps}


x = numbers(1, 2, 3, 4) * 3
golden = {
    "functions": {
        "gelu exact": case(lambda x: F.gelu(x), x=x),
        "gelu tanh": case(lambda x: F.gelu(x, approximate="tanh"), x=x),
        "silu": case(lambda x: F.silu(x), x=x),
        "softplus": case(lambda x: F.softplus(x), x=x * 20),
        "logSigmoid": case(lambda x: F.logsigmoid(x), x=x * 20),
        "logSoftmax": case(lambda x: F.log_softmax(x, -1), x=x),
        "logSumExp": case(lambda x: torch.logsumexp(x, -1), x=x),
        "attention": case(attention, q=numbers(1, 2, 2, 4, 3), k=numbers(2, 2, 2, 4, 3), v=numbers(3, 2, 2, 4, 3)),
        "layer norm": case(lambda x, g, b: F.layer_norm(x, (4,), g, b, 1e-5), x=x, g=numbers(2, 4), b=numbers(3, 4)),
        "rms norm": case(lambda x, g: F.rms_norm(x, (4,), g, 1e-5), x=x, g=numbers(2, 4)),
    },
    "adamw": adamw(),
}
Path(__file__).with_suffix(".json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
