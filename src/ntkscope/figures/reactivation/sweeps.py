"""All points of a sweep that has gaps: of which variants have their own axes and widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ntkscope.figures import panels
from ntkscope.figures.captions import point_in_words
from ntkscope.figures.panels import Point


def every_point(metrics: xr.Dataset, fits: xr.Dataset) -> list[Point]:
    """The points of a sweep at each of its widths, those of a variant together.

    Args:
        metrics: kind `experiment`; fits: kind `fits` of the same, of which each point has the first
            boundary.
    """
    found = [
        point
        for number in np.argsort(metrics["width"].values)
        for point in panels.points_of(metrics.isel(width=[number]), fits.isel(width=[number]))
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
        if len(panels.values_of(among if isinstance(value, str) else series, axis)) > 1
    ]
    return [in_words(axis, point.at[axis], labels) for axis in told or ["regime"]]


def in_words(axis: str, value: Any, labels: Mapping[str, str]) -> str:
    """A value of an axis; a regime by its label."""
    said = labels.get(value, value) if axis == "regime" else f"{value}"
    return point_in_words(axis, said if isinstance(value, str) else f"{value:g}")


def lost_in_words(point: Point) -> list[str]:
    """A line that says how many seeds diverged or died, where any did."""
    lost = panels.left_out(point.metrics)
    return [f"{lost} of {point.metrics.sizes['seed']} seeds left out"] if lost else []
