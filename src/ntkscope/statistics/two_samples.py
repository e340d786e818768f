"""Differences of two groups of values, one value per seed: paired, or independent (Welch)."""

from __future__ import annotations

import numpy as np

from ntkscope.statistics.paired import FloatArray, Interval


def welch(first: FloatArray, second: FloatArray, confidence: float) -> Interval:
    """Mean of first − mean of second, of independent seeds (Welch 1947), leaving out NaN.

    Args:
        first, second: (seed,), of as many seeds as there are; variances may differ.
        confidence: such as 0.95.

    Returns:
        `n` counts the seeds of the smaller group; NaN ends for fewer than two in either.
    """
    from scipy.special import stdtrit

    kept = [values[np.isfinite(values)] for values in (first, second)]
    n = min(len(values) for values in kept)
    if n == 0:
        nothing = np.asarray(np.nan)
        return Interval(nothing, nothing, nothing, np.asarray(0))
    difference = kept[0].mean() - kept[1].mean()
    if n < 2:
        return Interval(difference, np.asarray(np.nan), np.asarray(np.nan), np.asarray(n))
    shares = [values.var(ddof=1) / len(values) for values in kept]
    largest = max(shares) or 1.0  # relative to it no square overflows, nor is 0
    parts = [
        (share / largest) ** 2 / (len(values) - 1)
        for share, values in zip(shares, kept, strict=True)
    ]
    freedom = (sum(shares) / largest) ** 2 / sum(parts) if sum(parts) > 0 else 1.0
    half = stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(sum(shares))
    return Interval(
        *(np.asarray(end) for end in (difference, difference - half, difference + half, n))
    )


def resolution(interval: Interval) -> FloatArray:
    """Half the width of an interval: a difference of more than this would have been seen."""
    return np.asarray((interval.high - interval.low) / 2)


def best_by_others(y: FloatArray) -> FloatArray:
    """Position along a sweep of the least mean of all *other* seeds: (seed, point) → (seed,) int.

    A seed's own value there is no minimum of its own noise, so that what it is compared with is
    not favoured by the choice.

    Args:
        y: complete, at least 2 seeds.
    """
    others = (y.sum(axis=0) - y) / (len(y) - 1)
    return np.asarray(others.argmin(axis=1))
