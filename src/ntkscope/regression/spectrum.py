"""What a kernel's spectrum says of a target: eigenvalues, target power, alignment."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import eigh

from ntkscope.ntk.regression.kernel_arrays import to_numpy
from ntkscope.regression.error_currency import FloatArray


def target_spectrum(kernel: Any, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues of K / mean diagonal / N [N], descending, and target power (u_iᵀy)² / |y|² [N].

    Eigenvalues that are negative by rounding are 0; the power sums to 1.

    Args:
        kernel: [N, N], finite and symmetric.
        targets: y [N].
    """
    K = np.array(to_numpy(kernel), np.float64)
    values, vectors = eigh(K / np.trace(K), overwrite_a=True, check_finite=True, driver="evd")
    power = (vectors.T @ targets) ** 2 / (targets @ targets)
    return np.clip(values[::-1], 0, None), power[::-1]


def target_alignment(kernel: Any, targets: FloatArray) -> float:
    """Centred kernel alignment of K with y yᵀ (Cortes et al. 2012), in [0, 1]; NaN if undefined.

    ŷᵀKŷ / (‖HKH‖_F |ŷ|²) with centred targets ŷ = Hy.
    """
    K, centred = np.array(to_numpy(kernel), np.float64), targets - targets.mean()
    K -= K.mean(0)
    K -= K.mean(1, keepdims=True)
    scale = np.linalg.norm(K) * (centred @ centred)
    return float(centred @ K @ centred / scale) if scale > 0 else float("nan")
