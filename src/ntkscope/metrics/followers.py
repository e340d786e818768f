"""What is measured of the whole kernel, and what of its layers, snapshot by snapshot."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ntkscope.metrics.alignment import label_kernel
from ntkscope.metrics.centring import Centring
from ntkscope.metrics.lineage import Lineage
from ntkscope.metrics.spectrum import Spectrum, spectral_norm, spectrum
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
        self._spectra: list[Spectrum] = []
        self._finite: list[NDArray[np.bool_]] = []

    def visit(self, index: int, kernel: NDArray[Any]) -> None:
        """Take in (seed, M, M)."""
        self._finite.append(np.isfinite(kernel).all(axis=(-2, -1)))
        self._spectra.append(spectrum(kernel))
        for tracker in self._trackers.values():
            tracker.visit(index, kernel)

    def curves(self) -> Curves:
        """Name → (snapshot, seed)."""
        sizes = map(np.stack, zip(*self._spectra, strict=True))
        found: Curves = dict(zip(Spectrum._fields, sizes, strict=True))
        for suffix, tracker in self._trackers.items():
            found |= {f"{name}{suffix}": tracker.curves[name] for name in CURVES}
        finite = np.stack(self._finite)
        return found | {"diverged": ~finite, "undefined": self._trackers[""].undefined}


class LayerKernels:
    """Size, distance from the start, velocity and alignment of each layer NTK."""

    array = "layer_ntk"

    def __init__(
        self, lineage: Lineage, seeds: int, boundaries: NDArray[np.int64], dt: int
    ) -> None:
        batch = (seeds, len(lineage.layers))
        self._tracker = _tracker(lineage, batch, boundaries, dt, "centred")
        self._norms: list[NDArray[np.float64]] = []
        self._traces: list[NDArray[np.float64]] = []

    def visit(self, index: int, kernel: NDArray[Any]) -> None:
        """Take in (seed, layer, N, N)."""
        self._norms.append(spectral_norm(kernel))
        self._traces.append(np.trace(kernel, axis1=-2, axis2=-1))
        self._tracker.visit(index, kernel)

    def curves(self) -> Curves:
        """Name → (snapshot, seed, layer)."""
        moved = {
            f"layer_{name}": self._tracker.curves[name]
            for name in ("distance_from_start", "velocity", "alignment")
        }
        sizes = {"layer_spectral_norm": self._norms, "layer_trace": self._traces}
        return {name: np.stack(values) for name, values in sizes.items()} | moved


def _tracker(
    lineage: Lineage,
    batch: tuple[int, ...],
    boundaries: NDArray[np.int64],
    dt: int,
    form: Centring,
) -> Tracker:
    target = label_kernel(lineage.labels, lineage.outputs)
    tolerance = 8.0 * float(np.finfo(lineage.dtype).eps)
    return Tracker(lineage.steps, boundaries, dt, target, batch, form, lineage.outputs, tolerance)
