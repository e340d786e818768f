"""A ridge by exact leave-one-out, and a fit with one that was chosen on fewer samples."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.regression import (
    KernelRidge,
    NotConvergedError,
    RegressionError,
    RidgeWarning,
    cholesky,
    choose_ridge,
    decompose,
)
from ntkscope.ntk.regression.loocv import Criterion
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
    criterion: Criterion
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
    with _warning_kept():
        found = choose_ridge(system, targets, ridges.grid, ridges.criterion, offset)
    errors = found.squared if ridges.criterion == "squared" else found.zero_one
    at = int(np.flatnonzero(found.grid == found.ridge)[0])
    edge = found.edge if found.on_boundary else 0
    choice = Choice(found.ridge, edge, float(errors[at]), len(targets))
    return system.at(found.ridge).solve(targets - offset), choice


class Solved(NamedTuple):
    """(K + λI)⁻¹ (y − f₀).

    Attributes:
        weights: [N].
        ridge: λ relative to the mean diagonal.
        residual: ‖y − f₀ − (K + λI) weights‖ / ‖y − f₀‖ of conjugate gradients; 0 of a Cholesky.
    """

    weights: FloatArray
    ridge: float
    residual: float


TOLERANCE = 1e-6
"""Of conjugate gradients' residual. Predictions differed by as much from those of a Cholesky."""

_RANK, _MOST_STEPS = 500, 3000


def with_ridge(
    kernel: Any, targets: FloatArray, offset: FloatArray, choice: Choice, ridges: Ridges
) -> Solved:
    """Solve by one Cholesky, or of a kernel that is an operator by conjugate gradients.

    The ridge chosen on fewer samples, or where rounding makes K + λI indefinite with more, the
    next of the grid with which it is not.

    Raises:
        NotConvergedError: conjugate gradients did not come to `TOLERANCE`.
        RegressionError: not positive definite with any.
    """
    solve = _by_steps if isinstance(kernel, LinearOperator) else _by_factor
    *larger, largest = (ridge for ridge in ridges.grid if ridge >= choice.ridge)
    for ridge in larger:
        try:
            return solve(kernel, targets - offset, ridge)
        except NotConvergedError:
            raise
        except RegressionError:
            continue
    return solve(kernel, targets - offset, largest)


def _by_factor(kernel: Any, targets: FloatArray, ridge: float) -> Solved:
    factor = cholesky(kernel, ridge)
    return Solved(factor.solve(targets), factor.ridge, 0.0)


def _by_steps(kernel: Any, targets: FloatArray, ridge: float) -> Solved:
    solver = KernelRidge(
        ridge, method="cg", rank=_RANK, tolerance=TOLERANCE, max_iterations=_MOST_STEPS
    )
    try:
        fit = solver.fit(kernel, targets)
    except NotConvergedError as error:
        raise NotConvergedError(
            error.what,
            where=f"{len(targets)} samples, ridge {ridge:g}",
            remedy="give more resources.mem_mb, so that a Cholesky solves them: this job then "
            "begins anew, and nothing else is made again. Larger kernels.ridges, or no such n in "
            "samples.kernel, infinite and trained, make all regressions of the experiment again",
        ) from None
    assert fit.residual_norms is not None
    return Solved(fit.weights, fit.ridge, float(fit.residual_norms[0]))


@contextmanager
def _warning_kept() -> Iterator[None]:
    """Of a choice on the grid's boundary: the store has it, and hundreds of lines say no more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RidgeWarning)
        yield
