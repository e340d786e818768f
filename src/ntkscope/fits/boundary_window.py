"""The snapshots around one boundary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BEFORE = "the {window} steps up to and including the boundary's"
"""Over which a norm before a boundary is the mean, in words; a minimum is of the steps after it.

The kernel at the boundary's step is the last that the old task has made: no step on the new one has
been taken yet.
"""


@dataclass(frozen=True)
class BoundaryWindow:
    """The snapshots around one boundary.

    Attributes:
        steps: (snapshot,), strictly increasing.
        boundary: its step, one of `steps`.
        end: step of the next boundary, or the last one.
        window: steps that count as just before and just after.
        dt: steps behind a velocity.
        ends_stream: whether no boundary is at `end`.
        task: number, from 1, of the task that ends at the boundary.
    """

    steps: NDArray[np.int64]
    boundary: int
    end: int
    window: int
    dt: int = 1
    ends_stream: bool = True
    task: int = 1

    @property
    def at(self) -> int:
        """Index of the boundary."""
        return int(np.searchsorted(self.steps, self.boundary))

    @property
    def at_end(self) -> int:
        """Index of the end."""
        return int(np.searchsorted(self.steps, self.end))

    @property
    def before(self) -> NDArray[np.bool_]:
        """The `window` steps up to and including the boundary's (`BEFORE`)."""
        return (self.steps > self.boundary - self.window) & (self.steps <= self.boundary)

    @property
    def after(self) -> NDArray[np.bool_]:
        """All steps of the task that begins at the boundary, so without the boundary's own."""
        return (self.steps > self.boundary) & (self.steps <= self.end)

    @property
    def early(self) -> NDArray[np.bool_]:
        """The part of `after` within the window."""
        return self.after & (self.steps <= self.boundary + self.window)

    def measured(self, start: int, end: int) -> NDArray[np.bool_]:
        """Snapshots from the step `start` on that have a velocity, which is of steps by `end`."""
        last = self.steps + self.dt
        return (self.steps >= start) & np.isin(last, self.steps) & (last <= end)
