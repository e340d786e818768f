"""Alignment of a kernel with the labels, A = CKA(Θ, YYᵀ), Y one-hot; and of its eigenvectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntkscope.metrics.arrays import FloatArray, MetricError, as_array, as_kernels, as_labels
from ntkscope.metrics.centring import Centring, direction_of, normalise
from ntkscope.metrics.cka import similarity


def label_kernel(labels: Any, outputs: int = 1) -> FloatArray:
    """The kernel of the labels: YYᵀ, and YYᵀ ⊗ I_K for a full NTK.

    (YYᵀ)_ij is 1 where samples i and j share a label, else 0. With YYᵀ ⊗ I_K, a full NTK whose
    outputs are independent, Θ ⊗ I_K, has exactly the alignment of its trace NTK Θ.

    Args:
        labels: (sample,), one value a class.
        outputs: K of a full NTK, else 1.

    Returns:
        (N·K, N·K), float64, output index fastest.

    Raises:
        MetricError: one-hot or other targets in place of labels.
    """
    labels = as_array(labels)
    labels = as_labels(labels, len(labels) if labels.ndim else 1)
    same = (labels[:, None] == labels[None, :]).astype(np.float64)
    return same if outputs == 1 else np.kron(same, np.eye(outputs))


def alignment(
    kernel: Any, labels: Any, outputs: int = 1, centring: Centring = "centred"
) -> FloatArray:
    """CKA of (…, N·K, N·K) kernels with the kernel of the labels; NaN where undefined.

    Centred (Cortes et al. 2012), debiased, or uncentred: kernel-target alignment (Cristianini et
    al. 2001).

    Args:
        kernel: (…, N·K, N·K), of NumPy, torch or xarray.
        labels: (N,), one value a class: of one-hot targets, `targets.argmax(1)`.
        outputs: K of a full NTK, else 1.
        centring: `debiased` is defined for K = 1 only.

    Returns:
        (…), float64.

    Raises:
        MetricError: kernels or labels of other shapes.

    Example:
        >>> import numpy as np, ntkscope
        >>> labels = np.array([0, 0, 1, 1])
        >>> one_hot = np.eye(2)[labels]
        >>> print(round(float(ntkscope.alignment(one_hot @ one_hot.T, labels)), 6))
        1.0
        >>> x = np.array([[0.0], [1.0], [0.0], [1.0]])  # says nothing of the labels
        >>> print(round(float(ntkscope.alignment(x @ x.T, labels)), 6))
        0.0
    """
    kernels = as_kernels(kernel, outputs)
    labels = as_labels(labels, kernels.shape[-1] // outputs)
    target = normalise(label_kernel(labels, outputs), centring, outputs)
    return similarity(direction_of(kernels, centring, outputs), target)


def label_projection(eigenvectors: Any, labels: Any, outputs: int = 1) -> FloatArray:
    """Share of the label kernel on each eigenvector: u_iᵀ (YYᵀ) u_i / tr(YYᵀ), in [0, 1].

    Not centred, as the eigenvalues are not: over all eigenvectors it sums to 1, and weighted with
    λ_i to ⟨Θ, YYᵀ⟩ / tr(YYᵀ), the numerator of the uncentred alignment. A constant eigenvector
    has 1/C for C balanced classes, although it tells none of them apart. Of equal eigenvalues only
    the sum over their eigenvectors has a meaning.

    Args:
        eigenvectors: (…, N·K, k), orthonormal columns.
        labels: (sample,), one value a class.
        outputs: K of a full NTK, whose label kernel is YYᵀ ⊗ I_K; else 1.

    Returns:
        (…, k), NaN where an eigenvector is.

    Raises:
        MetricError: eigenvectors of other rows than N·K, or labels of another shape.
    """
    vectors = np.asarray(as_array(eigenvectors), np.float64)
    if vectors.ndim < 2 or vectors.shape[-2] % outputs:
        raise MetricError(
            f"vectors of shape {vectors.shape} for {outputs} outputs per sample",
            where="eigenvectors",
            remedy="give (…, N·K, k), as of `spectrum`",
        )
    *batch, rows, count = vectors.shape
    labels = as_labels(labels, rows // outputs)
    classes = (labels[:, None] == np.unique(labels)).astype(np.float64)
    samples = vectors.reshape(*batch, rows // outputs, outputs, count)
    sums = np.einsum("...nkr,nc->...ckr", samples, classes, optimize=True)
    return np.asarray(np.einsum("...ckr,...ckr->...r", sums, sums) / rows)
