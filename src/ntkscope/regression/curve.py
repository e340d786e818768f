"""A learning curve from one kernel: its leading blocks are the kernels of fewer samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ntkscope.ntk.regression.kernel_arrays import multiply
from ntkscope.regression.error_currency import ERRORS, FloatArray, squared_error
from ntkscope.regression.ridge import Choice, Ridges, leave_one_out, with_ridge


@dataclass(frozen=True)
class Samples:
    """What a kernel is regressed on, and tested with.

    Attributes:
        kernel: [N, N], float32 or float64. cross: [M, N], of test and fitted samples. Arrays, or
            `KernelTiles`.
        targets: y [N]. test_targets: [M].
        offset: f₀ [N], 0 where it is ignored. test_offset: [M].
    """

    kernel: Any
    cross: Any
    targets: FloatArray
    test_targets: FloatArray
    offset: FloatArray
    test_offset: FloatArray

    def first(self, n: int) -> tuple[Any, FloatArray, FloatArray]:
        """Kernel, targets and offset of the first n."""
        return self.kernel[:n, :n], self.targets[:n], self.offset[:n]

    def with_pair(self, kernel: Any, cross: Any) -> Samples:
        """The first of them, with another kernel [n, n] and [M, n]."""
        n = len(kernel)
        y, f0 = self.targets[:n], self.offset[:n]
        return Samples(kernel, cross, y, self.test_targets, f0, self.test_offset)

    def predict(self, weights: FloatArray) -> FloatArray:
        """f₀ + Kα of the test samples [M], α of the first of the fitted."""
        return multiply(self.cross[:, : len(weights)], weights) + self.test_offset


CURVE = {
    "error": np.float64,
    "squared_error": np.float64,
    "loo_error": np.float64,
    "ridge": np.float64,
    "ridge_edge": np.int8,
    "ridge_from": np.int64,
    "residual": np.float64,
    "regression_seconds": np.float64,
}
"""What is known of each n, beside the predictions."""


def regress_nested(
    samples: Samples,
    sizes: Sequence[int],
    ridges: Ridges,
    error: str,
    alive: Callable[[], None] = lambda: None,
) -> dict[str, FloatArray]:
    """Errors and predictions of each n, one solved after another.

    Args:
        samples: N of them; n above N are left undefined: NaN, or 0 of whole numbers.
        sizes: n, ascending.
        ridges: by leave-one-out up to `ridges.most`, then the one of the last such n.
        error: of the task: zero_one or squared.
        alive: called after each n.

    Returns:
        Arrays (n,) as in `CURVE` and `prediction` (n, M). `loo_error` is NaN where no
        leave-one-out was made; `regression_seconds` include the prediction.

    Raises:
        RegressionError: see `leave_one_out`.
    """
    out = {name: np.full(len(sizes), _nothing(kind), kind) for name, kind in CURVE.items()}
    out["prediction"] = np.full((len(sizes), len(samples.test_targets)), np.nan, np.float32)
    choice: Choice | None = None
    for at, n in enumerate(size for size in sizes if size <= len(samples.targets)):
        began = time.perf_counter()
        if n > ridges.most:
            choice = choice or leave_one_out(*samples.first(ridges.most), ridges)[1]
            weights, ridge, residual = with_ridge(*samples.first(n), choice, ridges)
        else:
            weights, choice = leave_one_out(*samples.first(n), ridges)
            ridge, residual, out["loo_error"][at] = choice.ridge, 0.0, choice.error
        prediction = samples.predict(weights)
        out["regression_seconds"][at] = time.perf_counter() - began
        out["error"][at] = ERRORS[error](prediction, samples.test_targets)
        out["squared_error"][at] = squared_error(prediction, samples.test_targets)
        out["ridge"][at], out["ridge_edge"][at] = ridge, choice.edge
        out["ridge_from"][at], out["prediction"][at] = choice.samples, prediction
        out["residual"][at] = residual
        alive()
    return out


def _nothing(kind: Any) -> float:
    return float("nan") if np.issubdtype(kind, np.floating) else 0
