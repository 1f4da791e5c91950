"""How good predictions are: alignment, uplift of a choice, coverage of intervals, standard errors.

Plain numpy; knows no model and no data format. A NaN is an error here, never a good score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error over `n` independent values."""

    mean: float
    error: float
    n: int


def alignment_wasserstein(pred: ArrayLike, true: ArrayLike, ordinal: ArrayLike) -> float:
    """1 - W1(pred, true) / (max - min) over the ordinal values; all (k,), values in any order.

    Raises ValueError for anything that is not a distribution, or ordinals that are all equal.
    """
    p, q = _distributions(pred, true)
    at = _finite(ordinal, "ordinal")
    if at.shape != p.shape:
        raise ValueError(f"ordinal has shape {at.shape}, the distributions have {p.shape}")
    order = np.argsort(at, kind="stable")
    gaps = np.diff(at[order])
    if not gaps.sum() > 0:
        raise ValueError("the ordinal values are all equal")
    cumulated = np.cumsum((p - q)[order])[:-1]
    return float(1 - np.abs(cumulated) @ gaps / gaps.sum())


def alignment_js(pred: ArrayLike, true: ArrayLike) -> float:
    """1 - Jensen-Shannon distance (the square root, base e) of two distributions (k,).

    Lies in [1 - sqrt(ln 2), 1] = [0.167, 1]. Raises ValueError for what is no distribution.
    """
    p, q = _distributions(pred, true)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return float(1 - np.sqrt(max(divergence, 0.0)))


def uplift_terms(scores: ArrayLike, rates: ArrayLike) -> tuple[float, float]:
    """For one list of n candidates: (chosen - random, oracle - random), in units of `rates`.

    The candidates that share the highest score count with their mean rate, so the order of the
    list does not matter. Raises ValueError for NaN or different lengths.
    """
    s, r = _finite(scores, "scores"), _finite(rates, "rates")
    if s.ndim != 1 or s.shape != r.shape or s.size == 0:
        raise ValueError(f"scores {s.shape} and rates {r.shape} must be equal, (n,) and not empty")
    random = r.mean()
    return float(r[s == s.max()].mean() - random), float(r.max() - random)


def uplift(lists: Sequence[tuple[ArrayLike, ArrayLike]]) -> Estimate:
    """Uplift of the best of n over lists of (scores, rates): a ratio of sums.

    0 is a random choice, 1 the best possible one. Raises ValueError without any headroom.
    """
    terms = np.array([uplift_terms(scores, rates) for scores, rates in lists], dtype=np.float64)
    return ratio_of_sums(terms.reshape(-1, 2)[:, 0], terms.reshape(-1, 2)[:, 1])


def ratio_of_sums(numerators: ArrayLike, denominators: ArrayLike) -> Estimate:
    """sum(numerators) / sum(denominators) of (n,) pairs, its error by the delta method."""
    a, b = _finite(numerators, "numerators"), _finite(denominators, "denominators")
    if a.ndim != 1 or a.shape != b.shape or not b.sum() > 0:
        raise ValueError("a ratio of sums needs equal lengths and a denominator above 0")
    ratio = float(a.sum() / b.sum())
    n = a.size
    spread = np.sqrt(((a - ratio * b) ** 2).sum() * n / (n - 1)) / b.sum() if n > 1 else np.nan
    return Estimate(ratio, float(spread), n)


def mean_and_error(values: ArrayLike) -> Estimate:
    """Mean of (n,) values and standard error of the mean; the error of a single one is NaN."""
    v = _finite(values, "values")
    if v.ndim != 1 or v.size == 0:
        raise ValueError(f"a mean needs (n,) values, not {v.shape}")
    error = v.std(ddof=1) / np.sqrt(v.size) if v.size > 1 else np.nan
    return Estimate(float(v.mean()), float(error), v.size)


