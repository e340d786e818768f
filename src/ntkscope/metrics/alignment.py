"""Alignment of a kernel with the labels: A = CKA(Θ, YYᵀ), Y one-hot."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkscope.metrics.centring import Centring, FloatArray, normalise
from ntkscope.metrics.cka import similarity


def label_kernel(labels: NDArray[Any], outputs: int = 1) -> FloatArray:
    """The kernel of the labels: YYᵀ, and YYᵀ ⊗ I_K for a full NTK.

    (YYᵀ)_ij is 1 where samples i and j share a label, else 0. With YYᵀ ⊗ I_K, a full NTK whose
    outputs are independent, Θ ⊗ I_K, has exactly the alignment of its trace NTK Θ.

    Args:
        labels: (sample,), integers.
        outputs: K of a full NTK, else 1.

    Returns:
        (N·K, N·K), float64, output index fastest.
    """
    same = (labels[:, None] == labels[None, :]).astype(np.float64)
    return same if outputs == 1 else np.kron(same, np.eye(outputs))


def alignment(
    kernel: NDArray[Any], labels: NDArray[Any], outputs: int = 1, centring: Centring = "centred"
) -> FloatArray:
    """CKA of (…, N·K, N·K) kernels with the kernel of the labels; NaN where undefined.

    Centred (Cortes et al. 2012), debiased, or uncentred: kernel-target alignment (Cristianini et
    al. 2001).
    """
    target = normalise(label_kernel(labels, outputs), centring, outputs)
    return similarity(normalise(kernel, centring, outputs), target)
