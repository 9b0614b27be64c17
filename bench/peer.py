"""The benchmark's model, step and sampler in plain PyTorch, on one CPU thread. Reads a plan (JSON) on stdin, writes results (JSON) on stdout.

    echo '{"layers": 4, "width": 128, ...}' | python3 bench/peer.py

Times are CPU time of this process (time.process_time), the median of the repeats after two warm-up calls.
"""

import json
import math
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.qkv, self.o = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x, cache=None, position=0):
        n, t, width = x.shape
        q, k, v = (y.view(n, t, self.heads, -1).transpose(1, 2) for y in self.qkv(self.norm1(x)).chunk(3, -1))
        if cache is not None:
            cache[0][:, :, position : position + t], cache[1][:, :, position : position + t] = k, v
            k, v = cache[0][:, :, : position + t], cache[1][:, :, : position + t]
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=t > 1)
        x = x + self.o(mixed.transpose(1, 2).reshape(n, t, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Decoder(nn.Module):
    """RMSNorm, learned positions, GELU, untied output, no biases: the same shapes as the benchmark's policy."""

    def __init__(self, layers, width, heads, vocabulary, context):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm, self.out = nn.RMSNorm(width, eps=1e-5), nn.Linear(width, vocabulary, bias=False)
        self.heads, self.context, self.size = heads, context, width // heads

    def forward(self, ids, caches=None, position=0):
        x = self.tokens(ids) + self.positions(torch.arange(position, position + ids.shape[1]))
        for number, layer in enumerate(self.layers):
            x = layer(x, caches[number] if caches else None, position)
        return self.out(self.norm(x))

    def log_probs(self, ids):
        """[N, T] -> [N, T - 1]: log-probability of each token after the first."""
        return torch.log_softmax(self(ids[:, :-1]), -1).gather(2, ids[:, 1:, None])[..., 0]


def measure(f, repeats):
    for _ in range(2):
        f()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        f()
        times.append(time.process_time() - start)
    return statistics.median(times)


def update(model, optimizer, loss):
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def k3(new, reference):
    return torch.exp(reference - new) - (reference - new) - 1


def surrogate(new, batch):
    """Mean over tokens of the clipped surrogate plus 0.01 x k3 to the reference."""
    ratio = torch.exp(new - batch["behaviour"])
    gain = torch.minimum(ratio * batch["advantage"], ratio.clamp(0.8, 1.2) * batch["advantage"]) - 0.01 * k3(new, batch["reference"])
    return -(gain * batch["mask"]).sum() / batch["mask"].sum()


def columns(model, ids, mask):
    with torch.no_grad():
        old = model.log_probs(ids)
    noise = lambda scale: scale * torch.randn(old.shape)
    return {"behaviour": old + noise(0.1), "reference": old + noise(0.1), "advantage": noise(1), "mask": mask}


def main():
    plan = json.load(sys.stdin)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    out = {"torch": torch.__version__}
    repeats = plan["repeats"]

    n = plan["matmul"]
    a, b = torch.randn(n, n), torch.randn(n, n)
    out["matmul"] = 2 * n**3 / measure(lambda: a @ b, 5 * repeats) / 1e9

    shape, rows, tokens = plan["model"], plan["rows"], plan["tokens"]
    model = Decoder(**shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
    # One token more, so that as many positions as Guerdon pads to go through the model.
    ids = torch.randint(shape["vocabulary"], (rows, tokens + 1))
    ones = torch.ones(rows, tokens)
    out["sft"] = 1000 * measure(lambda: update(model, optimizer, -model.log_probs(ids).mean()), repeats)
    batch = columns(model, ids, ones)
    out["surrogate"] = 1000 * measure(lambda: update(model, optimizer, surrogate(model.log_probs(ids), batch)), repeats)

    count, prompt, new = plan["sampling"]["rows"], plan["sampling"]["prompt"], plan["sampling"]["tokens"]

    @torch.inference_mode()
    def sample():
        caches = [[torch.zeros(count, model.heads, prompt + new, model.size) for _ in range(2)] for _ in model.layers]
        ids, position, kept = torch.randint(shape["vocabulary"], (count, prompt)), 0, []
        for _ in range(new):
            logits = torch.log_softmax(model(ids, caches, position)[:, -1], -1)
            position += ids.shape[1]
            ids = torch.multinomial(logits.exp(), 1)
            kept.append(logits.gather(1, ids).tolist())
        return kept

    out["sampling"] = count * new / measure(sample, repeats)

    # Ragged rows: one padded batch, and rows sorted by length in chunks of 16; the better of the two counts.
    lengths = sorted(plan["ragged"]["lengths"])
    small = Decoder(**plan["ragged"]["model"])
    small_optimizer = torch.optim.AdamW(small.parameters(), lr=1e-4, weight_decay=0.01)
    total = sum(lengths) - len(lengths)

    def padded(chunk):
        longest = max(chunk)
        mask = (torch.arange(longest - 1)[None] < torch.tensor(chunk)[:, None] - 1).float()
        ids = torch.randint(plan["ragged"]["model"]["vocabulary"], (len(chunk), longest))
        return ids, columns(small, ids, mask)

    def ragged(size):
        chunks = [padded(lengths[i : i + size]) for i in range(0, len(lengths), size)]

        def run():
            for ids, batch in chunks:
                (surrogate(small.log_probs(ids), batch) * batch["mask"].sum() / total).backward()
            nn.utils.clip_grad_norm_(small.parameters(), 1.0)
            small_optimizer.step()
            small_optimizer.zero_grad()

        return 1000 * measure(run, repeats)

    out["ragged"] = min(ragged(len(lengths)), ragged(16))
    if not all(math.isfinite(value) for value in out.values() if isinstance(value, float)):
        sys.exit("a measurement is not finite")
    json.dump(out, sys.stdout)


main()
