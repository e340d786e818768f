"""One kernel followed through a stream, a snapshot at a time, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkscope.metrics.arrays import FloatArray
from ntkscope.metrics.centring import FLOAT32_TOLERANCE, Centring, direction_of, normalise
from ntkscope.metrics.cka import distance, similarity
from ntkscope.metrics.velocity import check_dt

Row = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class _Seen:
    """A snapshot: its step, the directions of its kernels, and its row."""

    step: int
    direction: FloatArray
    row: Row


class Tracker:
    """Distances, velocity and alignment of a batch of kernels under one form of CKA.

    It holds the kernels of the start, of the last boundary and of the last `dt` steps, no others,
    and does not know which will come.

    Args:
        dt: steps behind a velocity.
        target: (M, M), the kernel of the labels (`alignment.label_kernel`); None: no alignment.
        centring, outputs, tolerance: as in `centring.normalise`.

    Raises:
        MetricError: dt below 1.
    """

    def __init__(
        self,
        dt: int,
        target: FloatArray | None,
        centring: Centring = "centred",
        outputs: int = 1,
        tolerance: float = FLOAT32_TOLERANCE,
    ) -> None:
        check_dt(dt)
        self._dt, self._form = dt, (centring, outputs, tolerance)
        self._target = None if target is None else normalise(target, *self._form)
        self._start: FloatArray | None = None
        self._boundary: FloatArray | None = None
        self._recent: list[_Seen] = []

    def update(self, step: int, kernel: NDArray[Any]) -> tuple[Row, NDArray[np.bool_]]:
        """Take in the kernels (*batch, M, M) of a step; steps must come in order.

        Returns:
            Name → (*batch): `distance_from_start`; `distance_from_boundary`, from the last at or
            before, NaN before the first; `alignment`; `velocity`, NaN until a snapshot comes at
            exactly step + dt, then filled in, in place. And whether a kernel has no direction.
        """
        direction = direction_of(kernel, *self._form)
        if self._start is None:
            self._start = direction
        none = np.full(direction.shape[:-2], np.nan)
        row: Row = {
            "distance_from_start": distance(direction, self._start),
            "distance_from_boundary": self._from_boundary(direction),
            "velocity": none.copy(),
            "alignment": none if self._target is None else similarity(direction, self._target),
        }
        self._measure_velocity(step, direction)
        self._recent.append(_Seen(step, direction, row))
        return row, np.isnan(direction[..., 0, 0])

    def mark_boundary(self) -> None:
        """The snapshot taken in last is that of a boundary."""
        last = self._recent[-1]
        self._boundary = last.direction
        last.row["distance_from_boundary"][...] = self._from_boundary(last.direction)

    def _from_boundary(self, direction: FloatArray) -> FloatArray:
        if self._boundary is None:
            return np.full(direction.shape[:-2], np.nan)
        return distance(direction, self._boundary)

    def _measure_velocity(self, step: int, direction: FloatArray) -> None:
        """Fill in that of the snapshot `dt` steps before, and forget those that are older."""
        for seen in self._recent:
            if seen.step == step - self._dt:
                seen.row["velocity"][...] = distance(seen.direction, direction) / self._dt
        self._recent = [seen for seen in self._recent if seen.step > step - self._dt]
