"""Which layers a kernel's change lies in: s_l = ⟨ΔΘ_l, ΔΘ⟩ / ‖ΔΘ‖², ΔΘ = Σ_l ΔΘ_l."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntkscope.metrics.arrays import FloatArray, MetricError, as_kernels, check_same_axes, moved
from ntkscope.metrics.centring import FLOAT32_TOLERANCE, direction_of
from ntkscope.metrics.cka import similarity


def layer_share(
    before: Any,
    after: Any,
    outputs: int = 1,
    tolerance: float = FLOAT32_TOLERANCE,
) -> FloatArray:
    """Share of each layer NTK in the change of the NTK; the shares sum to 1.

    The change is centred, HΔΘH, as CKA centres: what is constant over samples is no change of
    shape. H being a projection, ⟨HΔΘ_lH, HΔΘH⟩ = ⟨ΔΘ_l, HΔΘH⟩, so that one centring does for all
    layers. A layer's share is negative where it moves against the whole.

    Args:
        before, after: (…, layer, N·K, N·K), layer NTKs of two snapshots; xarray's axis `layer` may
            be elsewhere.
        outputs: K of a full NTK, else 1.
        tolerance: a kernel has not changed where no element of ΔΘ is larger than this share of
            the largest diagonal one of `before`, or where centring leaves as little of ΔΘ.

    Returns:
        (…, layer); NaN where the kernel has not changed, or is not finite.

    Raises:
        MetricError: no symmetric kernels with an axis of layers, or two of different shapes
            or, of xarray, axes.
    """
    check_same_axes(before, after)
    before, after = (as_kernels(moved(each, "layer", -1), outputs) for each in (before, after))
    if before.ndim < 3 or before.shape != after.shape:
        raise MetricError(
            f"layer NTKs of shapes {before.shape} and {after.shape}",
            where="before, after",
            remedy="give (…, layer, N·K, N·K) twice, of the same layers and samples",
        )
    with np.errstate(invalid="ignore"):  # ∞ − ∞ of a seed that diverged
        change = after - before
        whole = change.sum(axis=-3)
        size = np.diagonal(before, axis1=-2, axis2=-1).sum(axis=-2).max(axis=-1)
    largest = np.maximum(whole.max(axis=(-2, -1)), -whole.min(axis=(-2, -1)))
    direction = direction_of(whole, "centred", outputs, tolerance)
    direction[~(largest > tolerance * size)] = np.nan
    parts = similarity(change, direction[..., None, :, :])
    return np.asarray(parts / parts.sum(axis=-1, keepdims=True))
