#!/bin/sh
# Trains three GRPO and three DPO steps on a SkyRL server on this machine's CPU, and the same six steps with the local engine.
# Writes result.json beside this file. Run from anywhere, with Node's dependencies installed; what it downloads (about 3 GB, mostly
# PyTorch's GPU libraries, which are not used) stays in .venv here. UV_* and PIP_* settings apply.
set -eu
cd "$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)"
. ../uv.sh
# SkyRL starts its engine by `uv run`. Without a Python 3.12 on the PATH uv finds or downloads one.
uv sync --quiet --python "${python:-3.12}" --extra jax --extra tinker || fail "the Python packages could not be installed; see above."
[ -f .work/tiny/model.safetensors ] || .venv/bin/python make-model.py .work/tiny
exec node --conditions=guerdon-source run.ts
