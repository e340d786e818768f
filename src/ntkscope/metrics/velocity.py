"""Velocity of a kernel: v(t) = S(Θ_t, Θ_{t+dt}) / dt.

S = 1 − CKA is quadratic in a small motion, so v depends on dt: velocities of different dt are
never compared. It exists at t only where there is a snapshot at exactly t + dt.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkscope.metrics.arrays import FloatArray, MetricError, as_array, moved
from ntkscope.metrics.centring import Centring, normalise
from ntkscope.metrics.cka import distance

NONE = -1


def later_snapshot(steps: NDArray[np.int64], dt: int) -> NDArray[np.int64]:
    """Index of the snapshot exactly `dt` steps after each, or −1 where there is none.

    Args:
        steps: (snapshot,), strictly increasing.
        dt: steps, at least 1.

    Raises:
        MetricError: steps that do not increase, or dt below 1.
    """
    check_dt(dt)
    if steps.dtype.kind in "iu":
        steps = steps.astype(np.int64)  # 250 + 6 is 0 in uint8, and 5 − 6 above 0
    if steps.dtype.kind not in "iuf":
        remedy = "give the step of each snapshot"
        raise MetricError(f"steps of dtype {steps.dtype}", where="steps", remedy=remedy)
    if steps.ndim != 1 or not np.all(np.diff(steps) > 0):
        remedy = "give the step of each snapshot, each once and in order"
        raise MetricError("the steps do not increase", where="steps", remedy=remedy)
    place = np.searchsorted(steps, steps + dt)
    found = steps[np.minimum(place, len(steps) - 1)] == steps + dt
    return np.where(found, place, NONE)


def check_dt(dt: int) -> None:
    """Refuse steps ahead that are none.

    Raises:
        MetricError: dt below 1.
    """
    if not isinstance(dt, Integral) or dt < 1:
        raise MetricError(
            f"dt counts steps ahead, so it is at least 1, not {dt!r}",
            where="dt",
            remedy="give dt=1",
        )


def velocity(
    kernels: Any, steps: Any, dt: int = 1, outputs: int = 1, centring: Centring = "centred"
) -> FloatArray:
    """Velocity at each snapshot, per step; NaN where no snapshot follows at exactly t + dt.

    Args:
        kernels: (snapshot, …, N·K, N·K), of NumPy, torch or xarray, as they are; xarray's axis
            `snapshot` may be elsewhere, as in a store's (seed, snapshot, …).
        steps: (snapshot,), strictly increasing.
        dt: steps, at least 1.
        outputs: K of a full NTK, else 1.
        centring: which 1 − CKA is S, as in `centring.normalise`.

    Returns:
        (snapshot, …), float64.

    Raises:
        MetricError: another number of steps than kernels, or kernels that CKA does not take.

    Example:
        >>> import numpy as np, ntkscope
        >>> x = np.random.default_rng(0).standard_normal((3, 10, 4))
        >>> kernels = x @ x.transpose(0, 2, 1)  # of steps 0, 1 and 5
        >>> found = ntkscope.velocity(kernels, [0, 1, 5])
        >>> bool(np.isclose(found[0], ntkscope.cka_distance(kernels[0], kernels[1])))
        True
        >>> np.isnan(found).tolist()  # no snapshot is one step after 1, none after 5
        [False, True, True]
    """
    steps = as_array(steps)
    directions = normalise(moved(kernels, "snapshot", 0), centring, outputs)
    if directions.ndim < 3 or steps.shape != directions.shape[:1]:
        raise MetricError(
            f"steps of shape {steps.shape} for kernels of shape {directions.shape}",
            where="kernels, steps",
            remedy="give (snapshot, …, N, N) and (snapshot,)",
        )
    speeds = np.full(directions.shape[:-2], np.nan)
    for now, later in enumerate(later_snapshot(steps, dt)):
        if later != NONE:
            speeds[now] = distance(directions[now], directions[later]) / dt
    return speeds
