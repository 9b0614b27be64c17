"""Golden values for test/statistics, from NumPy, SciPy, statsmodels and scikit-learn. Run: python test/golden/statistics.py (writes statistics.json)."""

import json
import math
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import optimize, special, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests


def numbers(seed, n):
    """Deterministic without any library's generator."""
    return np.array([math.sin(0.7 * i + seed) * (1 + 0.3 * math.cos(1.3 * i * seed)) for i in range(n)])


def beta(a, b):
    d = stats.beta(a, b)
    return {"alpha": a, "beta": b, "mean": d.mean(), "variance": d.var(), "low": d.ppf(0.025), "high": d.ppf(0.975)}


SIDES = {"both": "two-sided", "above": "greater", "below": "less"}


def t_test(test):
    """`test` takes SciPy's name of the alternative."""
    return {side: {"statistic": r.statistic, "degrees": float(r.df), "p": r.pvalue} for side, r in ((s, test(a)) for s, a in SIDES.items())}


def t_tests(left, right):
    return {
        "left": left,
        "right": right,
        "mean": t_test(lambda a: stats.ttest_1samp(left, 0.3, alternative=a)),
        "paired": t_test(lambda a: stats.ttest_rel(left, right[: len(left)], alternative=a)),
        "welch": t_test(lambda a: stats.ttest_ind(left, right, equal_var=False, alternative=a)),
    }


def share(successes, n, at):
    return {"successes": successes, "n": n, "at": at, **{side: stats.binomtest(successes, n, at, alternative=a).pvalue for side, a in SIDES.items()}}


def fieller(values, over):
    """The ratios at which the paired t test has p = 0.05."""
    x, y = np.array(values), np.array(over)
    statistic = lambda r: stats.ttest_1samp(x - r * y, 0).statistic
    t, estimate = stats.t.ppf(0.975, len(x) - 1), x.mean() / y.mean()
    root = lambda sign, far: optimize.brentq(lambda r: statistic(r) + sign * t, *sorted((estimate, far)), xtol=1e-15)
    return {"values": values, "over": over, "estimate": estimate, "low": root(-1, -50), "high": root(1, 50)}


def linear(ridge, noise):
    x, y = numbers(1, 21).reshape(7, 3), numbers(2, 7)
    at = numbers(3, 6).reshape(2, 3)
    covariance = noise * np.linalg.inv(ridge * np.eye(3) + x.T @ x)
    coefficients = Ridge(alpha=ridge, fit_intercept=False).fit(x, y).coef_
    return {
        "ridge": ridge,
        "noise": noise,
        "features": x.tolist(),
        "values": y.tolist(),
        "coefficients": coefficients.tolist(),
        "covariance": covariance.tolist(),
        "at": at.tolist(),
        "mean": (at @ coefficients).tolist(),
        "variance": np.einsum("ni,ij,nj->n", at, covariance, at).tolist(),
    }


def gaussian_process(dimensions, length, variance, noise):
    x, y = 2 * numbers(1, 6 * dimensions).reshape(6, dimensions), numbers(2, 6)
    at = 2 * numbers(3, 4 * dimensions).reshape(4, dimensions)
    kernel = ConstantKernel(variance, "fixed") * RBF(length, "fixed")
    model = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(x, y)
    mean, covariance = model.predict(at, return_cov=True)
    return {
        "prior": {"length": length, "variance": variance, "noise": noise},
        "points": x.tolist(),
        "values": y.tolist(),
        "logMarginalLikelihood": model.log_marginal_likelihood_value_,
        "at": at.tolist(),
        "mean": mean.tolist(),
        "covariance": covariance.tolist(),
    }


def correlation(left, right):
    labels = [bool(x > 0.2) for x in right]
    return {
        "left": left,
        "right": right,
        "pearson": stats.pearsonr(left, right).statistic,
        "spearman": stats.spearmanr(left, right).statistic,
        "ranks": stats.rankdata(left).tolist(),
        "labels": labels,
        "area": roc_auc_score(labels, left),
    }


def chi_square(counts, probabilities):
    expected = np.array(probabilities) * sum(counts)
    statistic, p = stats.chisquare(counts, expected)
    return {"counts": counts, "probabilities": probabilities, "statistic": statistic, "degrees": len(counts) - 1, "p": p}


def calibration(n):
    """Ten bins of equal width, as in torchmetrics' BinaryCalibrationError with norm l1."""
    p = np.abs(numbers(1, n)) / 1.5
    labels = (numbers(2, n) > 0).astype(float)
    which = np.minimum((p * 10).astype(int), 9)
    error = sum(abs(p[which == b].mean() - labels[which == b].mean()) * (which == b).mean() for b in range(10) if (which == b).any())
    return {"probabilities": p.tolist(), "labels": labels.tolist(), "error": error}


P_VALUES = [[0.01, 0.04, 0.03, 0.005], [0.02, 0.02, 0.9, 0.001, 0.3], [0.5]]
golden = {
    "versions": {name: version(name) for name in ["numpy", "scipy", "scikit-learn", "statsmodels"]},
    "beta": [beta(a, b) for a, b in [(1, 1), (3, 7), (8, 6), (0.3, 2.5), (120, 4), (0.01, 0.02)]],
    "tTests": [t_tests(numbers(1, 5).tolist(), numbers(2, 9).tolist()), t_tests([3.1, 2.9, 3.4, 3.3], [1.2, 1.9, 2.1, 1.4])],
    "share": [share(*case) for case in [(18, 20, 0.7), (3, 20, 0.5), (0, 10, 0.2), (10, 10, 0.8), (140, 400, 0.3), (5, 10, 0.5)]],
    "chiSquare": [chi_square([44, 26, 30], [0.3, 0.3, 0.4]), chi_square([5, 9, 3, 40], [0.1, 0.2, 0.1, 0.6]), chi_square([600, 400], [0.5, 0.5])],
    "incompleteGamma": [{"x": x, "a": a, "q": special.gammaincc(a, x)} for x, a in [(0.1, 0.5), (3, 0.5), (2, 2.5), (40, 2.5), (9.5, 10), (120, 100)]],
    "calibration": calibration(40),
    "holm": [{"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()} for p in P_VALUES],
    "fieller": [fieller([12.0, 15, 9, 14, 11, 16], [6.0, 8, 5, 6, 7, 7]), fieller([-1.0, 2, 0.5, -0.3], [4.0, 5, 4.5, 5.5])],
    "interquartileMean": [{"values": v, "mean": stats.trim_mean(v, 0.25)} for v in [numbers(1, 10).tolist(), numbers(2, 21).tolist(), [1.0, 2, 50]]],
    "linear": [linear(0.1, 1.0), linear(2.0, 0.25)],
    "gaussianProcess": [gaussian_process(1, 1.0, 1.0, 0.01), gaussian_process(2, 0.7, 2.5, 0.1)],
    "correlation": [correlation(numbers(1, 12).tolist(), numbers(2, 12).tolist()), correlation([1.0, 2, 2, 3, 3, 3, 0], [0.1, 0.3, 0.1, 0.5, 0.1, 0.3, 0.0])],
}
Path(__file__).with_suffix(".json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
