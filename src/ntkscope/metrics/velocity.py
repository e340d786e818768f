"""Velocity of a kernel: v(t) = S(Θ_t, Θ_{t+dt}) / dt.

S = 1 − CKA is quadratic in a small motion, so v depends on dt: velocities of different dt are
never compared. It exists at t only where there is a snapshot at exactly t + dt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ntkscope.metrics.centring import FloatArray
from ntkscope.metrics.cka import distance

NONE = -1


def later_snapshot(steps: NDArray[np.int64], dt: int) -> NDArray[np.int64]:
    """Index of the snapshot exactly `dt` steps after each, or −1 where there is none.

    Args:
        steps: (snapshot,), strictly increasing.
        dt: steps, at least 1.
    """
    if dt < 1:
        raise ValueError(f"dt counts steps ahead, so it is at least 1, not {dt}")
    place = np.searchsorted(steps, steps + dt)
    found = steps[np.minimum(place, len(steps) - 1)] == steps + dt
    return np.where(found, place, NONE)


def velocity(normalised: FloatArray, steps: NDArray[np.int64], dt: int) -> FloatArray:
    """Velocity at each snapshot, per step; NaN where no snapshot follows at exactly t + dt.

    Args:
        normalised: (snapshot, …, M, M), kernels of norm 1 (`centring.normalise`).
        steps: (snapshot,), strictly increasing.
        dt: steps, at least 1.

    Returns:
        (snapshot, …).
    """
    speeds = np.full(normalised.shape[:-2], np.nan)
    for now, later in enumerate(later_snapshot(steps, dt)):
        if later != NONE:
            speeds[now] = distance(normalised[now], normalised[later]) / dt
    return speeds
