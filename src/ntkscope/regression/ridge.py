"""A ridge by exact leave-one-out, and a fit with one that was chosen on fewer samples."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ntkscope.ntk.regression import RegressionError, RidgeWarning, cholesky, decompose
from ntkscope.ntk.regression.loocv import loo_residuals
from ntkscope.regression.error_currency import FloatArray


@dataclass(frozen=True)
class Ridges:
    """The grid, and how a ridge of it is chosen.

    Attributes:
        grid: relative to the mean diagonal, ascending.
        criterion: zero_one (ties: squared) or squared.
        most: samples, above which no leave-one-out is made.
    """

    grid: tuple[float, ...]
    criterion: str
    most: int


@dataclass(frozen=True)
class Choice:
    """A ridge.

    Attributes:
        ridge: relative to the mean diagonal.
        edge: −1 the lowest of the grid and smaller ones would matter, 1 the highest, 0 neither.
        error: its leave-one-out error, in the criterion's currency.
        samples: that it was chosen on.
    """

    ridge: float
    edge: int
    error: float
    samples: int


def leave_one_out(
    kernel: Any, targets: FloatArray, offset: FloatArray, ridges: Ridges
) -> tuple[FloatArray, Choice]:
    """(K + λI)⁻¹ (y − f₀) [N] with the λ of least leave-one-out error, and the choice.

    A sample is predicted at f₀ + the prediction of y − f₀ from all others.

    Raises:
        RegressionError: not a kernel, or no ridge of the grid is above its rounding.
    """
    system = decompose(kernel)
    grid = np.array([ridge for ridge in ridges.grid if ridge >= _floor(system.dtype)])
    residuals = loo_residuals(system, targets - offset, grid)
    squared = (residuals**2).mean(1)
    wrong = (np.sign(targets - residuals) != np.sign(targets)).mean(1)
    errors = squared if ridges.criterion == "squared" else wrong
    best = int(np.lexsort((squared, errors))[0])
    edge = 1 if best == len(grid) - 1 else -1 if best == 0 else 0
    if edge == -1 and 1000 * grid[0] < system.values[0]:
        edge = 0
    choice = Choice(float(grid[best]), edge, float(errors[best]), len(targets))
    return system.at(choice.ridge).solve(targets - offset), choice


def _floor(dtype: np.dtype[Any]) -> float:
    return 1e-6 if dtype == np.float32 else 0.0


def with_ridge(
    kernel: Any, targets: FloatArray, offset: FloatArray, choice: Choice, ridges: Ridges
) -> tuple[FloatArray, float]:
    """(K + λI)⁻¹ (y − f₀) [N] by one Cholesky, and λ relative to the mean diagonal.

    The ridge chosen on fewer samples, or where rounding makes K + λI indefinite with more, the
    next of the grid with which it is not.

    Raises:
        RegressionError: not positive definite with any.
    """
    larger = [ridge for ridge in ridges.grid if ridge >= choice.ridge]
    for ridge in larger:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RidgeWarning)
                factor = cholesky(kernel, ridge)
        except RegressionError:
            if ridge == larger[-1]:
                raise
            continue
        return factor.solve(targets - offset), factor.ridge
    raise AssertionError("a choice is of the grid")
