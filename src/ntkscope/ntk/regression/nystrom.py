"""Randomised Nyström approximation of a kernel, and the preconditioner that it makes.

Frangella, Tropp & Udell 2023, "Randomized Nyström preconditioning", algorithm 2.1 and eq. 1.3. It
needs products with the kernel only, all of them in one block, so that a stored kernel is read once
and a matrix-free one needs neither elements nor a diagonal. (Randomly pivoted Cholesky reads
scattered columns instead: Chen, Epperly, Tropp & Webber 2023.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh, qr, svd

from ntkscope.ntk.regression.errors import RegressionError
from ntkscope.ntk.regression.kernel_arrays import FloatArray

_SYMMETRY = 1e3  # rounding units


@dataclass(frozen=True)
class Nystrom:
    """K ≈ U diag(w) Uᵀ of rank r, below K in the semi-definite order.

    Attributes:
        values: w [r], descending.
        vectors: U [N, r], orthonormal.
    """

    values: FloatArray
    vectors: FloatArray

    def precondition(self, vectors: FloatArray, shift: float) -> FloatArray:
        """P⁻¹ vectors, [N, K]: P = U diag((w + λ) / (w_r + λ)) Uᵀ + (I − U Uᵀ)."""
        gain = (self.values[-1] + shift) / (self.values + shift) - 1
        U = self.vectors
        correction: FloatArray = U @ (gain[:, None] * (U.T @ vectors))
        return vectors + correction


def nystrom(
    times: Callable[[FloatArray], FloatArray], samples: int, rank: int, dtype: np.dtype[Any]
) -> Nystrom:
    """Approximate a kernel from its product with `rank` random vectors.

    Args:
        times: K @ vectors for [N, r].
        samples: N.
        rank: r; less is returned where the kernel's own rank is less.
        dtype: the precision of K, below whose rounding directions are dropped.

    Raises:
        RegressionError: the kernel is not symmetric or not positive semi-definite.
    """
    draws = np.random.default_rng(0).standard_normal((samples, min(rank, samples)))
    test = qr(draws, mode="economic", overwrite_a=True, check_finite=False)[0]
    sketch = times(test)
    core, unit = test.T @ sketch, float(np.finfo(dtype).eps)
    rounding = unit * float(np.linalg.norm(sketch))
    if np.abs(core - core.T).max() > _SYMMETRY * rounding:
        raise _no_kernel("symmetric")
    values, vectors = eigh((core + core.T) / 2)
    if values[0] < -_SYMMETRY * rounding:
        raise _no_kernel("positive semi-definite")
    kept = values > rounding
    if not kept.any():
        raise _no_kernel("other than zero")
    half = sketch @ (vectors[:, kept] / np.sqrt(values[kept]))
    U, singular, _ = svd(half, full_matrices=False, check_finite=False)
    return Nystrom(singular**2, U)


def _no_kernel(what: str) -> RegressionError:
    return RegressionError(
        f"the kernel is not {what}, as its product with random vectors shows",
        where="kernel",
        remedy="give a kernel of the training samples with themselves",
    )
