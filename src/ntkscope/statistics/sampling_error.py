"""Standard errors of a test error by the number of test samples."""

from __future__ import annotations

import numpy as np

from ntkscope.statistics.paired import FloatArray


def binomial_error(share: FloatArray, samples: int) -> FloatArray:
    """Standard error of a share of so many independent samples, √(p (1 − p) / samples)."""
    return np.sqrt(share * (1 - share) / samples)


def squared_error_error(error: FloatArray, samples: int) -> FloatArray:
    """Standard error of a mean of squares of so many normal residuals, error √(2 / samples)."""
    return np.asarray(error * np.sqrt(2 / samples))
