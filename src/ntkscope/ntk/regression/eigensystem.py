"""Ridge regression of every ridge from one eigendecomposition: K + λI = U diag(w + λ) Uᵀ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import eigh

from ntkscope.ntk.regression.errors import RegressionError
from ntkscope.ntk.regression.kernel_arrays import (
    FloatArray,
    check_targets,
    dense_kernel,
    precision,
    row_blocks,
)
from ntkscope.ntk.regression.ridge_scale import mean_diagonal


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

    def __repr__(self) -> str:
        return f"Eigensystem({len(self.values)} samples, of a {self.dtype} kernel)"

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
        return squares_times(self.system.vectors, 1 / self._eigenvalues[:, None])[:, 0]

    @cached_property
    def _eigenvalues(self) -> FloatArray:
        return (self.system.values + self.ridge) * self.system.mean_diagonal


def decompose(kernel: Any) -> Eigensystem:
    """Eigendecomposition of a kernel [N, N] in float64, by divide and conquer.

    About 9n³ multiply-adds and three times the memory of a float64 kernel.

    Raises:
        RegressionError: not square, symmetric and finite, or an eigenvalue more negative than
            rounding explains: eps · ‖K‖_F of the kernel's dtype, and n eps · ‖K‖_F in float64 of
            its sums and of the decomposition.
    """
    dtype, K = precision(kernel), dense_kernel(kernel)
    eps = np.finfo(dtype).eps + len(K) * np.finfo(K.dtype).eps
    mean, rounding = mean_diagonal(K.diagonal()), eps * np.linalg.norm(K)
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


def squares_times(U: FloatArray, columns: FloatArray) -> FloatArray:
    """(U ∘ U) columns, without the whole of U ∘ U."""
    return np.concatenate([U[rows] ** 2 @ columns for rows in row_blocks(U)])
