"""Errors of scalar predictions, the same for networks and kernels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def zero_one_error(predictions: FloatArray, targets: FloatArray) -> float:
    """Share of predictions [N] of another sign than the target ±1; 0 and NaN are errors."""
    return float(1 - (np.sign(predictions) == targets).mean())


def squared_error(predictions: FloatArray, targets: FloatArray) -> float:
    """Mean of (f − y)², [N]; NaN where a prediction is."""
    return float(((predictions - targets) ** 2).mean())


def normalised_squared_error(predictions: FloatArray, targets: FloatArray) -> float:
    """Squared error over the targets' variance: 1 for their mean; NaN where all are the same."""
    variance = float(targets.var())
    return squared_error(predictions, targets) / variance if variance > 0 else float("nan")


ERRORS = {"zero_one": zero_one_error, "squared": normalised_squared_error}
"""The error of a task, by its store's attribute `error`."""
