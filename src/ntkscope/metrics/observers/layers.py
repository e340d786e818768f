"""Size of each layer NTK, and its share of the change of the whole since the last boundary."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ntkscope.metrics.layer_share import layer_share
from ntkscope.metrics.observers.observer import (
    Curves,
    KernelObserver,
    Name,
    Stream,
    Variable,
    register,
    register_metric,
)
from ntkscope.metrics.spectrum import spectral_norm

_LAYERED = ("seed", "snapshot", "layer")


@register_metric(
    Variable("layer NTK spectral norm", "largest eigenvalue of the layer NTK", dims=_LAYERED),
    "layer_ntk",
)
def layer_spectral_norm(kernel: NDArray[np.float64], stream: Stream) -> NDArray[Any]:
    """(seed, layer)."""
    return spectral_norm(kernel)


@register_metric(Variable("layer NTK trace", "trace of the layer NTK", dims=_LAYERED), "layer_ntk")
def layer_trace(kernel: NDArray[np.float64], stream: Stream) -> NDArray[Any]:
    """(seed, layer)."""
    return np.asarray(np.trace(kernel, axis1=-2, axis2=-1))


@register
class LayerShare(KernelObserver):
    """`layer_share` of the change of the sum of the layer NTKs since the last boundary."""

    array: ClassVar[Name] = "layer_ntk"
    metadata: ClassVar[dict[str, Variable]] = {
        "layer_share": Variable(
            "share of the change of the NTK",
            "⟨ΔΘ_l, HΔΘH⟩ / ‖HΔΘH‖², ΔΘ the change since the last boundary; NaN before the first "
            "and where nothing changed",
            dims=_LAYERED,
        )
    }

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self._boundary: NDArray[np.float64] | None = None
        self._last: tuple[NDArray[np.float64], Curves] | None = None

    def update(self, step: int, kernel: NDArray[np.float64]) -> Curves:
        """(seed, layer) of (seed, layer, M, M), NaN before the first boundary and at each."""
        if self._boundary is None:
            share = np.full(kernel.shape[:2], np.nan)
        else:
            outputs, tolerance = self.stream.outputs, self.stream.tolerance
            share = layer_share(self._boundary, kernel, outputs, tolerance)
        row: Curves = {"layer_share": share}
        self._last = kernel, row
        return row

    def mark_boundary(self) -> None:
        """What changes is told from here on."""
        if self._last is not None:
            self._boundary, row = self._last
            row["layer_share"][...] = np.nan
