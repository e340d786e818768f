"""Diminishing returns along a sweep, one value per seed: bend, and what the first step brings."""

from __future__ import annotations

import numpy as np

from ntkscope.statistics.paired import FloatArray


def bend_by_seed(x: FloatArray, y: FloatArray) -> FloatArray:
    """Quadratic coefficient of y / y_last in x / x_last: negative where y is concave.

    Least squares with intercept and slope, so 0 for any straight line.

    Args:
        x: (point,), increasing, x_last > 0, at least 3 points.
        y: (seed, point).

    Returns:
        (seed,); NaN where y_last is not positive.
    """
    powers = np.vander(x / x[-1], 3, increasing=True)
    bend = np.linalg.lstsq(powers, y.T, rcond=None)[0][2]
    return _share(bend, y[:, -1])


def curvature_by_seed(x: FloatArray, y: FloatArray) -> FloatArray:
    """Quadratic coefficient of y in x, in units of y / x²: (point,), (seed, point) → (seed,)."""
    powers = np.vander(x - x.mean(), 3, increasing=True)
    return np.asarray(np.linalg.lstsq(powers, y.T, rcond=None)[0][2])


def first_share_by_seed(y: FloatArray) -> FloatArray:
    """Share of y_last that is there at the first point: (seed, point) → (seed,).

    In proportion it would be x_first / x_last. NaN where y_last is not positive.
    """
    return _share(y[:, 0], y[:, -1])


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    positive = whole > 0
    return np.where(positive, part / np.where(positive, whole, 1.0), np.nan)
