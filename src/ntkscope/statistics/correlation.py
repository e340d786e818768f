"""Correlation of two quantities of runs, honest about seeds nested in runs.

Seeds of one run are no independent observations of how runs differ, and runs of one seed share its
initial parameters and batches. So there are two answers, not one over all points: between the means
of runs, and within runs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ntkscope.statistics.paired import FloatArray, Interval, varies

_NAN = np.asarray(np.nan)


def between_runs(x: FloatArray, y: FloatArray, confidence: float) -> Interval:
    """Pearson correlation of the means over seeds, Fisher's z over runs (Fisher 1921).

    Args:
        x, y: (run, seed); NaN where missing, then missing in both.
        confidence: such as 0.95.

    Returns:
        `n` counts runs; NaN for fewer than 4.
    """
    from scipy.special import ndtri

    both = np.isfinite(x) & np.isfinite(y)
    some = both.any(axis=1)
    r = _pearson(_means(x, both)[some], _means(y, both)[some])
    n = int(some.sum())
    if n < 4 or not np.isfinite(r):
        return Interval(_NAN, _NAN, _NAN, np.asarray(n))
    return _from_z(r, float(ndtri((1 + confidence) / 2)) / np.sqrt(n - 3), n)


def within_runs(x: FloatArray, y: FloatArray, confidence: float) -> Interval:
    """Repeated-measures correlation: of what is left of x and y in each run without its mean.

    The estimate is that of Bakdash & Marusich 2017 (eq. 3). Their interval takes all residuals for
    independent; as runs share their seeds, this one is from the jackknife over seeds, on Fisher's
    z, with t of seeds − 1 degrees of freedom.

    Args:
        x, y: (run, seed); NaN where missing, then missing in both.
        confidence: such as 0.95.

    Returns:
        `n` counts seeds; NaN for fewer than 3.
    """
    return jackknifed(_within, x, y, confidence)


def over_all(x: FloatArray, y: FloatArray, confidence: float) -> Interval:
    """Pearson correlation of all points, jackknifed over seeds as in `within_runs`."""
    return jackknifed(_pooled, x, y, confidence)


def jackknifed(
    statistic: Callable[[FloatArray, FloatArray], float],
    x: FloatArray,
    y: FloatArray,
    confidence: float,
) -> Interval:
    """A correlation with the interval of its leave-one-seed-out jackknife on Fisher's z.

    Args:
        statistic: correlation of (run, seed) with (run, seed).
        x, y: (run, seed).
        confidence: such as 0.95.
    """
    from scipy.special import stdtrit

    seeds = np.flatnonzero((np.isfinite(x) & np.isfinite(y)).any(axis=0))
    n = len(seeds)
    if n < 3:
        return Interval(_NAN, _NAN, _NAN, np.asarray(n))
    r = statistic(x[:, seeds], y[:, seeds])
    left = [statistic(np.delete(x, seed, 1), np.delete(y, seed, 1)) for seed in seeds]
    z = np.arctanh(np.clip(left, -_LARGEST, _LARGEST))
    error = np.sqrt((n - 1) / n * ((z - z.mean()) ** 2).sum())
    return _from_z(r, float(stdtrit(n - 1, (1 + confidence) / 2)) * float(error), n)


def pearson(x: FloatArray, y: FloatArray) -> float:
    """Correlation of two rows (point,); NaN where a value is missing or a row does not vary."""
    there = bool(np.isfinite(x).all() and np.isfinite(y).all())
    return _pearson(x, y) if there else float("nan")


_LARGEST = 1 - 1e-12


def _from_z(r: float, half: float, n: int) -> Interval:
    z = np.arctanh(np.clip(r, -_LARGEST, _LARGEST))
    ends = np.tanh(z - half), np.tanh(z + half)
    return Interval(np.asarray(r), np.asarray(ends[0]), np.asarray(ends[1]), np.asarray(n))


def _within(x: FloatArray, y: FloatArray) -> float:
    both = np.isfinite(x) & np.isfinite(y)
    return _cosine(*(_deviations(values, both) for values in (x, y)))


def _pooled(x: FloatArray, y: FloatArray) -> float:
    both = np.isfinite(x) & np.isfinite(y)
    return _pearson(x[both], y[both])


def _deviations(values: FloatArray, used: np.ndarray) -> FloatArray:
    """From the mean of each run (run, seed); 0 where not used, or where the run does not vary."""
    kept = used & varies(np.where(used, values, np.nan))[:, None]
    return np.where(kept, values - _means(values, used)[:, None], 0.0)


def _pearson(x: FloatArray, y: FloatArray) -> float:
    vary = varies(x) and varies(y)
    return _cosine(x - x.mean(), y - y.mean()) if vary else float("nan")


def _cosine(u: FloatArray, v: FloatArray) -> float:
    size = float(np.sqrt((u * u).sum() * (v * v).sum()))
    return float((u * v).sum() / size) if size > 0 else float("nan")


def _means(values: FloatArray, used: np.ndarray) -> FloatArray:
    """Means (run,) of the used values; NaN for a run without any."""
    count = used.sum(axis=1)
    total = np.where(used, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
