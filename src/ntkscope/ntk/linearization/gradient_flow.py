"""Gradient flow on the squared error with a kernel that stays as it is, in closed form.

The loss is `torch.nn.MSELoss()`: L = Σ (f − y)² / NK, the mean over N samples and K outputs,
without a factor of one half. Of gradient flow dθ/dt = −∂L/∂θ with a constant kernel Θ the outputs
obey df/dt = −(2/NK) Θ (f − y), so that (Lee et al. 2019, "Wide neural networks of any depth evolve
as linear models under gradient descent", eqs. 8 to 11)

    f_t(x) = f₀(x) + Θ(x, X) Θ⁻¹ (1 − exp(−2 Θ t / NK)) (y − f₀(X)).

The unit of time t is steps times learning rate of gradient descent. neural-tangents' mse loss has
a factor of one half: its time is twice this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ntkscope.errors import NtkscopeError
from ntkscope.ntk.regression.eigensystem import Eigensystem, decompose
from ntkscope.ntk.regression.kernel_arrays import (
    FloatArray,
    check_array,
    check_finite,
    check_offset,
    check_targets,
    less_offset,
    multiply,
    to_numpy,
)


class FlowError(NtkscopeError):
    """A time, kernel or shape of which there is no gradient flow."""


def gradient_flow(kernel: Any, targets: Any, offset: Any = None) -> GradientFlow:
    """How outputs move under gradient flow on `torch.nn.MSELoss()` (this module's first lines).

    One eigendecomposition, about 9n³ multiply-adds, serves all times and all test samples.

    Args:
        kernel: the NTK of the training samples: [N, N], with which every output moves by itself
            (a trace kernel or one of infinite width), or a full one [N, K, N, K]. A tensor or
            array, float32 or float64.
        targets: y, [N] or [N, K], real.
        offset: f₀ of the training samples, like targets: the outputs at t = 0; None: 0.

    Raises:
        RegressionError: a kernel that is not square, symmetric, finite and positive semi-definite;
            targets or an offset that do not fit, or are not finite.
        FlowError: the same of a full kernel's shape, and of targets for it.

    Examples:
        >>> import math
        >>> import torch
        >>> from ntkscope import gradient_flow
        >>> flow = gradient_flow(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([1.0, 1.0]))
        >>> flow([0.0, 1.0, math.inf])
        tensor([[0.0000, 0.0000],
                [0.8647, 0.6321],
                [1.0000, 1.0000]])
        >>> flow(math.inf, cross_kernel=torch.tensor([[1.0, 1.0]]))
        tensor([1.5000])
    """
    full = len(getattr(kernel, "shape", ())) == 4
    check_array(kernel, "kernel")
    matrix = _square(kernel) if full else kernel
    right = check_targets(targets, kernel.shape[0])
    if full and right.shape[1:] != tuple(kernel.shape[1:2]):
        raise FlowError(
            f"targets of shape {right.shape} for a full kernel of shape {tuple(kernel.shape)}",
            where="targets",
            remedy="give [N, K] of the kernel's outputs",
        )
    start = np.zeros_like(right) if offset is None else check_offset(offset, right.shape)
    system = decompose(matrix)
    residual = less_offset(right, start)
    along = system.vectors.T @ (residual.reshape(len(system.values), -1) if full else residual)
    return GradientFlow(system, along, start, full, kernel)


@dataclass(frozen=True, eq=False, repr=False)
class GradientFlow:
    """Outputs at time t of what `gradient_flow` was given.

    Attributes:
        system: the kernel's eigendecomposition, float64.
        along: Uᵀ(y − f₀), [N] or [N, K], or [NK, 1] of a full kernel.
        start: f₀ of the training samples, like the targets.
        full: whether the kernel couples outputs.
        like: the kernel as it was given: results are of its kind, dtype and device.
    """

    system: Eigensystem
    along: FloatArray
    start: FloatArray
    full: bool
    like: Any

    def __repr__(self) -> str:
        samples, *outputs = self.start.shape
        like, kind = self.like, "full kernel" if self.full else "kernel"
        place = f" on {like.device}" if isinstance(like, torch.Tensor) else ""
        return (
            f"GradientFlow({kind} of {samples} samples"
            f"{''.join(f', {k} outputs' for k in outputs)}; rank {self.rank} of "
            f"{len(self.system.values)}; {str(like.dtype).removeprefix('torch.')}{place})"
        )

    @property
    def rank(self) -> int:
        """Eigenvalues above rounding: (eps of the kernel's dtype + n · eps of float64) ‖Θ‖_F.

        Along the other directions nothing is learned, at any time: Θ is not inverted there.
        """
        return int(self._above_rounding.sum())

    def __call__(
        self, t: float | Sequence[float], cross_kernel: Any = None, *, offset: Any = None
    ) -> Any:
        """Outputs at time t, of the training samples or of others.

        Args:
            t: time, 0 or more (steps times learning rate), `math.inf`: at convergence; or T times.
            cross_kernel: the NTK of M other samples with the training samples: [M, N], or
                [M, K, N, K] of a full kernel; None: outputs of the training samples.
            offset: f₀ of the other samples, [M] or [M, K]; None: 0. That of the training samples is
                known.

        Returns:
            [N] or [N, K], with a cross kernel [M] or [M, K]; of T times, [T, …]. A tensor of the
            kernel's dtype and device where that is one; else float64.

        Raises:
            FlowError: a time that is negative or none; an offset for the training samples; a cross
                kernel or an offset of another shape.
            RegressionError: a cross kernel or an offset that is no array, or not finite.
        """
        times, several = _times(t)
        if cross_kernel is None and offset is not None:
            raise FlowError(
                "an offset without a cross kernel",
                where="offset",
                remedy="leave it: that of the training samples was given to gradient_flow",
            )
        if cross_kernel is None:
            moved = [self.system.vectors @ self._learned(s) for s in times]
            start = self.start
        else:
            cross = self._checked_cross(cross_kernel)
            dual = [self.system.vectors @ self._learned(s, over=True) for s in times]
            moved = [multiply(cross, each) for each in dual]
            shape = (cross_kernel.shape[0], *self.start.shape[1:])
            start = np.zeros(shape) if offset is None else check_offset(offset, shape)
        found = np.stack([start + each.reshape(start.shape) for each in moved])
        return self._as_given(found if several else found[0])

    def _learned(self, t: float, *, over: bool = False) -> FloatArray:
        """(1 − exp(−2wt/NK)) Uᵀ(y − f₀), or that over w; 0 where there is no slope."""
        above, w = self._above_rounding, self.system.values * self.system.mean_diagonal
        w = np.where(above, w, 1)
        factors = -np.expm1(-2 / self.start.size * t * w) / (w if over else 1)
        scaled: FloatArray = (self.along.T * np.where(above, factors, 0)).T
        return scaled

    @property
    def _above_rounding(self) -> Any:
        w = self.system.values
        eps = np.finfo(self.system.dtype).eps + len(w) * np.finfo(np.float64).eps
        return w > eps * np.linalg.norm(w)

    def _checked_cross(self, cross: Any) -> Any:
        check_array(cross, "cross_kernel")
        outputs = self.start.shape[1:] if self.full else ()
        wanted = (*outputs, len(self.start), *outputs)
        if tuple(cross.shape[1:]) != wanted:
            sizes = ", ".join(["M", *map(str, wanted)])
            raise FlowError(
                f"a cross kernel of shape {tuple(cross.shape)}",
                where="cross_kernel",
                remedy=f"give that of other samples with the training samples, [{sizes}]",
            )
        found = to_numpy(cross).astype(np.float64)
        check_finite(found, "cross_kernel")
        return found.reshape(-1, len(self.system.values))

    def _as_given(self, found: FloatArray) -> Any:
        if isinstance(self.like, torch.Tensor):
            return torch.from_numpy(found).to(self.like)
        return found


def _square(kernel: Any) -> Any:
    """[NK, NK] of [N, K, N, K]."""
    n, k = kernel.shape[:2]
    if tuple(kernel.shape[2:]) != (n, k):
        raise FlowError(
            f"a kernel of shape {tuple(kernel.shape)}",
            where="kernel",
            remedy="give [N, N] or [N, K, N, K] of the training samples with themselves",
        )
    return kernel.reshape(n * k, n * k)


def _times(t: Any) -> tuple[list[float], bool]:
    """The times, and whether several were asked for."""
    try:
        given = to_numpy(t)
        found = np.asarray(given if given.dtype.kind in "biufO" else np.nan, np.float64)
    except (TypeError, ValueError, RuntimeError):  # the last of a list of tensors that learn
        found = np.asarray(np.nan)
    if found.ndim > 1 or not found.size or not (found >= 0).all():
        raise FlowError(
            f"t = {t!r}",
            where="t",
            remedy="give a real time, 0 or more (steps times rate), math.inf, or several",
        )
    return [float(s) for s in np.atleast_1d(found)], found.ndim == 1
