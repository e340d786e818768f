"""A saturating law through the origin against a straight line.

y = b (1 − exp(−κ x)) / κ: slope b at the origin and rate κ. κ > 0 saturates, at b/κ, with half of
that reached at x = ln 2 / κ; κ = 0 is the line y = b x; κ < 0 accelerates. This form of the law
a (1 − exp(−x/s)) has its line inside, not at s = ∞, so that κ has a t interval over seeds wherever
the bend is small.
"""

from __future__ import annotations

import numpy as np

from ntkscope.statistics.paired import FloatArray

LOWEST, HIGHEST = -4.0, 30.0
"""Bounds of κ x_last. At the upper one, all is reached well before the first of 10 points."""

_STARTS = 200
_REFINEMENTS = 40
_GOLDEN = (np.sqrt(5) - 1) / 2


def saturation_by_seed(x: FloatArray, y: FloatArray) -> FloatArray:
    """κ of each row by least squares on the natural scale, in units of 1/x.

    b is eliminated, and κ is sought on a grid between its bounds, then by golden section around
    the best of it: no start is better than another.

    Args:
        x: (point,), positive, at least 3.
        y: (…, point).

    Returns:
        (…); NaN where κ is at a bound: the points do not tell it.
    """
    grid = np.linspace(LOWEST, HIGHEST, _STARTS) / x.max()
    losses = np.stack([_squares(np.full(y.shape[:-1], rate), x, y) for rate in grid], axis=-1)
    best = losses.argmin(axis=-1)
    inside = (best > 0) & (best < _STARTS - 1)
    low = grid[np.maximum(best - 1, 0)]
    high = grid[np.minimum(best + 1, _STARTS - 1)]
    for _ in range(_REFINEMENTS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        shrink = _squares(left, x, y) < _squares(right, x, y)
        low, high = np.where(shrink, low, left), np.where(shrink, right, high)
    return np.where(inside, (low + high) / 2, np.nan)


def evidence_for_saturation(x: FloatArray, y: FloatArray) -> float:
    """AICc of the line − AICc of the saturating law: positive where the bend is worth its cost.

    Each seed has its own b (and κ); all share one variance (Burnham & Anderson 2002, eq. 2.4).

    Args:
        x: (point,), positive, at least 3.
        y: (seed, point).

    Returns:
        NaN where a seed's κ is at a bound, or there are too few values for the correction.
    """
    rates = saturation_by_seed(x, y)
    seeds, values = len(y), y.size
    if not np.isfinite(rates).all() or values <= 2 * seeds + 2:
        return float("nan")
    line = _squares(np.zeros(seeds), x, y).sum()
    law = _squares(rates, x, y).sum()
    return _aicc(line, values, seeds + 1) - _aicc(law, values, 2 * seeds + 1)


def _aicc(squares: float, values: int, parameters: int) -> float:
    correction = 2 * parameters * (parameters + 1) / (values - parameters - 1)
    floor = np.finfo(float).tiny
    return float(values * np.log(max(squares, floor) / values) + 2 * parameters + correction)


def _squares(rate: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Sum of squares left by the best b at the given κ: (…), (point,), (…, point) → (…)."""
    straight = np.abs(rate) * x.max() < 1e-8
    safe = np.where(straight, 1.0, rate)[..., None]
    shape = np.where(straight[..., None], x, -np.expm1(-safe * x) / safe)
    slope = (y * shape).sum(axis=-1) / (shape**2).sum(axis=-1)
    return np.asarray(((y - slope[..., None] * shape) ** 2).sum(axis=-1))
