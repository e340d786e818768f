"""Similarity of two kernels, and its distance, in three forms with three names.

* `cka`: centred kernel alignment, plain (Kornblith et al. 2019, eq. 1; Cortes et al. 2012).
* `debiased_cka`: the same with the unbiased HSIC of Song et al. 2012, 0 on average for independent
  inputs where plain CKA is not (about 0.2 at 32 samples).
* `cosine_similarity`: uncentred (Cristianini et al. 2001); one minus it is the kernel distance of
  Fort et al. 2020.

Each is the inner product of two directions u, v (`centring.normalise`). The distances are computed
as ½‖u − v‖², equal to 1 − ⟨u, v⟩ but free of its cancellation: never negative, exactly 0 for equal
kernels, and correct for kernels that differ by 1e-7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ntkscope.metrics.arrays import FloatArray, MetricError, check_same_axes
from ntkscope.metrics.centring import Centring, normalise


def similarity(first: FloatArray, second: FloatArray) -> FloatArray:
    """⟨u, v⟩ of two normalised kernels (…, M, M), broadcast over leading axes."""
    return np.asarray(np.einsum("...ij,...ij->...", first, second))


def distance(first: FloatArray, second: FloatArray) -> FloatArray:
    """½‖u − v‖² = 1 − ⟨u, v⟩ of two normalised kernels (…, M, M), broadcast over leading axes."""
    difference = first - second
    return np.asarray(np.einsum("...ij,...ij->...", difference, difference) / 2)


def cka(first: Any, second: Any, outputs: int = 1) -> FloatArray:
    """Centred kernel alignment, in [0, 1] for positive semi-definite kernels; NaN if undefined.

    Args:
        first, second: (…, N·K, N·K), of NumPy, torch or xarray, broadcast over leading axes.
        outputs: K of a full NTK, else 1.

    Raises:
        MetricError: not square, not symmetric, or not of the same samples; of xarray, leading axes
            of other names.

    Example:
        >>> import numpy as np, ntkscope
        >>> x = np.random.default_rng(0).standard_normal((20, 5))
        >>> kernel = x @ x.T
        >>> print(round(float(ntkscope.cka(kernel, 3 * kernel)), 6))  # neither scale
        1.0
        >>> print(round(float(ntkscope.cka(kernel, kernel + 7)), 6))  # nor a constant counts
        1.0
        >>> many = np.stack([kernel, kernel**2])  # leading axes are kept
        >>> ntkscope.cka(many, kernel).shape
        (2,)
    """
    return similarity(*_directions(first, second, "centred", outputs))


def debiased_cka(first: Any, second: Any) -> FloatArray:
    """CKA with the unbiased HSIC, in [−1, 1]; NaN if undefined.

    Args:
        first, second: (…, N, N), any float dtype, N ≥ 4, broadcast over leading axes.

    Raises:
        MetricError: fewer than 4 samples.
    """
    return similarity(*_directions(first, second, "debiased"))


def cosine_similarity(first: Any, second: Any) -> FloatArray:
    """Uncentred alignment ⟨A, B⟩ / (‖A‖‖B‖) of (…, M, M) kernels; NaN if undefined."""
    return similarity(*_directions(first, second, "uncentred"))


def cka_distance(first: Any, second: Any, outputs: int = 1) -> FloatArray:
    """S = 1 − CKA, without cancellation; arguments as `cka`.

    Example:
        >>> import numpy as np, ntkscope
        >>> x = np.random.default_rng(0).standard_normal((20, 5))
        >>> y = x + 1e-9 * np.random.default_rng(1).standard_normal((20, 5))
        >>> distance = ntkscope.cka_distance(x @ x.T, y @ y.T)
        >>> bool(0 < distance < 1e-16), 1 - float(ntkscope.cka(x @ x.T, y @ y.T)) < 1e-15
        (True, True)
    """
    return distance(*_directions(first, second, "centred", outputs))


def debiased_cka_distance(first: Any, second: Any) -> FloatArray:
    """1 − debiased CKA, in [0, 2], without cancellation; arguments as `debiased_cka`."""
    return distance(*_directions(first, second, "debiased"))


def kernel_distance(first: Any, second: Any) -> FloatArray:
    """1 − uncentred cosine, the kernel distance of Fort et al. 2020 (eq. 4), no cancellation."""
    return distance(*_directions(first, second, "uncentred"))


def _directions(
    first: Any, second: Any, centring: Centring, outputs: int = 1
) -> tuple[FloatArray, FloatArray]:
    check_same_axes(first, second)
    u, v = normalise(first, centring, outputs), normalise(second, centring, outputs)
    if u.shape[-1] != v.shape[-1]:
        raise MetricError(
            f"kernels of {u.shape[-1]} and {v.shape[-1]} rows cannot be compared",
            where="first, second",
            remedy="give two kernels of the same samples, in the same order",
        )
    return u, v
