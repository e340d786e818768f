"""`KernelRidge`: kernel ridge regression by whichever method suits the ridge and the memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import psutil
from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.empirical.budget import parse_bytes
from ntkscope.ntk.regression.cholesky import cholesky
from ntkscope.ntk.regression.conjugate_gradients import IterativeSolver
from ntkscope.ntk.regression.errors import RegressionError
from ntkscope.ntk.regression.kernel_arrays import (
    FloatArray,
    check_square,
    check_targets,
    diagonal,
    multiply,
    precision,
)
from ntkscope.ntk.regression.loocv import (
    Criterion,
    RidgeChoice,
    choose_ridge,
    decompose,
)
from ntkscope.ntk.regression.nystrom import nystrom
from ntkscope.ntk.regression.ridge_scale import floored, mean_diagonal

Method = Literal["auto", "direct", "cg"]

_COPIES = {"cholesky": 1, "eigen": 3}  # float64 kernels held by a method beside the one given


class Solver(Protocol):
    """K + λI, prepared once: a `CholeskyFactor`, `EigenFactor` or `IterativeSolver`."""

    @property
    def smallest_eigenvalue(self) -> float:
        """Of K + λI."""

    @property
    def condition_number(self) -> float:
        """Of K + λI."""

    @property
    def inverse_diagonal(self) -> FloatArray:
        """Of (K + λI)⁻¹, [N]."""

    def solve(self, targets: Any) -> FloatArray:
        """(K + λI)⁻¹ targets."""


@dataclass(frozen=True)
class FittedKernelRidge:
    """A kernel ridge regression fitted.

    Attributes:
        weights: (K + λI)⁻¹ targets, [N] or [N, K], float64.
        ridge: relative to the mean diagonal, as used.
        solver: for further targets of the same kernel and ridge.
        choice: how the ridge was chosen; None where it was given.
    """

    weights: FloatArray
    ridge: float
    solver: Solver
    choice: RidgeChoice | None = None

    def predict(self, cross_kernel: Any) -> FloatArray:
        """Outputs [M] or [M, K], float64, from the kernel [M, N] of new samples with the fitted.

        Raises:
            RegressionError: a cross kernel of another shape, or not finite.
        """
        shape = tuple(cross_kernel.shape)
        if len(shape) != 2 or shape[1] != len(self.weights):
            raise RegressionError(
                f"a cross kernel of shape {shape} for {len(self.weights)} fitted samples",
                where="cross_kernel",
                remedy=f"give [M, {len(self.weights)}]: a row for each new sample",
            )
        return multiply(cross_kernel, self.weights)

    @property
    def condition_number(self) -> float:
        """Of K + λI; its accuracy is that of the solver."""
        return self.solver.condition_number

    @property
    def smallest_eigenvalue(self) -> float:
        """Of K + λI; its accuracy is that of the solver."""
        return self.solver.smallest_eigenvalue

    @property
    def loo_residuals(self) -> FloatArray:
        """Each target minus its prediction from all other samples, like `weights`.

        Raises:
            RegressionError: solved by conjugate gradients.
        """
        return (self.weights.T / self.solver.inverse_diagonal).T


@dataclass(frozen=True)
class KernelRidge:
    """Kernel ridge regression: minimise ‖K α − y‖² + λ αᵀ K α, λ = ridge · mean(diag K).

    Targets are taken as they are: subtract their mean, or the network's outputs at initialisation,
    before, where that is meant.

    Attributes:
        ridge: relative to the mean diagonal; "loo": of least leave-one-out error.
        method: "direct" (Cholesky for a given ridge, an eigendecomposition for "loo"), "cg"
            (preconditioned conjugate gradients), or "auto": direct where memory holds it.
        grid, criterion: of the leave-one-out choice, see `choose_ridge`.
        memory: what "auto" may take beside the kernel, in bytes or such as "2GB"; None: half of
            what is free.
        rank: of the preconditioner; 200 took a quarter of the steps on NTKs of digits.
        tolerance, max_iterations: of conjugate gradients.
    """

    ridge: float | Literal["loo"] = "loo"
    method: Method = "auto"
    grid: Sequence[float] | None = None
    criterion: Criterion = "squared"
    memory: int | str | None = None
    rank: int = 200
    tolerance: float = 1e-6
    max_iterations: int = 1000

    def fit(self, kernel: Any, targets: Any) -> FittedKernelRidge:
        """Fit targets [N] or [N, K] with the kernel [N, N] of the training samples.

        Args:
            kernel: a NumPy array, torch tensor, Zarr or xarray array (read by blocks of rows where
                it is not held), or a SciPy `LinearOperator` with a method `diagonal` (which a
                direct method turns into an array).
            targets: any real array.

        Raises:
            RegressionError: a kernel or targets that will not do, conjugate gradients that do not
                converge, or leave-one-out above the memory.
        """
        samples = check_square(kernel)
        right = check_targets(targets, samples)
        iterative = self._iterative(kernel, samples)
        if self.ridge == "loo":
            if iterative:
                raise self._too_large(samples)
            system = decompose(kernel)
            choice = choose_ridge(system, right, self.grid, self.criterion)
            factor = system.at(choice.ridge)
            return FittedKernelRidge(factor.solve(right), choice.ridge, factor, choice)
        if iterative:
            return self._fit_iterative(kernel, right, self.ridge)
        lower = cholesky(kernel, self.ridge)
        return FittedKernelRidge(lower.solve(right), lower.ridge, lower)

    def _iterative(self, kernel: Any, samples: int) -> bool:
        if self.method != "auto":
            return self.method == "cg"
        if isinstance(kernel, LinearOperator) and self.ridge != "loo":
            return True
        return self._needs(samples) > self._budget()

    def _needs(self, samples: int) -> int:
        """Bytes of a direct method."""
        return 8 * samples**2 * _COPIES["eigen" if self.ridge == "loo" else "cholesky"]

    def _budget(self) -> int:
        free: int = psutil.virtual_memory().available
        return free // 2 if self.memory is None else parse_bytes(self.memory)

    def _fit_iterative(self, kernel: Any, targets: FloatArray, asked: float) -> FittedKernelRidge:
        """By conjugate gradients, reading the kernel once per step."""
        dtype = precision(kernel)
        ridge, shift = floored(asked, dtype), mean_diagonal(diagonal(kernel))
        times = partial(multiply, kernel)
        solver = IterativeSolver(
            times,
            ridge * shift,
            nystrom(times, len(targets), self.rank, dtype),
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )
        return FittedKernelRidge(solver.solve(targets), ridge, solver)

    def _too_large(self, samples: int) -> RegressionError:
        return RegressionError(
            f"leave-one-out over {samples} samples takes an eigendecomposition, "
            f"{self._needs(samples) / 1e9:.1f} GB, and cannot be had from conjugate gradients",
            where="ridge, method, memory",
            remedy="give a ridge, chosen on a subset of the training samples, or more memory",
        )
