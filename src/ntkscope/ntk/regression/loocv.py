"""Ridges chosen by leave-one-out errors, all from one eigendecomposition.

With α = (K + λI)⁻¹ y, the residual of sample i when it alone is left out of the fit, λ the same, is
r_i = α_i / [(K + λI)⁻¹]_ii (Rasmussen & Williams 2006, eq. 5.12). Given K = U diag(w) Uᵀ, both cost
n² a ridge and target. No test sample is ever seen. Residuals are of λ fixed in absolute size.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ntkscope.ntk.regression.eigensystem import Eigensystem, squares_times
from ntkscope.ntk.regression.errors import RegressionError, RidgeWarning
from ntkscope.ntk.regression.kernel_arrays import (
    FloatArray,
    check_targets,
    less_offset,
    real_array,
)
from ntkscope.ntk.regression.ridge_scale import FLOORS

Criterion = Literal["squared", "zero_one"]

_NOTHING = 1e-13  # of a target: what is left of it by rounding where nothing is predicted


class LooErrors(NamedTuple):
    """Mean squared residual, and share misclassified (NaN: targets name no classes), [...]."""

    squared: FloatArray
    zero_one: FloatArray


@dataclass(frozen=True)
class RidgeChoice:
    """The ridge of least leave-one-out error, and the errors of all.

    Attributes:
        ridge: relative to the mean diagonal.
        grid: the ridges tried [R], ascending.
        squared: mean squared leave-one-out residual of each [R]; NaN where a search did not try it.
        zero_one: share of samples misclassified of each [R], or NaN, see `loo_errors`.
        on_boundary: the choice is the first or last of the grid, so the best may lie outside it.
            A first that is below a thousandth of the kernel's smallest eigenvalue does not count:
            smaller ridges change its predictions by less than that.
        samples: that it was chosen on.
    """

    ridge: float
    grid: FloatArray
    squared: FloatArray
    zero_one: FloatArray
    on_boundary: bool
    samples: int = 0

    @property
    def edge(self) -> Literal[-1, 0, 1]:
        """Where in the grid the ridge is: −1 the lowest, 1 the highest, 0 between.

        −1 without `on_boundary`: the ridge does nothing, and the edge no harm.
        """
        if self.ridge == self.grid[0] and len(self.grid) > 1:
            return -1
        return 1 if self.ridge == self.grid[-1] else 0

    def __repr__(self) -> str:
        where = ", on the boundary of its grid" if self.on_boundary else ""
        return (
            f"RidgeChoice({self.ridge:.2g} of {len(self.grid)}, on {self.samples} samples{where})"
        )

    def warn(self) -> None:
        """Give the caller of who calls this a `RidgeWarning`, if on the boundary."""
        if self.on_boundary:
            warnings.warn(
                f"the ridge chosen, {self.ridge:.1e}, is on the boundary of its grid",
                RidgeWarning,
                stacklevel=3,
            )


def default_grid(dtype: np.dtype[Any]) -> FloatArray:
    """Relative ridges, four a decade: from 1e-10, or the floor of float32, to 100."""
    low = np.log10(max(FLOORS[dtype.name], 1e-10))
    return np.logspace(low, 2, round(4 * (2 - low)) + 1)


def choose_ridge(
    system: Eigensystem,
    targets: Any,
    grid: Sequence[float] | FloatArray | None = None,
    criterion: Criterion = "squared",
    offset: Any = None,
) -> RidgeChoice:
    """The ridge of least leave-one-out error, with a `RidgeWarning` on the grid's boundary.

    Args:
        system: from `decompose`.
        targets: [N] or [N, K]; the error is the mean over samples and outputs.
        grid: relative ridges; those below the floor of the kernel's dtype are left out.
        criterion: squared error, or misclassification ("zero_one", of targets that name classes,
            see `loo_errors`), in which ties go to the squared error and then to the smaller ridge.
        offset: f₀, like targets: targets − f₀ are regressed, and f₀ + prediction is classified.

    Raises:
        RegressionError: targets or an offset that do not fit, or name no classes for "zero_one";
            another criterion; an empty or non-positive grid.
    """
    choice = least_error(system, targets, grid, criterion, offset)
    choice.warn()
    return choice


def least_error(
    system: Eigensystem,
    targets: Any,
    grid: Sequence[float] | FloatArray | None,
    criterion: Criterion,
    offset: Any,
) -> RidgeChoice:
    """As `choose_ridge`, which warns."""
    Y, ridges = check_targets(targets, len(system.values)), _checked_grid(grid, system.dtype)
    check_criterion(criterion, Y)
    errors = loo_errors(loo_residuals(system, less_offset(Y, offset), ridges), Y)
    keys = (errors.squared,) if criterion == "squared" else (errors.squared, errors.zero_one)
    best = int(np.lexsort(keys)[0])
    boundary = on_boundary(best, ridges, float(system.values[0]))
    return RidgeChoice(float(ridges[best]), ridges, *errors, boundary, len(Y))


def on_boundary(best: int, ridges: FloatArray, smallest: float) -> bool:
    """Whether the choice is, unless the lowest ridge does nothing: see `RidgeChoice`."""
    interpolates = best == 0 and 1000 * ridges[0] < smallest
    return best in (0, len(ridges) - 1) and not interpolates


def loo_residuals(system: Eigensystem, targets: FloatArray, ridges: FloatArray) -> FloatArray:
    """y_i minus its prediction from all others, [R, N] or [R, N, K], for R relative ridges."""
    Z = (system.vectors.T @ targets).reshape(len(targets), 1, -1)
    inverse = 1 / (system.values[:, None] + ridges)
    alpha = system.vectors @ (inverse[:, :, None] * Z).reshape(len(Z), -1)
    diagonal = squares_times(system.vectors, inverse)
    residuals = alpha.reshape(len(Z), len(ridges), -1) / diagonal[:, :, None]
    return residuals.swapaxes(0, 1).reshape(len(ridges), *targets.shape)


def loo_errors(residuals: FloatArray, targets: FloatArray) -> LooErrors:
    """Errors [...] of residuals [..., N] or [..., N, K] of targets [N] or [N, K].

    The sample is predicted at target − residual, an offset included. Misclassified: for one output
    another sign than the target's, or zero; for several, another output is the largest. NaN where
    targets name no classes: one output that is not of two values of opposite sign (such as ±1), or
    several of which a row has no single largest.
    """
    lead = residuals.shape[: residuals.ndim - targets.ndim]
    predictions = targets - residuals
    squared = (residuals**2).reshape(*lead, -1).mean(-1)
    if not _name_classes(targets):
        return LooErrors(squared, np.full_like(squared, np.nan))
    predictions[np.abs(predictions) <= _NOTHING * np.abs(targets)] = 0
    if _several(targets):
        wrong = predictions.argmax(-1) != targets.argmax(-1)
    else:
        wrong = ((predictions > 0) != (targets > 0)) | (predictions == 0)
    return LooErrors(squared, wrong.reshape(*lead, -1).mean(-1))


def check_criterion(criterion: str, targets: FloatArray) -> None:
    """Refuse a criterion that is none, or that has no meaning for these targets.

    Raises:
        RegressionError: says what there is, or what to make of the targets.
    """
    if criterion not in get_args(Criterion):
        raise RegressionError(
            f"criterion = {criterion!r}",
            where="criterion",
            remedy=f"give one of: {', '.join(get_args(Criterion))}",
        )
    if criterion == "zero_one" and not _name_classes(targets):
        row = "a row of which no output is the single largest"
        what = row if _several(targets) else _values(targets)
        raise RegressionError(
            f"the criterion zero_one needs targets ±1 [N], or one-hot [N, K]; these have {what}",
            where="targets",
            remedy="of classes 0 and 1 give 2 * y - 1, of classes 0 to K − 1 numpy.eye(K)[y]; of "
            "other targets criterion='squared'",
        )


def _several(targets: FloatArray) -> bool:
    return targets.ndim == 2 and targets.shape[1] > 1


def _name_classes(targets: FloatArray) -> bool:
    """Whether targets say of which class each sample is, see `loo_errors`."""
    if _several(targets):
        return bool(((targets == targets.max(1, keepdims=True)).sum(1) == 1).all())
    values = np.unique(targets)
    return bool((values != 0).all() and (values > 0).sum() <= 1 and (values < 0).sum() <= 1)


def _values(targets: FloatArray) -> str:
    first, more = np.unique(targets)[:3].tolist(), np.unique(targets).size - 3
    return f"values {', '.join(f'{v:g}' for v in first)}{f' and {more} more' * (more > 0)}"


def _checked_grid(grid: Sequence[float] | FloatArray | None, dtype: np.dtype[Any]) -> FloatArray:
    """Ridges, ascending, none below the floor of the kernel's dtype."""
    wanted = (
        default_grid(dtype) if grid is None else np.sort(np.atleast_1d(real_array(grid, "grid")))
    )
    ridges = wanted[wanted >= FLOORS[dtype.name]]
    if ridges.ndim == 1 and len(ridges) and np.isfinite(ridges).all() and ridges[0] > 0:
        return ridges
    raise RegressionError(
        f"a grid of ridges {wanted.tolist()} for a {dtype} kernel",
        where="grid",
        remedy=f"give positive numbers, of the mean diagonal, from {FLOORS[dtype.name]:.0e} up",
    )
