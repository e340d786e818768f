"""The centred kernel HΘH as an operator, H = (I_N − 11ᵀ/N) ⊗ I_K."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.operator.estimates import Float64, multiply, size_of


class Centred(LinearOperator):  # type: ignore[misc]
    """HΘH: the mean over samples is removed, of each output by itself.

    Args:
        operator: Θ [N·K, N·K], output index fastest.
        outputs: K of a full NTK, else 1.
    """

    def __init__(self, operator: LinearOperator, outputs: int = 1) -> None:
        self.operator, self.outputs = operator, outputs
        size = size_of(operator)
        super().__init__(np.dtype(np.float64), (size, size))

    def _matmat(self, X: NDArray[Any]) -> Float64:
        return centre(multiply(self.operator, centre(X, self.outputs)), self.outputs)

    def _adjoint(self) -> Centred:
        return self


def centre(columns: NDArray[Any], outputs: int = 1) -> Float64:
    """H V of V [N·K, p], in float64."""
    samples = np.asarray(columns, np.float64).reshape(-1, outputs, columns.shape[1])
    return np.asarray((samples - samples.mean(0)).reshape(columns.shape))
