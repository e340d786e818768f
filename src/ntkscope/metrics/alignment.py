"""Alignment of a kernel with the labels, A = CKA(Θ, YYᵀ), Y one-hot; and of its eigenvectors."""

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


def label_projection(
    eigenvectors: NDArray[Any], labels: NDArray[Any], outputs: int = 1
) -> FloatArray:
    """Share of the label kernel on each eigenvector: u_iᵀ (YYᵀ) u_i / tr(YYᵀ), in [0, 1].

    Not centred, as the eigenvalues are not: over all eigenvectors it sums to 1, and weighted with
    λ_i to ⟨Θ, YYᵀ⟩ / tr(YYᵀ), the numerator of the uncentred alignment. A constant eigenvector
    has 1/C for C balanced classes, although it tells none of them apart. Of equal eigenvalues only
    the sum over their eigenvectors has a meaning.

    Args:
        eigenvectors: (…, N·K, k), orthonormal columns.
        labels: (sample,), integers.
        outputs: K of a full NTK, whose label kernel is YYᵀ ⊗ I_K; else 1.

    Returns:
        (…, k), NaN where an eigenvector is.
    """
    classes = (labels[:, None] == np.unique(labels)).astype(np.float64)
    *batch, rows, count = eigenvectors.shape
    samples = np.asarray(eigenvectors).reshape(*batch, rows // outputs, outputs, count)
    sums = np.einsum("...nkr,nc->...ckr", samples, classes, optimize=True)
    return np.asarray(np.einsum("...ckr,...ckr->...r", sums, sums) / rows)
