"""Trends along a sweep: the slope and the rank correlation of each seed, then t over seeds."""

from __future__ import annotations

import numpy as np

from ntkscope.statistics.paired import FloatArray, varies


def slope_by_seed(x: FloatArray, y: FloatArray) -> FloatArray:
    """Least-squares slope of each row: (point,), (…, point) → (…); NaN where x does not vary."""
    if not varies(x):
        return np.full(y.shape[:-1], np.nan)
    centred = x - x.mean()
    return np.asarray(y @ centred / (centred @ centred))


def kendall_by_seed(y: FloatArray) -> FloatArray:
    """Kendall's τ of each row with its order, ties counting 0: (…, point) → (…).

    τ_a of Kendall 1938: (rising pairs − falling pairs) / pairs: 1 for a row that never falls or
    stays. An infinite value (a time not reached) is larger than any other and ties with its like.
    NaN for a row with NaN.
    """
    first, second = np.triu_indices(y.shape[-1], k=1)
    before, after = y[..., first], y[..., second]
    pairs = (after > before).astype(float) - (after < before)
    return np.where(np.isnan(y).any(axis=-1), np.nan, pairs.mean(axis=-1))
