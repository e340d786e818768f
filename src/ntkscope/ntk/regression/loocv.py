"""Ridges chosen by leave-one-out errors, all from one eigendecomposition.

With α = (K + λI)⁻¹ y, the residual of sample i when it alone is left out of the fit, λ the same, is
r_i = α_i / [(K + λI)⁻¹]_ii (Rasmussen & Williams 2006, eq. 5.12). Given K = U diag(w) Uᵀ, both cost
n² a ridge and target. No test sample is ever seen. Residuals are of λ fixed in absolute size.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ntkscope.ntk.regression.errors import RegressionError, RidgeWarning
from ntkscope.ntk.regression.kernel_arrays import (
    FloatArray,
    check_targets,
    dense_kernel,
    precision,
    row_blocks,
)
from ntkscope.ntk.regression.ridge_scale import FLOORS, mean_diagonal

Criterion = Literal["squared", "zero-one"]


@dataclass(frozen=True)
class Eigensystem:
    """K = U diag(w) Uᵀ.

    Attributes:
        values: w [N], ascending, relative to the mean diagonal; those negative by rounding are 0.
        vectors: U [N, N].
        mean_diagonal: of the kernel.
        dtype: the kernel was made in.
    """

    values: FloatArray
    vectors: FloatArray
    mean_diagonal: float
    dtype: np.dtype[Any]

    def at(self, ridge: float) -> EigenFactor:
        """K + λI with λ = ridge · mean(diag K).

        Raises:
            RegressionError: K + λI is singular.
        """
        if self.values[0] + ridge > 0:
            return EigenFactor(self, ridge)
        raise RegressionError(
            f"the kernel with ridge {ridge:.1e} is singular", where="ridge", remedy="give one > 0"
        )


@dataclass(frozen=True)
class EigenFactor:
    """K + λI, to be solved like a `CholeskyFactor`; its eigenvalues are exact.

    Attributes:
        system: of the kernel.
        ridge: λ relative to the mean diagonal.
    """

    system: Eigensystem
    ridge: float

    @property
    def shift(self) -> float:
        """The ridge in absolute size, λ."""
        return self.ridge * self.system.mean_diagonal

    def solve(self, targets: Any) -> FloatArray:
        """(K + λI)⁻¹ of targets [N] or [N, K], in 2n² multiply-adds each.

        Raises:
            RegressionError: targets of another length, or not finite.
        """
        right = check_targets(targets, len(self._eigenvalues))
        U = self.system.vectors
        return U @ ((U.T @ right).T / self._eigenvalues).T

    @property
    def smallest_eigenvalue(self) -> float:
        """Of K + λI."""
        return float(self._eigenvalues[0])

    @property
    def condition_number(self) -> float:
        """λ_max / λ_min of K + λI."""
        return float(self._eigenvalues[-1] / self._eigenvalues[0])

    @cached_property
    def inverse_diagonal(self) -> FloatArray:
        """Diagonal of (K + λI)⁻¹, [N]."""
        return _squares_times(self.system.vectors, 1 / self._eigenvalues[:, None])[:, 0]

    @cached_property
    def _eigenvalues(self) -> FloatArray:
        return (self.system.values + self.ridge) * self.system.mean_diagonal


@dataclass(frozen=True)
class RidgeChoice:
    """The ridge of least leave-one-out error, and the errors of all.

    Attributes:
        ridge: relative to the mean diagonal.
        grid: the ridges tried [R], ascending.
        squared: mean squared leave-one-out residual of each [R].
        zero_one: share of samples misclassified of each [R]: the sign for targets [N], the
            largest output for [N, K].
        on_boundary: the choice is the first or last of the grid, so the best may lie outside it.
            A first that is below a thousandth of the kernel's smallest eigenvalue does not count:
            smaller ridges change its predictions by less than that.
    """

    ridge: float
    grid: FloatArray
    squared: FloatArray
    zero_one: FloatArray
    on_boundary: bool


def decompose(kernel: Any) -> Eigensystem:
    """Eigendecomposition of a kernel [N, N] in float64, by divide and conquer.

    About 9n³ multiply-adds and three times the memory of a float64 kernel.

    Raises:
        RegressionError: not square, symmetric and finite, or an eigenvalue more negative than the
            rounding of the kernel's dtype explains, eps · ‖K‖_F.
    """
    dtype, K = precision(kernel), dense_kernel(kernel)
    mean, rounding = mean_diagonal(K.diagonal()), np.finfo(dtype).eps * np.linalg.norm(K)
    values, vectors = eigh(K.T, overwrite_a=True, check_finite=False, driver="evd")
    if values[0] < -rounding:
        raise RegressionError(
            "the kernel is not positive semi-definite: its smallest eigenvalue is "
            f"{values[0] / mean:.1e} of its mean diagonal, rounding explains no more than "
            f"{rounding / mean:.0e}",
            where="kernel",
            remedy="check how it was made: leave-one-out needs a kernel; a fixed ridge above "
            f"{-values[0] / mean:.1e} would hide this",
        )
    return Eigensystem(np.clip(values, 0, None) / mean, vectors, mean, dtype)


def default_grid(dtype: np.dtype[Any]) -> FloatArray:
    """Relative ridges, four a decade: from 1e-10, or the floor of float32, to 100."""
    low = np.log10(max(FLOORS[dtype.name], 1e-10))
    return np.logspace(low, 2, round(4 * (2 - low)) + 1)


def choose_ridge(
    system: Eigensystem,
    targets: Any,
    grid: Sequence[float] | FloatArray | None = None,
    criterion: Criterion = "squared",
) -> RidgeChoice:
    """The ridge of least leave-one-out error, with a `RidgeWarning` on the grid's boundary.

    Args:
        system: from `decompose`.
        targets: [N] or [N, K]; the error is the mean over samples and outputs.
        grid: relative ridges; those below the floor of the kernel's dtype are left out.
        criterion: squared error, or misclassification, in which ties go to the squared error.

    Raises:
        RegressionError: targets that do not fit, or an empty or non-positive grid.
    """
    Y, ridges = check_targets(targets, len(system.values)), _checked_grid(grid, system.dtype)
    residuals = loo_residuals(system, Y, ridges)
    several = Y.ndim == 2 and Y.shape[1] > 1
    wrong = _classes(Y - residuals, several) != _classes(Y, several)
    squared = (residuals**2).reshape(len(ridges), -1).mean(axis=1)
    zero_one = wrong.reshape(len(ridges), -1).mean(axis=1)
    keys = (squared,) if criterion == "squared" else (squared, zero_one)
    best = int(np.lexsort(keys)[0])
    interpolates = best == 0 and 1000 * ridges[0] < system.values[0]
    boundary = best in (0, len(ridges) - 1) and not interpolates
    if boundary:
        warnings.warn(
            f"the ridge chosen, {ridges[best]:.1e}, is on the boundary of its grid",
            RidgeWarning,
            stacklevel=3,
        )
    return RidgeChoice(float(ridges[best]), ridges, squared, zero_one, boundary)


def loo_residuals(system: Eigensystem, targets: FloatArray, ridges: FloatArray) -> FloatArray:
    """y_i minus its prediction from all others, [R, N] or [R, N, K], for R relative ridges."""
    Z = (system.vectors.T @ targets).reshape(len(targets), 1, -1)
    inverse = 1 / (system.values[:, None] + ridges)
    alpha = system.vectors @ (inverse[:, :, None] * Z).reshape(len(Z), -1)
    diagonal = _squares_times(system.vectors, inverse)
    residuals = alpha.reshape(len(Z), len(ridges), -1) / diagonal[:, :, None]
    return residuals.swapaxes(0, 1).reshape(len(ridges), *targets.shape)


def _squares_times(U: FloatArray, columns: FloatArray) -> FloatArray:
    """(U ∘ U) columns, without the whole of U ∘ U."""
    return np.concatenate([U[rows] ** 2 @ columns for rows in row_blocks(U)])


def _classes(outputs: FloatArray, several: bool) -> NDArray[Any]:
    """The largest of several outputs (…, N, K), else the sign."""
    return outputs.argmax(axis=-1) if several else outputs > 0


def _checked_grid(grid: Sequence[float] | FloatArray | None, dtype: np.dtype[Any]) -> FloatArray:
    """Ridges, ascending, none below the floor of the kernel's dtype."""
    asked = default_grid(dtype) if grid is None else np.sort(np.asarray(grid, np.float64))
    ridges = asked[asked >= FLOORS[dtype.name]]
    if ridges.ndim == 1 and len(ridges) and np.isfinite(ridges).all() and ridges[0] > 0:
        return ridges
    raise RegressionError(
        f"a grid of ridges {asked.tolist()} for a {dtype} kernel",
        where="grid",
        remedy=f"give positive numbers, of the mean diagonal, from {FLOORS[dtype.name]:.0e} up",
    )
