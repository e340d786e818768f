"""Seeds that fail: diverged (no longer finite) or dead (a kernel that no longer varies)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NEVER = -1


def first_step(failed: NDArray[np.bool_], steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first step at which each seed failed, −1 if it never did.

    Args:
        failed: (seed, snapshot).
        steps: (snapshot,).

    Returns:
        (seed,), int64.
    """
    return np.where(failed.any(axis=1), steps[failed.argmax(axis=1)], NEVER)


def earliest(*firsts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The earliest of several first steps of (seed,), where −1 means never."""
    stacked = np.stack(firsts)
    late = np.iinfo(np.int64).max
    found = np.where(stacked == NEVER, late, stacked).min(axis=0)
    return np.where(found == late, NEVER, found)


def blank(curve: NDArray[Any], since: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[Any]:
    """A curve (seed, snapshot, …) with NaN from each seed's step `since` (seed,) on; −1: never."""
    failed = (since[:, None] != NEVER) & (steps[None, :] >= since[:, None])
    return np.where(failed.reshape(*failed.shape, *(1,) * (curve.ndim - 2)), np.nan, curve)
