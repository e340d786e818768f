"""The points of a sweep: which there are, what tells them apart, whose seeds are left out.

A cell is one point of a sweep: a table of kind `experiment` without the sweep's axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ntkscope.figures.captions import point_in_words
from ntkscope.statistics.paired import FloatArray


@dataclass(frozen=True)
class Point:
    """A point of a sweep that has a run.

    Attributes:
        at: the axes that it has, and their values.
        metrics: its cell; fits: those of its first boundary, (quantity, …).
    """

    at: dict[str, Any]
    metrics: xr.Dataset
    fits: xr.Dataset


def role_of(point: Point) -> str:
    """The role that a point's variant plays in its analysis; empty where it plays none."""
    known = "variant_role" in point.metrics.coords
    return str(point.metrics["variant_role"].item()) if known else ""


def points_of(metrics: xr.Dataset, fits: xr.Dataset) -> list[Point]:
    """The points of a sweep in the order of the configuration, at its largest width."""
    axes = str(metrics.attrs["axes"]).split()
    widest = [int(np.argmax(metrics["width"].values))]
    metrics, fits = metrics.isel(width=widest), fits.isel(width=widest)
    there = metrics["present"].sel(arm="shift").transpose(*axes).values
    places = [dict(zip(axes, map(int, place), strict=True)) for place in np.argwhere(there)]
    return [
        Point(_values_at(metrics, place), metrics.isel(place), fits.isel(place | {"boundary": 0}))
        for place in places
    ]


def _values_at(data: xr.Dataset, place: Mapping[str, int]) -> dict[str, Any]:
    found = {axis: data[axis].values[number].item() for axis, number in place.items()}
    return {axis: value for axis, value in found.items() if str(value) not in ("nan", "null")}


def values_of(points: Iterable[Point], axis: str) -> list[Any]:
    """The values that points have along an axis, each once."""
    return list(dict.fromkeys(point.at[axis] for point in points if axis in point.at))


def where(points: Iterable[Point], **at: Any) -> list[Point]:
    """The points that have these values; None: those that lack the axis."""
    return [p for p in points if all(p.at.get(axis) == value for axis, value in at.items())]


def steps_from_boundary(cell: xr.Dataset) -> FloatArray:
    """Steps of the snapshots that there are, from the first boundary: (snapshot,)."""
    steps = np.asarray(cell["step"].values, float)
    return steps[steps >= 0] - int(cell["boundary_step"].values[0])


def usable(cell: xr.Dataset, arm: str) -> xr.Dataset:
    """One arm, NaN for every seed that diverged or whose kernel died in either arm."""
    return cell.sel(arm=arm).where(~_failed(cell))


def left_out(cell: xr.Dataset) -> int:
    """How many seeds `usable` leaves out."""
    return int(_failed(cell).sum())


def _failed(cell: xr.Dataset) -> xr.DataArray:
    return ((cell["diverged_step"] >= 0) | (cell["dead_step"] >= 0)).any("arm")


def every_point(metrics: xr.Dataset, fits: xr.Dataset) -> list[Point]:
    """The points of a sweep at each of its widths, those of a variant together.

    Args:
        metrics: kind `experiment`; fits: kind `fits` of the same, of which each point has the first
            boundary.
    """
    found = [
        point
        for number in np.argsort(metrics["width"].values)
        for point in points_of(metrics.isel(width=[number]), fits.isel(width=[number]))
    ]
    if "variant" not in metrics.dims:
        return found
    order = metrics["variant"].values.tolist()
    return sorted(found, key=lambda point: order.index(point.at["variant"]))


def words_of(point: Point) -> tuple[tuple[str, str], ...]:
    """The axes of a point that are no numbers, and its values."""
    return tuple(item for item in point.at.items() if isinstance(item[1], str))


def series_of(points: Sequence[Point]) -> dict[tuple[tuple[str, str], ...], list[Point]]:
    """Points that differ in numbers only, by the words that they share."""
    found: dict[tuple[tuple[str, str], ...], list[Point]] = {}
    for point in points:
        found.setdefault(words_of(point), []).append(point)
    return found


def name_of(
    point: Point, among: Sequence[Point], points: Sequence[Point], labels: Mapping[str, str]
) -> list[str]:
    """A point's values in words, of the axes that tell it from others.

    Args:
        point: one of `among`.
        among: points that words must tell apart.
        points: of the sweep; a number that varies in the point's series is told too.
        labels: regime → name as printed.
    """
    series = series_of(points)[words_of(point)]
    told = [
        axis
        for axis, value in point.at.items()
        if len(values_of(among if isinstance(value, str) else series, axis)) > 1
    ]
    return [in_words(axis, point.at[axis], labels) for axis in told or ["regime"]]


def in_words(axis: str, value: Any, labels: Mapping[str, str]) -> str:
    """A value of an axis; a regime by its label."""
    printed = labels.get(value, value) if axis == "regime" else f"{value}"
    return point_in_words(axis, printed if isinstance(value, str) else f"{value:g}")


def lost_in_words(point: Point) -> list[str]:
    """A line that says how many seeds diverged or died, where any did."""
    lost = left_out(point.metrics)
    return [f"{lost} of {point.metrics.sizes['seed']} seeds left out"] if lost else []
