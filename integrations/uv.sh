# Read by the scripts beside it: finds a Python 3.12 ($python, empty where there is none) and puts uv on the PATH.
fail() {
  echo "integrations: $1" >&2
  exit 1
}

# One that really runs: version managers put names on the PATH that only complain.
python=
for candidate in "${PYTHON:-python3.12}" python3.12 python3; do
  if "$candidate" -c 'import sys; assert sys.version_info[:2] == (3, 12)' 2>/dev/null; then
    python=$(command -v "$candidate")
    break
  fi
done

if ! command -v uv >/dev/null 2>&1; then
  [ -n "$python" ] || fail "neither uv nor a Python 3.12 was found; install one of them, or name a Python by PYTHON=..."
  [ -x ../.tools/bin/uv ] || { "$python" -m venv ../.tools && ../.tools/bin/pip install --quiet uv==0.13.8; } || fail "uv could not be installed."
  PATH=$(cd ../.tools/bin && pwd):$PATH
  export PATH
fi
