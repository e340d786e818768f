"""One kernel followed through a stream, a snapshot at a time, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkscope.metrics.arrays import FloatArray
from ntkscope.metrics.centring import FLOAT32_TOLERANCE, Centring, direction_of, normalise
from ntkscope.metrics.cka import distance, similarity
from ntkscope.metrics.velocity import NONE, later_snapshot

CURVES = ("distance_from_start", "distance_from_boundary", "velocity", "alignment")


class Tracker:
    """Distances, velocity and alignment of a batch of kernels under one form of CKA.

    It holds the kernels of the start, of the last boundary and of the last `dt` steps, no others.

    Args:
        steps: (snapshot,), strictly increasing.
        boundaries: steps of the boundaries.
        dt: steps behind a velocity.
        target: (M, M), the kernel of the labels (`alignment.label_kernel`).
        batch: shape of the leading axes of the kernels, such as (seed, layer).
        centring, outputs, tolerance: as in `centring.normalise`.

    Attributes:
        curves: name → (snapshot, *batch): `distance_from_start`; `distance_from_boundary`, from the
            last boundary at or before, NaN before the first; `velocity`; `alignment`. NaN where a
            kernel has no direction.
        undefined: (snapshot, *batch), whether a kernel has no direction.
    """

    def __init__(
        self,
        steps: NDArray[np.int64],
        boundaries: NDArray[np.int64],
        dt: int,
        target: FloatArray,
        batch: tuple[int, ...],
        centring: Centring = "centred",
        outputs: int = 1,
        tolerance: float = FLOAT32_TOLERANCE,
    ) -> None:
        shape = (len(steps), *batch)
        self.curves = {name: np.full(shape, np.nan) for name in CURVES}
        self.undefined = np.zeros(shape, bool)
        self._dt, self._later = dt, later_snapshot(steps, dt)
        self._at_boundary = np.isin(steps, boundaries)
        self._form = (centring, outputs, tolerance)
        self._target = normalise(target, *self._form)
        self._start: FloatArray | None = None
        self._boundary: FloatArray | None = None
        self._waiting: dict[int, tuple[int, FloatArray]] = {}

    def update(self, index: int, kernel: NDArray[Any]) -> None:
        """Take in the kernels (*batch, M, M) of snapshot `index`; indices must come in order."""
        direction = direction_of(kernel, *self._form)
        if self._start is None:
            self._start = direction
        if self._at_boundary[index]:
            self._boundary = direction
        self.undefined[index] = np.isnan(direction[..., 0, 0])
        self.curves["distance_from_start"][index] = distance(direction, self._start)
        if self._boundary is not None:
            self.curves["distance_from_boundary"][index] = distance(direction, self._boundary)
        self.curves["alignment"][index] = similarity(direction, self._target)
        self._measure_velocity(index, direction)

    def _measure_velocity(self, index: int, direction: FloatArray) -> None:
        if index in self._waiting:
            earlier, before = self._waiting.pop(index)
            self.curves["velocity"][earlier] = distance(before, direction) / self._dt
        if self._later[index] != NONE:
            self._waiting[int(self._later[index])] = (index, direction)
