"""`KernelRidge`: kernel ridge regression by whichever method suits the ridge and the memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Real
from typing import Any, Literal, Protocol, get_args

import psutil
from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.empirical.arguments import is_whole
from ntkscope.ntk.empirical.budget import parse_bytes
from ntkscope.ntk.regression.cholesky import cholesky
from ntkscope.ntk.regression.conjugate_gradients import IterativeSolver
from ntkscope.ntk.regression.eigensystem import decompose
from ntkscope.ntk.regression.errors import RegressionError
from ntkscope.ntk.regression.kernel_arrays import (
    FloatArray,
    check_array,
    check_offset,
    check_square,
    check_targets,
    diagonal,
    leading_block,
    less_offset,
    multiply,
    precision,
)
from ntkscope.ntk.regression.loocv import Criterion, RidgeChoice, check_criterion, least_error
from ntkscope.ntk.regression.nystrom import nystrom
from ntkscope.ntk.regression.ridge_scale import floored, mean_diagonal
from ntkscope.ntk.regression.ridge_search import search_ridge

Method = Literal["auto", "direct", "cg"]

_COPIES = {
    "cholesky": 1,
    "search": 2,
    "eigen": 3,
}  # float64 kernels held by a method beside the one given


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
        weights: (K + λI)⁻¹ (targets − offset), [N] or [N, K], float64.
        ridge: relative to the mean diagonal, as used.
        solver: for further targets of the same kernel and ridge.
        choice: how the ridge was chosen; None where it was given.
        has_offset: fitted with one, so that predictions take one too.
    """

    weights: FloatArray
    ridge: float
    solver: Solver
    choice: RidgeChoice | None = None
    has_offset: bool = False

    def __repr__(self) -> str:
        samples, *outputs = self.weights.shape
        how = "given" if self.choice is None else "of least leave-one-out error"
        parts = [
            f"{samples} samples",
            *(f"{k} outputs" for k in outputs),
            f"ridge {self.ridge:.3g}, {how}",
            f"solved by {type(self.solver).__name__}",
        ]
        if self.residual_norms is not None:
            parts.append(f"residual {self.residual_norms.max():.1e}")
        return f"FittedKernelRidge({'; '.join(parts)})"

    def predict(self, cross_kernel: Any, offset: Any = None) -> FloatArray:
        """Outputs [M] or [M, K], float64, from the kernel [M, N] of new samples with the fitted.

        Args:
            cross_kernel: an array, as of `KernelRidge.fit`.
            offset: f₀ of the new samples [M] or [M, K], where the fit had one.

        Raises:
            RegressionError: a cross kernel or an offset of another shape, or not finite; or an
                offset in one of fit and prediction only.
        """
        return _predicted(self.weights, self.has_offset, cross_kernel, offset)

    @property
    def residual_norms(self) -> FloatArray | None:
        """‖y − (K + λI) x‖ / ‖y‖ of each target, by conjugate gradients; None of a direct solution.

        Of those solved last with `solver`, computed afresh.
        """
        solution = getattr(self.solver, "solution", None)
        return None if solution is None else solution.residual_norms

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

        An offset cancels: target − residual is the prediction, offset included (`loo_errors`).

        Raises:
            RegressionError: solved by conjugate gradients.
        """
        return (self.weights.T / self.solver.inverse_diagonal).T


def _predicted(weights: FloatArray, has_offset: bool, cross_kernel: Any, offset: Any) -> FloatArray:
    check_array(cross_kernel, "cross_kernel")
    shape = tuple(cross_kernel.shape)
    if len(shape) != 2 or shape[1] != len(weights):
        raise RegressionError(
            f"a cross kernel of shape {shape} for {len(weights)} fitted samples",
            where="cross_kernel",
            remedy=f"give [M, {len(weights)}]: a row for each new sample",
        )
    if has_offset != (offset is not None):
        raise RegressionError(
            f"fitted {'with' if has_offset else 'without'} an offset",
            where="offset",
            remedy="give `fit` the offset of the training samples and `predict` that of the "
            "new ones, or neither",
        )
    outputs = multiply(cross_kernel, weights)
    return outputs if offset is None else outputs + check_offset(offset, outputs.shape)


@dataclass(frozen=True)
class KernelRidge:
    """Kernel ridge regression: minimise ‖K α − y‖² + λ αᵀ K α, λ = ridge · mean(diag K).

    Targets are taken as they are: no mean is subtracted. With an `offset` f₀, such as the network's
    outputs at initialisation, targets − f₀ are regressed and f₀ is added to predictions: the limit
    of training the linearised network (Lee et al. 2019, eqs. 8 to 11), for ridge → 0.

    Attributes:
        ridge: relative to the mean diagonal; "loo": of least leave-one-out error.
        method: "direct" (Cholesky for a given ridge, an eigendecomposition for "loo"), "cg"
            (preconditioned conjugate gradients), or "auto": direct where memory holds it.
        grid, criterion: of the leave-one-out choice, see `choose_ridge`. For a classifier's error
            "zero_one", of targets ±1 or one-hot: their squared error asks for larger ridges.
        loo_samples: leave-one-out on the first so many samples only (None: on all), whose relative
            ridge all are then fitted with, by one Cholesky or conjugate gradients. They should be
            in random order. Measured on NTKs of digits by zero_one: of 1000 samples, errors of a
            fit of 4000 rise by 1% on the mean and by 10% at most.
        search: go on from that ridge to the least leave-one-out error of all samples, by
            `search_ridge`: about 7 Choleskys instead of the 12 of an eigendecomposition. Made for a
            grid of one ridge a decade.
        memory: what "auto" may take beside the kernel, in bytes or such as "2GB"; None: half of
            what is free.
        rank: of the preconditioner; 200 took a quarter of the steps on NTKs of digits.
        tolerance, max_iterations: of conjugate gradients.

    Example:
        >>> import torch, ntkscope
        >>> angle = torch.linspace(0, 6.28, 61).double()
        >>> x, targets = torch.stack([angle.cos(), angle.sin()], 1), torch.sin(2 * angle).numpy()
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 1))
        >>> kernel = ntkscope.infinite_ntk(model, x, W_std=2**0.5)
        >>> train, test = slice(0, None, 2), slice(1, None, 2)
        >>> fitted = ntkscope.KernelRidge(ridge=1e-6).fit(kernel[train, train], targets[train])
        >>> bool(abs(fitted.predict(kernel[test, train]) - targets[test]).max() < 0.01)
        True

    `predict` of the regression itself is of its last fit, as in scikit-learn. All else that is
    known of a fit has the object that `fit` returns.
    """

    ridge: float | Literal["loo"] = "loo"
    method: Method = "auto"
    grid: Sequence[float] | None = None
    criterion: Criterion = "squared"
    memory: int | str | None = None
    rank: int = 200
    tolerance: float = 1e-6
    max_iterations: int = 1000
    loo_samples: int | None = None
    search: bool = False
    _last: tuple[FloatArray, bool] | None = field(
        default=None, init=False, repr=False, compare=False
    )  # weights and has_offset of the last fit; not its solver, which may be as large as a kernel

    def fit(self, kernel: Any, targets: Any, offset: Any = None) -> FittedKernelRidge:
        """Fit targets [N] or [N, K] with the kernel [N, N] of the training samples.

        Args:
            kernel: a NumPy array, torch tensor, Zarr or xarray array (read by blocks of rows where
                it is not held), or a SciPy `LinearOperator` with a method `diagonal` (which a
                direct method turns into an array).
            targets: any real array.
            offset: f₀ of the training samples, like targets; None: 0.

        Raises:
            RegressionError: a kernel, targets or an offset that will not do, conjugate gradients
                that do not converge, or leave-one-out above the memory.
        """
        self._check_options()
        samples = check_square(kernel)
        right = check_targets(targets, samples)
        f0 = None if offset is None else check_offset(offset, right.shape)
        if self.ridge == "loo":
            fitted, choice = self._chosen(kernel, right, f0)
            choice.warn()
        else:
            fitted = self._fixed(kernel, less_offset(right, f0), self.ridge)
        object.__setattr__(self, "_last", (fitted.weights, f0 is not None))
        return replace(fitted, has_offset=f0 is not None)

    def predict(self, cross_kernel: Any, offset: Any = None) -> FloatArray:
        """Outputs of the last fit, as of `FittedKernelRidge.predict`.

        Raises:
            RegressionError: as there; or nothing was fitted yet.
        """
        if self._last is None:
            raise RegressionError(
                "nothing was fitted yet",
                where="predict",
                remedy="call fit(kernel, targets) first, which returns the fitted regression",
            )
        return _predicted(*self._last, cross_kernel, offset)

    def __getattr__(self, name: str) -> Any:
        """Say where what a fit has found is."""
        if not name.startswith("_") and name in FittedKernelRidge.__dataclass_fields__ | vars(
            FittedKernelRidge
        ):
            raise AttributeError(
                f"a KernelRidge has no {name!r}: what `fit` returns has it. "
                f"fitted = regression.fit(kernel, targets); fitted.{name}"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _check_options(self) -> None:
        """Refuse options that do not exist, before any work.

        Raises:
            RegressionError: says which, and what there is.
        """
        ridge: Any = self.ridge
        number = isinstance(ridge, Real) and not isinstance(ridge, bool)
        if ridge != "loo" and not (number and math.isfinite(ridge) and ridge >= 0):
            raise RegressionError(
                f"ridge = {ridge!r}",
                where="ridge",
                remedy="give a number, 0 or more and relative to the mean diagonal, or 'loo'",
            )
        for name, allowed in (("method", get_args(Method)), ("criterion", get_args(Criterion))):
            if getattr(self, name) not in allowed:
                raise RegressionError(
                    f"{name} = {getattr(self, name)!r}",
                    where=name,
                    remedy=f"give one of: {', '.join(allowed)}",
                )

        tolerance: Any = self.tolerance
        if not (isinstance(tolerance, Real) and 0 < float(tolerance) < 1):
            raise RegressionError(
                f"tolerance = {tolerance!r}",
                where="tolerance",
                remedy="give a number between 0 and 1, such as 1e-6",
            )
        self._check_counts()

    def _check_counts(self) -> None:
        for name, least in (("loo_samples", 2), ("rank", 0), ("max_iterations", 1)):
            value = getattr(self, name)
            if value is not None and (not is_whole(value) or value < least):
                raise RegressionError(
                    f"{name} = {value!r}",
                    where=name,
                    remedy=f"give a whole number, at least {least}",
                )

    def _chosen(
        self, kernel: Any, targets: FloatArray, offset: FloatArray | None
    ) -> tuple[FittedKernelRidge, RidgeChoice]:
        """With the ridge of least leave-one-out error."""
        check_criterion(self.criterion, targets)
        samples, left = len(targets), less_offset(targets, offset)
        part = self._part(samples)
        system = decompose(kernel if part == samples else leading_block(kernel, part))
        first = None if offset is None else offset[:part]
        choice = least_error(system, targets[:part], self.grid, self.criterion, first)
        if part == samples:
            factor = system.at(choice.ridge)
            fitted = FittedKernelRidge(factor.solve(left), choice.ridge, factor)
        elif self.search:
            choice, lower = search_ridge(kernel, targets, choice, self.criterion, offset)
            fitted = FittedKernelRidge(lower.solve(left), choice.ridge, lower)
        else:
            fitted = self._fixed(kernel, left, choice.ridge)
        return replace(fitted, choice=choice), choice

    def _part(self, samples: int) -> int:
        """How many samples leave-one-out is taken on."""
        part = samples if self.loo_samples is None else min(self.loo_samples, samples)
        whole_by_steps = self.method == "cg" and part == samples
        if whole_by_steps or (self.method != "direct" and not self._holds("eigen", part)):
            raise self._too_large(part)
        if part < samples and self.search and not self._searchable(samples):
            raise self._too_large(samples, "search")
        return part

    def _searchable(self, samples: int) -> bool:
        """Whether a direct method can be had for all samples."""
        return self.method == "direct" or (self.method == "auto" and self._holds("search", samples))

    def _fixed(self, kernel: Any, targets: FloatArray, ridge: float) -> FittedKernelRidge:
        """With a ridge that is known."""
        too_large = not self._holds("cholesky", len(targets)) or isinstance(kernel, LinearOperator)
        if self.method == "cg" or (self.method == "auto" and too_large):
            return self._fit_iterative(kernel, targets, ridge)
        lower = cholesky(kernel, ridge)
        return FittedKernelRidge(lower.solve(targets), lower.ridge, lower)

    def _holds(self, way: str, samples: int) -> bool:
        """Whether the memory does for a direct method."""
        return _bytes(way, samples) <= self._budget()

    def _budget(self) -> int:
        free: int = psutil.virtual_memory().available
        return free // 2 if self.memory is None else parse_bytes(self.memory)

    def _fit_iterative(self, kernel: Any, targets: FloatArray, wanted: float) -> FittedKernelRidge:
        """By conjugate gradients, reading the kernel once per step."""
        dtype = precision(kernel)
        ridge, shift = floored(wanted, dtype), mean_diagonal(diagonal(kernel))
        times = partial(multiply, kernel)
        solver = IterativeSolver(
            times,
            ridge * shift,
            nystrom(times, len(targets), self.rank, dtype),
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )
        return FittedKernelRidge(solver.solve(targets), ridge, solver)

    def _too_large(self, samples: int, way: str = "eigen") -> RegressionError:
        what = {"eigen": "an eigendecomposition", "search": "Cholesky factors and inverses"}[way]
        return RegressionError(
            f"leave-one-out over {samples} samples takes {what}, "
            f"{_bytes(way, samples) / 1e9:.1f} GB, and cannot be had from conjugate gradients",
            where="ridge, method, memory",
            remedy="give loo_samples without a search, to choose the ridge on the first of them, "
            "or more memory",
        )


def _bytes(way: str, samples: int) -> int:
    """Of the copies that a direct method holds."""
    return 8 * samples**2 * _COPIES[way]
