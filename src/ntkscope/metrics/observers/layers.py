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
        self._at_boundary = np.isin(stream.steps, stream.boundaries)
        self._boundary: NDArray[np.float64] | None = None
        self._shares: list[NDArray[np.float64]] = []

    def update(self, index: int, kernel: NDArray[np.float64]) -> None:
        """Take in (seed, layer, M, M)."""
        if self._at_boundary[index]:
            self._boundary = kernel
        if self._boundary is None or self._at_boundary[index]:
            self._shares.append(np.full(kernel.shape[:2], np.nan))
            return
        outputs, tolerance = self.stream.outputs, self.stream.tolerance
        self._shares.append(layer_share(self._boundary, kernel, outputs, tolerance))

    def curves(self) -> Curves:
        """(snapshot, seed, layer), NaN before the first boundary and at each."""
        return {"layer_share": np.stack(self._shares)}
