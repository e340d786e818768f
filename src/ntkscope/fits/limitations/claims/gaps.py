"""What claims of learning curves speak of and there is no error for: networks that all diverged.

No gap is a point at the floor, above the ceiling or outside the range of the fits, nor K_n of more
samples than its network was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

_OUTSIDE = "outside the range"
_AXES = {"after": ("trained_on", "m"), "during": ("step", "t")}


def failed(fits: xr.Dataset) -> NDArray[np.bool_]:
    """Points, (point,), that no seed has an error at, though one was to be had."""
    curve = fits["point_curve"].values
    m, n = fits["trained_on"].values[curve], fits["point_n"].values
    fewer = (fits["fit"].values[curve] == "own") & (m > 0) & (m < n)
    return np.asarray(np.isnan(fits["mean"].values) & ~fewer)


def gaps_of_fit(fits: xr.Dataset, curve: int, name: str) -> str:
    """The n of its range that a curve has no error at, in words."""
    points = (fits["point_curve"].values == curve) & (fits["point_reason"].values != _OUTSIDE)
    lost = fits["point_n"].values[points & failed(fits)]
    return f"{name} without data at n = {', '.join(map(str, lost))}" if len(lost) else ""


def gaps_along(fits: xr.Dataset, of: Mapping[str, Any], n: int, *, width: bool) -> str:
    """The m, steps or widths along which a change is and that have no error at n, in words.

    Args:
        fits: of the experiment.
        of: part, curve, fit and width of the change.
        n: samples of it.
        width: whether it is along width.
    """
    axis, name = ("width", "width") if width else _AXES.get(str(of["curve"]), ("", ""))
    if not axis:
        return ""
    same = ["part", "curve", "fit", *([] if width else ["width"])]
    rows = np.all([fits[key].values == of[key] for key in same], axis=0)
    points = rows[fits["point_curve"].values] & (fits["point_n"].values == n)
    at = fits[axis].values[fits["point_curve"].values]
    lost = np.unique(at[points & failed(fits)])
    every = len(np.unique(at[points]))
    listed = f"{name} {', '.join(map(str, lost))} (all seeds diverged)"
    return f"{len(lost)} of {every} without data: {listed}" if len(lost) else ""


def parts_without(fits: xr.Dataset, wanted: Mapping[str, Any], found: Sequence[str]) -> list[str]:
    """Parts that have such curves, no change of them, and a curve without any error."""
    keys = [key for key in ("part", "curve", "fit", "width") if key in wanted]
    rows = np.ones(fits.sizes["curve_row"], bool)
    for key in keys:
        values = wanted[key] if isinstance(wanted[key], tuple) else (wanted[key],)
        rows &= np.isin(fits[key].values, values)
    lost = failed(fits)
    empty = [
        row
        for row in np.flatnonzero(rows)
        if lost[fits["point_curve"].values == row].all() and fits["part"].values[row] not in found
    ]
    return list(dict.fromkeys(str(fits["part"].values[row]) for row in empty))