def coverage(low: ArrayLike, high: ArrayLike, true: ArrayLike) -> float:
    """Share of `true` that lies in [low, high]; arrays of equal shape."""
    lo, hi = _interval(low, high)
    t = _finite(true, "true")
    if t.shape != lo.shape:
        raise ValueError(f"true has shape {t.shape}, the intervals have {lo.shape}")
    return float(((lo <= t) & (t <= hi)).mean())


def mean_width(low: ArrayLike, high: ArrayLike) -> float:
    """Mean of high - low; arrays of equal shape."""
    lo, hi = _interval(low, high)
    return float((hi - lo).mean())


def concentration(mean: ArrayLike, true: ArrayLike) -> float:
    """Concentration of the Dirichlet laws around `mean` whose variance is the error's, (n,) each.

    From the moments: E[(true - mean)^2] = E[mean (1 - mean)] / (concentration + 1). At least .1.
    """
    m, t = _finite(mean, "mean"), _finite(true, "true")
    error = ((t - m) ** 2).mean()
    return float(max((m * (1 - m)).mean() / max(error, 1e-9) - 1, 0.1))


def crps_beta(mean: ArrayLike, std: ArrayLike, true: ArrayLike, *, cells: int = 500) -> Array:
    """Continuous ranked probability score (n,) of beta laws with that mean and std; 0 is perfect.

    CRPS = integral of (F(x) - [x >= true])^2 over [0, 1], by the midpoint rule; a std that no beta
    law can have is cut. Source: Gneiting and Raftery (2007).
    """
    m, s, t = (_finite(v, n) for v, n in ((mean, "mean"), (std, "std"), (true, "true")))
    m = np.clip(m, 1e-4, 1 - 1e-4)
    # Narrower than two cells, the law is a step for this rule.
    variance = np.clip(s, 2 / cells, None) ** 2
    strength = np.maximum(m * (1 - m) / variance - 1, 0.05)
    x = (np.arange(cells) + 0.5) / cells
    logs = np.log(x), np.log1p(-x)
    found = [
        _crps(strength[i, None] * m[i, None], strength[i, None] * (1 - m[i, None]), t[i], x, logs)
        for i in np.array_split(np.arange(len(m)), len(m) // 4096 + 1)
    ]
    return np.concatenate(found)


def _crps(a: Array, b: Array, true: Array, x: Array, logs: tuple[Array, Array]) -> Array:
    """Laws with parameters a, b (n, 1) on the grid x (m,), with the logarithms of x and 1 - x."""
    density = (a - 1) * logs[0] + (b - 1) * logs[1]
    mass = np.exp(density - density.max(1, keepdims=True))
    mass /= mass.sum(1, keepdims=True)
    middle = np.cumsum(mass, 1) - mass / 2
    result: Array = ((middle - (x >= true[:, None])) ** 2).mean(1)
    return result


def _interval(low: ArrayLike, high: ArrayLike) -> tuple[Array, Array]:
    lo, hi = _finite(low, "low"), _finite(high, "high")
    if lo.shape != hi.shape or lo.size == 0:
        raise ValueError(f"low {lo.shape} and high {hi.shape} must be equal and not empty")
    if (lo > hi).any():
        raise ValueError("an interval has low > high")
    return lo, hi


def _finite(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return array


def _distributions(pred: ArrayLike, true: ArrayLike) -> tuple[Array, Array]:
    """Both as float64, renormalised within the tolerance."""
    p, q = _finite(pred, "pred"), _finite(true, "true")
    if p.ndim != 1 or p.shape != q.shape or p.size < 2:
        raise ValueError(f"pred {p.shape} and true {q.shape} must be equal, (k,) with k >= 2")
    for name, d in (("pred", p), ("true", q)):
        if (d < 0).any():
            raise ValueError(f"{name} has a negative share")
        if abs(d.sum() - 1) > SUM_TOLERANCE:
            raise ValueError(f"{name} sums to {d.sum():.6f}, not to 1")
    return p / p.sum(), q / q.sum()


def _relative_entropy(p: Array, q: Array) -> float:
    """sum p ln(p / q) in nats, where p > 0 implies q > 0."""
    at = p > 0
    return float((p[at] * np.log(p[at] / q[at])).sum())
