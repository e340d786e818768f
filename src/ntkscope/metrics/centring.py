"""Three ways to read a kernel as a direction: centred, debiased (U-centred) and uncentred.

A similarity of kernels is the cosine between their directions, so each similarity of `cka` is one
map of this module followed by one inner product.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ntkscope.metrics.arrays import FloatArray, MetricError, as_kernels

Centring = Literal["centred", "debiased", "uncentred"]

FLOAT32_TOLERANCE = 8.0 * float(np.finfo(np.float32).eps)
"""What centring leaves of a constant kernel that was computed in float32, relative to its norm."""


def centre(kernel: Any, outputs: int = 1) -> FloatArray:
    """Doubly centred kernel HKH, with H = (I_N − 11ᵀ/N) ⊗ I_K: the mean over samples is removed.

    For a full NTK each output is centred by itself, so that Θ ⊗ I_K becomes (HΘH) ⊗ I_K.

    Args:
        kernel: (…, N·K, N·K), output index fastest.
        outputs: K; 1 for a trace, pseudo or layer NTK.

    Returns:
        (…, N·K, N·K), float64.
    """
    return _centred(as_kernels(kernel, outputs), outputs)


def _centred(kernel: FloatArray, outputs: int) -> FloatArray:
    *batch, size, _ = kernel.shape
    samples = size // outputs
    blocks = kernel.reshape(*batch, samples, outputs, samples, outputs)
    rows = blocks.mean(axis=-4, keepdims=True)
    columns = blocks.mean(axis=-2, keepdims=True)
    centred = blocks - rows
    centred -= columns
    centred += rows.mean(axis=-2, keepdims=True)
    return np.asarray(centred.reshape(kernel.shape))


def u_centre(kernel: Any) -> FloatArray:
    """U-centred kernel: zero diagonal, and every row and column sums to zero.

    The inner product of two U-centred kernels over N(N−3) is the unbiased HSIC of Song et al.
    2012 (J. Mach. Learn. Res. 13, eq. 5); the map is that of Székely & Rizzo 2014 (Ann. Stat. 42,
    eq. 2.3). It is what makes debiased CKA the cosine of two matrices.

    Args:
        kernel: (…, N, N).

    Returns:
        (…, N, N), float64.

    Raises:
        MetricError: fewer than 4 samples, for which the estimator does not exist.
    """
    return _u_centred(as_kernels(kernel))


def _u_centred(kernel: FloatArray) -> FloatArray:
    size = kernel.shape[-1]
    if size < 4:
        raise MetricError(
            f"debiased CKA needs at least 4 samples, not {size}",
            where="kernel",
            remedy="give more samples, or use plain CKA",
        )
    diagonal = np.arange(size)
    centred = np.array(kernel)
    centred[..., diagonal, diagonal] = 0.0
    rows = centred.sum(axis=-1, keepdims=True) / (size - 2)
    columns = centred.sum(axis=-2, keepdims=True) / (size - 2)
    centred -= rows
    centred -= columns
    centred += rows.sum(axis=-2, keepdims=True) / (size - 1)
    centred[..., diagonal, diagonal] = 0.0
    return centred


def normalise(
    kernel: Any,
    centring: Centring = "centred",
    outputs: int = 1,
    tolerance: float = FLOAT32_TOLERANCE,
) -> FloatArray:
    """Centred kernel of Frobenius norm 1; all NaN where it has no direction.

    Args:
        kernel: (…, N·K, N·K).
        centring: `debiased` is defined for K = 1 only.
        outputs: K.
        tolerance: a kernel has no direction where centring leaves at most this share of its norm
            (a constant kernel, up to rounding), or where it is zero or not finite.

    Returns:
        (…, N·K, N·K), float64.

    Raises:
        MetricError: debiased, but K > 1 or N < 4; or no symmetric kernels of K outputs.
    """
    return direction_of(as_kernels(kernel, outputs), centring, outputs, tolerance)


def direction_of(
    kernel: FloatArray,
    centring: Centring = "centred",
    outputs: int = 1,
    tolerance: float = FLOAT32_TOLERANCE,
) -> FloatArray:
    """`normalise` of float64 kernels known to be square: in a stream, or a change of kernels."""
    largest = np.maximum(kernel.max(axis=(-2, -1)), -kernel.min(axis=(-2, -1)))
    usable = np.isfinite(largest) & (largest > 0)
    # Scaled by its largest element, a kernel of any size can be squared without overflow.
    scaled = kernel / np.where(usable, largest, 1.0)[..., None, None]
    scaled[~usable] = 0.0
    before = frobenius(scaled)
    direction = _apply(centring, scaled, outputs)
    size = frobenius(direction)
    defined = usable & (size > tolerance * before)
    direction /= np.where(defined, size, 1.0)[..., None, None]
    direction[~defined] = np.nan
    return direction


def frobenius(matrix: FloatArray) -> FloatArray:
    """Frobenius norm over the last two axes."""
    return np.asarray(np.sqrt(np.einsum("...ij,...ij->...", matrix, matrix)))


def _apply(centring: Centring, kernel: FloatArray, outputs: int) -> FloatArray:
    if centring == "centred":
        return _centred(kernel, outputs)
    if centring == "uncentred":
        return kernel
    if outputs != 1:
        raise MetricError(
            f"debiased CKA is defined for one output per sample, not {outputs}",
            where="outputs",
            remedy="use plain CKA, or the trace NTK",
        )
    return _u_centred(kernel)
