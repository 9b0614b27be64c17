"""Golden values for test/statistics, from NumPy, SciPy and scikit-learn. Run: python test/golden/statistics.py (writes statistics.json beside it)."""

import json
from importlib.metadata import version
from pathlib import Path

from scipy import stats


def beta(a, b):
    d = stats.beta(a, b)
    return {"alpha": a, "beta": b, "mean": d.mean(), "variance": d.var(), "low": d.ppf(0.025), "high": d.ppf(0.975)}


golden = {
    "versions": {name: version(name) for name in ["numpy", "scipy", "scikit-learn"]},
    "beta": [beta(a, b) for a, b in [(1, 1), (3, 7), (8, 6), (0.3, 2.5), (120, 4), (0.01, 0.02)]],
}
Path(__file__).with_suffix(".json").write_text(json.dumps(golden, indent=1) + "\n")
