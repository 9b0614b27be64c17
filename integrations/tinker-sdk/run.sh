#!/bin/sh
# Drives `guerdon serve --engine` with the official Python SDK, in its newest version (protobuf) and its last one that speaks JSON only,
# and compares every number with the local engine. Writes result.json beside this file. Run from anywhere, with Node's dependencies
# installed; what it downloads (about 3 GB, mostly PyTorch, which the SDK's custom losses need) stays in .venv-* here.
set -eu
cd "$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)"
. ../uv.sh
for version in 0.38.0 0.24.1; do
  [ -x ".venv-$version/bin/python" ] || uv venv --quiet --python "${python:-3.12}" ".venv-$version"
  uv pip install --quiet --python ".venv-$version/bin/python" --constraints constraints.txt "tinker==$version" torch ||
    fail "tinker $version could not be installed; see above."
done
exec node --conditions=guerdon-source run.ts 0.38.0 0.24.1
