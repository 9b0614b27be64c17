#!/bin/sh
# Trains three GRPO and three DPO steps on a SkyRL server on this machine's CPU, and the same six steps with the local engine.
# Writes result.json beside this file. Run from anywhere; what it downloads (about 3 GB, mostly PyTorch's GPU libraries, which are not
# used) stays in .venv here. UV_* and PIP_* settings apply.
set -eu
cd "$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)"
fail() {
  echo "integrations/skyrl: $1" >&2
  exit 1
}

# A python3.12 that really runs: version managers put names on the PATH that only complain.
python=
for candidate in "${PYTHON:-python3.12}" python3.12 python3; do
  if "$candidate" -c 'import sys; assert sys.version_info[:2] == (3, 12)' 2>/dev/null; then
    python=$(command -v "$candidate")
    break
  fi
done

# SkyRL starts its engine by `uv run`, so that uv has to be on the PATH.
if ! command -v uv >/dev/null 2>&1; then
  [ -n "$python" ] || fail "neither uv nor a Python 3.12 was found; install one of them, or name a Python by PYTHON=..."
  [ -x .tools/bin/uv ] || { "$python" -m venv .tools && .tools/bin/pip install --quiet uv==0.13.8; } || fail "uv could not be installed."
  PATH=$PWD/.tools/bin:$PATH
  export PATH
fi
# Without a Python 3.12 on the PATH uv finds or downloads one.
uv sync --quiet --python "${python:-3.12}" --extra jax --extra tinker || fail "the Python packages could not be installed; see above."

[ -f .work/tiny/model.safetensors ] || .venv/bin/python make-model.py .work/tiny
exec node --conditions=guerdon-source run.ts
