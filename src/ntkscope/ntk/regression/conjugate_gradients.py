"""Ridge regression by preconditioned conjugate gradients, for kernels that memory does not hold.

Only products with the kernel are needed, one per step for all targets together: the kernel is read,
or computed, once per step. Hestenes & Stiefel 1952, with the preconditioner of `nystrom.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ntkscope.ntk.regression.errors import NotConvergedError, RegressionError
from ntkscope.ntk.regression.kernel_arrays import FloatArray, check_targets
from ntkscope.ntk.regression.nystrom import Nystrom
from ntkscope.ntk.regression.smallest_eigenvalue import smallest_eigenvalue

Times = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Solution:
    """Solutions of A x = y, and how good they are.

    Attributes:
        values: x [N, K].
        residual_norms: ‖y − A x‖ / ‖y‖ of each column [K], computed afresh at the end.
        iterations: steps taken; a step is one product of A with all columns not yet done.
    """

    values: FloatArray
    residual_norms: FloatArray
    iterations: int


class IterativeSolver:
    """K + λI with a preconditioner made once, to be solved for many targets.

    Attributes:
        shift: λ.
        solution: the last one found.
    """

    def __init__(
        self,
        times: Times,
        shift: float,
        approximation: Nystrom,
        *,
        tolerance: float = 1e-6,
        max_iterations: int = 1000,
    ) -> None:
        """Prepare to solve.

        Args:
            times: K @ vectors for [N, K] in float64.
            shift: λ > 0, in absolute size.
            approximation: of K, from `nystrom`.
            tolerance: of ‖y − (K + λI) x‖ / ‖y‖, for each target.
            max_iterations: after which it is an error.

        Raises:
            RegressionError: λ is not positive.
        """
        if not shift > 0:
            raise RegressionError(
                f"conjugate gradients with λ = {shift}", where="ridge", remedy="give a ridge > 0"
            )
        self._times, self.shift, self._nystrom = times, shift, approximation
        self._tolerance, self._max_iterations = tolerance, max_iterations
        self.solution: Solution | None = None

    def solve(self, targets: Any) -> FloatArray:
        """(K + λI)⁻¹ of targets [N] or [N, K].

        Raises:
            RegressionError: not converged, K + λI is not positive definite, or targets that do
                not fit.
        """
        right = check_targets(targets, len(self._nystrom.vectors))
        self.solution = conjugate_gradients(
            self._apply,
            right.reshape(len(right), -1),
            self._precondition,
            tolerance=self._tolerance,
            max_iterations=self._max_iterations,
        )
        return self.solution.values.reshape(right.shape)

    def _apply(self, vectors: FloatArray) -> FloatArray:
        return self._times(vectors) + self.shift * vectors

    def _precondition(self, vectors: FloatArray) -> FloatArray:
        return self._nystrom.precondition(vectors, self.shift)

    @cached_property
    def smallest_eigenvalue(self) -> float:
        """Of K + λI, in 50 products with one vector at most, see `smallest_eigenvalue`."""
        return smallest_eigenvalue(
            self._apply, self._precondition, len(self._nystrom.vectors), self.shift
        )

    @property
    def condition_number(self) -> float:
        """Of K + λI: (w_1 + λ) / `smallest_eigenvalue`, with Nyström's largest eigenvalue w_1.

        w_1 is below λ_max by what the sketch missed: 2% with 40 vectors of 100 samples and an
        almost flat spectrum, below 1% for an NTK of digits and 200 vectors.
        """
        return float((self._nystrom.values[0] + self.shift) / self.smallest_eigenvalue)

    @property
    def inverse_diagonal(self) -> FloatArray:
        """Not to be had without a factorisation.

        Raises:
            RegressionError: always.
        """
        raise RegressionError(
            "conjugate gradients give no diagonal of (K + λI)⁻¹, so no leave-one-out residuals",
            where="method",
            remedy="give more memory or fewer samples, so that the kernel can be factored",
        )


def conjugate_gradients(
    times: Times,
    targets: FloatArray,
    precondition: Times,
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
) -> Solution:
    """Solve A x = y for a positive definite A and each column of y.

    The residual that the recurrence carries drifts from the true one. Where the true one is not
    below the tolerance, the steps begin again from it, as long as that halves it.

    Args:
        times: A @ vectors for [N, k].
        targets: y [N, K].
        precondition: P⁻¹ vectors, near A⁻¹ vectors.
        tolerance: of ‖y − A x‖ / ‖y‖.
        max_iterations: steps in all.

    Raises:
        NotConvergedError: the residual is still above the tolerance.
        RegressionError: A or P is not positive definite.
    """
    x, scale, steps = np.zeros_like(targets), np.linalg.norm(targets, axis=0), 0
    scale[scale == 0] = 1.0
    residual, norms = targets, np.ones_like(scale)
    while (norms > tolerance).any():
        found, taken = _descend(
            times, residual, precondition, tolerance * scale, max_iterations - steps
        )
        x, steps, before = x + found, steps + taken, norms.max()
        residual = targets - times(x)
        norms = np.linalg.norm(residual, axis=0) / scale
        if norms.max() > tolerance and (steps >= max_iterations or norms.max() > before / 2):
            raise _not_converged(steps, norms.max(), tolerance)
    return Solution(x, norms, steps)


def _descend(
    times: Times, targets: FloatArray, precondition: Times, enough: FloatArray, most: int
) -> tuple[FloatArray, int]:
    """Steps from x = 0 until every column's residual is below `enough`, or `most` are taken."""
    x, active, steps = np.zeros_like(targets), np.arange(targets.shape[1]), 0
    r, p, previous = targets, np.zeros_like(targets), np.full(targets.shape[1], np.inf)
    while steps < most:
        left = np.linalg.norm(r, axis=0) > enough[active]
        active, r, p, previous = active[left], r[:, left], p[:, left], previous[left]
        if not len(active):
            break
        z = precondition(r)
        size = _positive(r, z)
        p = z + size / previous * p
        product = times(p)
        length = size / _positive(p, product)
        x[:, active] += length * p
        r, previous, steps = r - length * product, size, steps + 1
    return x, steps


def _positive(left: FloatArray, right: FloatArray) -> FloatArray:
    """Products of the columns, which are positive for a positive definite matrix."""
    found: FloatArray = np.einsum("nk,nk->k", left, right)
    if (found > 0).all():
        return found
    raise RegressionError(
        "conjugate gradients met a direction in which the matrix is not positive definite",
        where="kernel",
        remedy="give a positive semi-definite kernel, or a larger ridge",
    )


def _not_converged(steps: int, norm: float, tolerance: float) -> NotConvergedError:
    return NotConvergedError(
        f"conjugate gradients stand at a relative residual of {norm:.1e} after {steps} steps, "
        f"{tolerance:.0e} was asked for",
        where="max_iterations, tolerance",
        remedy="give a larger ridge, rank, tolerance or max_iterations",
    )
