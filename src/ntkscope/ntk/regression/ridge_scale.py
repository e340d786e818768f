"""Ridges relative to the kernel's mean diagonal, so that a scale of the kernel does not matter.

Θ of standard parametrisation grows with the width, by orders of magnitude; ridge · mean(diag K)
regularises each alike.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ntkscope.ntk.regression.errors import RegressionError, RidgeWarning
from ntkscope.ntk.regression.kernel_arrays import FloatArray

# A kernel made in float32 is known to 6e-8 an element: 1e-6 of its mean diagonal is the least
# ridge that covers the eigenvalues of that rounding.
FLOORS = {"float32": 1e-6, "float64": 0.0}


def floored(ridge: float, dtype: np.dtype[Any]) -> float:
    """The ridge, or the least that a kernel made in `dtype` allows, with a `RidgeWarning`.

    Raises:
        RegressionError: negative or not finite.
    """
    if not (math.isfinite(ridge) and ridge >= 0):
        raise RegressionError(
            f"ridge = {ridge}", where="ridge", remedy="give a number ≥ 0, of the mean diagonal"
        )
    floor = FLOORS[dtype.name]
    if ridge < floor:
        warnings.warn(
            f"ridge {ridge:.1e} is below the rounding of a {dtype} kernel; {floor:.0e} is used",
            RidgeWarning,
            stacklevel=5,
        )
    return max(ridge, floor)


def mean_diagonal(diagonal: FloatArray) -> float:
    """What a ridge is relative to.

    Raises:
        RegressionError: not positive, so that the kernel is none.
    """
    mean = float(np.mean(diagonal))
    if math.isfinite(mean) and mean > 0:
        return mean
    raise RegressionError(
        f"the mean diagonal is {mean:.1e}, not positive",
        where="kernel",
        remedy="give a positive semi-definite kernel",
    )
