"""Kernels along the training of their network: over its samples m, or its steps t."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ntkscope.figures.limitations.reading import Curve, Part, at_samples
from ntkscope.statistics.paired import FloatArray

Ends = tuple[FloatArray, FloatArray, FloatArray]
"""Estimates and both ends of their intervals, (point,)."""


@dataclass(frozen=True)
class Series:
    """Errors at one number of samples along an axis.

    Attributes:
        x: (point,), width, m or t.
        error: means with intervals.
        n: samples.
    """

    x: FloatArray
    error: Ends
    n: int


def along(curves: Sequence[Curve], axis: str, n: int) -> Series | None:
    """Errors at n of curves that differ along an axis, such as `step`; None without any."""
    curves = [each for each in curves if n in each.n]
    if not curves:
        return None
    x = np.asarray([each.at[axis] for each in curves], np.float64)
    ends = np.asarray([at_samples(each, n) for each in curves]).T
    return Series(x, (ends[0], ends[1], ends[2]), n)


def changes(fits: xr.Dataset, kind: str, part: Part, curve: str, fit: str) -> xr.Dataset:
    """The changes of a kind (`fits.limitations.changes`) of a part's curves, along `change`.

    Of parts that are drawn together, those of the one that has most.

    Args:
        fits: kind `curve_fits`.
        kind: such as `step`.
        part: whose curves.
        curve, fit: of the curves.
    """
    wanted = {"kind": kind, "curve": curve, "fit": fit}
    there = [fits[f"change_{name}"].values == value for name, value in wanted.items()]
    found = fits.isel(change=np.logical_and.reduce(there))
    parts = [found.isel(change=found["change_part"].values == key) for key in part.keys]
    return max(parts, key=lambda some: int(some.sizes["change"]))


def over_m(part: Part, fits: xr.Dataset) -> tuple[Series | None, tuple[float, float, float]]:
    """K^F_m over m at few fresh samples, and its exponent in m with its interval; NaN without."""
    curves = part.of("after", fit="fresh")
    slope = changes(fits, "trained_on slope", part, "after", "fresh")
    if not slope.sizes["change"]:
        least = min((int(n) for each in curves for n in each.n), default=0)
        return along(curves, "trained_on", least), (np.nan, np.nan, np.nan)
    found = along(curves, "trained_on", int(slope["change_samples"].values[0]))
    middle, low, high = (float(end[0]) for end in ends_of(slope))
    return found, (middle, low, high)


def ends_of(some: xr.Dataset) -> Ends:
    """Estimates and ends of changes."""
    low, high = (np.asarray(some[f"change_{end}"].values, np.float64) for end in ("low", "high"))
    return np.asarray(some["change_estimate"].values, np.float64), low, high
