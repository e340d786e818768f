"""What is measured of the whole kernel, and what of its layers, snapshot by snapshot."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ntkscope.metrics.alignment import label_kernel, label_projection
from ntkscope.metrics.centring import Centring
from ntkscope.metrics.layer_share import layer_share
from ntkscope.metrics.lineage import Lineage
from ntkscope.metrics.spectrum import spectral_norm, spectrum
from ntkscope.metrics.tracker import CURVES, Tracker

Curves = dict[str, NDArray[Any]]


class Follower(Protocol):
    """Reads one array of the stores and makes curves of it.

    Attributes:
        array: name of the array.
    """

    array: str

    def visit(self, index: int, kernel: NDArray[Any]) -> None:
        """Take in one snapshot."""

    def curves(self) -> Curves:
        """Name → (snapshot, seed, …), when all snapshots were visited."""


class WholeKernel:
    """Spectrum of the NTK, and its distances, velocity and alignment under each form of CKA.

    Also flags each snapshot and seed: `diverged` (not finite), `undefined` (CKA is: for that reason
    or because the kernel is zero or constant).
    """

    array = "ntk"

    def __init__(
        self, lineage: Lineage, seeds: int, boundaries: NDArray[np.int64], dt: int
    ) -> None:
        forms: dict[str, Centring] = {"": "centred", "_uncentred": "uncentred"}
        if lineage.outputs == 1:
            forms["_debiased"] = "debiased"
        self._trackers = {
            suffix: _tracker(lineage, (seeds,), boundaries, dt, form)
            for suffix, form in forms.items()
        }
        self._labels, self._outputs = lineage.labels, lineage.outputs
        self._tolerance = _tolerance(lineage)
        self._spectra: list[Curves] = []
        self._finite: list[NDArray[np.bool_]] = []

    def visit(self, index: int, kernel: NDArray[Any]) -> None:
        """Take in (seed, M, M)."""
        self._finite.append(np.isfinite(kernel).all(axis=(-2, -1)))
        found = spectrum(kernel, self._tolerance)._asdict()
        vectors = found.pop("eigenvectors")
        found["label_projection"] = label_projection(vectors, self._labels, self._outputs)
        self._spectra.append(found)
        for tracker in self._trackers.values():
            tracker.visit(index, kernel)

    def curves(self) -> Curves:
        """Name → (snapshot, seed[, rank])."""
        found = {
            name: np.stack([each[name] for each in self._spectra]) for name in self._spectra[0]
        }
        for suffix, tracker in self._trackers.items():
            found |= {f"{name}{suffix}": tracker.curves[name] for name in CURVES}
        finite = np.stack(self._finite)
        return found | {"diverged": ~finite, "undefined": self._trackers[""].undefined}


class LayerKernels:
    """Size, distances, velocity and alignment of each layer NTK, and its share of the change.

    The change is that of the sum of the layer NTKs since the last boundary.
    """

    array = "layer_ntk"

    def __init__(
        self, lineage: Lineage, seeds: int, boundaries: NDArray[np.int64], dt: int
    ) -> None:
        batch = (seeds, len(lineage.layers))
        self._tracker = _tracker(lineage, batch, boundaries, dt, "centred")
        self._at_boundary = np.isin(lineage.steps, boundaries)
        self._outputs, self._tolerance = lineage.outputs, _tolerance(lineage)
        self._boundary: NDArray[np.float64] | None = None
        self._shares: list[NDArray[np.float64]] = []
        self._norms: list[NDArray[np.float64]] = []
        self._traces: list[NDArray[np.float64]] = []

    def visit(self, index: int, kernel: NDArray[Any]) -> None:
        """Take in (seed, layer, M, M)."""
        self._norms.append(spectral_norm(kernel))
        self._traces.append(np.trace(kernel, axis1=-2, axis2=-1))
        self._shares.append(self._share(index, kernel))
        self._tracker.visit(index, kernel)

    def curves(self) -> Curves:
        """Name → (snapshot, seed, layer)."""
        moved = {
            f"layer_{name}": self._tracker.curves[name]
            for name in ("distance_from_start", "distance_from_boundary", "velocity", "alignment")
        }
        own = {
            "layer_spectral_norm": self._norms,
            "layer_trace": self._traces,
            "layer_share": self._shares,
        }
        return {name: np.stack(values) for name, values in own.items()} | moved

    def _share(self, index: int, kernel: NDArray[Any]) -> NDArray[np.float64]:
        """(seed, layer), NaN before the first boundary and at each."""
        if self._at_boundary[index]:
            self._boundary = kernel
        if self._boundary is None or self._at_boundary[index]:
            return np.full(kernel.shape[:2], np.nan)
        return layer_share(self._boundary, kernel, self._outputs, self._tolerance)


def _tracker(
    lineage: Lineage,
    batch: tuple[int, ...],
    boundaries: NDArray[np.int64],
    dt: int,
    form: Centring,
) -> Tracker:
    target = label_kernel(lineage.labels, lineage.outputs)
    form_of = (form, lineage.outputs, _tolerance(lineage))
    return Tracker(lineage.steps, boundaries, dt, target, batch, *form_of)


def _tolerance(lineage: Lineage) -> float:
    """What is rounding, relative to a kernel that was stored or computed in `lineage.dtype`."""
    return 8.0 * float(np.finfo(lineage.dtype).eps)
