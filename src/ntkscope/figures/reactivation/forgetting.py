"""Forgetting against the norm's drop: how far does one predict the other?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ntkscope.figures import panels
from ntkscope.figures.panels import (
    FloatArray,
    Look,
    Point,
    every_point,
    in_words,
    series_of,
    words_of,
)
from ntkscope.figures.style import REGIME_COLOURS, REGIME_MARKERS, colours_along
from ntkscope.fits import results_of
from ntkscope.fits.forgetting_prediction import BETWEEN, WITHIN

_MARKERS = (*REGIME_MARKERS, "X", "<", ">", "*")
_DOTS = {"linestyle": "none", "markersize": 2.6, "alpha": 0.85}
_LINES = 7
_PAIR = ["norm_drop", "forgetting"]


def draw_forgetting(
    row: Sequence[Axes] | panels.PanelGrid,
    points: Sequence[Point],
    fits: xr.Dataset,
    palette: str,
    labels: Mapping[str, str],
) -> None:
    """Draw the points; beside them, what their looks mean, and the correlations.

    Args:
        row: two panels, of which the second gives its place to the legend.
        points: as from `every_point`.
        fits: kind `fits` of the same.
        palette: of the numbers that are swept.
        labels: regime → name as printed.
    """
    axes, beside = row
    for look, run in zip(_looks(points, palette), runs_of(fits), strict=True):
        axes.plot(*run, **look.drawing | _DOTS)
    axes.set_xlabel("norm drop (minus twin's)")
    axes.set_ylabel("forgetting\n(accuracy, minus twin's)")
    beside.remove()
    _explain(axes, _handles(points, palette, labels), fits)


def _looks(points: Sequence[Point], palette: str) -> list[Look]:
    """A marker for what points share in words, a colour for the number that is swept."""
    axis, colours = _colours(points, palette)
    kinds = list(series_of(points))
    looks = [_look(kinds.index(words_of(point)), len(kinds), bool(colours)) for point in points]
    return [
        replace(look, colour=colours.get(point.at.get(axis), look.colour))
        for point, look in zip(points, looks, strict=True)
    ]


def _handles(points: Sequence[Point], palette: str, labels: Mapping[str, str]) -> list[Line2D]:
    axis, colours = _colours(points, palette)
    handles = [
        panels.point_handle(in_words(axis, number, labels), Look(colour, line="none"))
        for number, colour in colours.items()
    ]
    kinds = series_of(points)
    for number, words in enumerate(kinds if len(kinds) > 1 else ()):
        name = ", ".join(_told(words, kinds, labels))
        handles.append(panels.point_handle(name, _look(number, len(kinds), bool(colours))))
    return handles


def _colours(points: Sequence[Point], palette: str) -> tuple[str, dict[Any, Any]]:
    """The numeric axis with most values in a series, and a colour for each if there are several."""
    varies = {
        axis: len(panels.values_of(series, axis))
        for series in series_of(points).values()
        for axis, value in series[0].at.items()
        if not isinstance(value, str)
    }
    axis = max(varies, key=lambda name: varies[name])
    values = panels.values_of(points, axis) if varies[axis] > 1 else []
    return axis, colours_along(axis, values, palette)


def _look(number: int, count: int, plain: bool) -> Look:
    """Of a kind of runs, by its place; in grey where colours say something else, or it is alone."""
    colour = "0.3" if plain or count == 1 else REGIME_COLOURS[number % len(REGIME_COLOURS)]
    return Look(colour, _MARKERS[number % len(_MARKERS)], "none", number < len(_MARKERS))


def _told(
    words: tuple[tuple[str, str], ...],
    kinds: Iterable[tuple[tuple[str, str], ...]],
    labels: Mapping[str, str],
) -> list[str]:
    """Those of a kind's words in which kinds differ."""
    return [
        in_words(axis, word, labels)
        for axis, word in words
        if len({dict(other).get(axis) for other in kinds}) > 1
    ]


def _explain(axes: Axes, handles: Sequence[Line2D], fits: xr.Dataset) -> None:
    size = plt.rcParams["xtick.labelsize"]
    axes.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(1.04, 1.0),
        title="\n".join(correlations_in_words(fits)),
        title_fontsize=size,
        alignment="left",
        ncols=-(-len(handles) // _LINES),
        borderaxespad=0,
        borderpad=0,
        handlelength=0.8,
        fontsize=size,
        frameon=False,
    ).set_in_layout(False)


def correlations_in_words(fits: xr.Dataset) -> list[str]:
    """A heading; correlations of drop and forgetting between runs and within runs, if asked."""
    head = f"correlation and its {100 * float(fits.attrs['confidence']):g}% interval"
    results = results_of(fits)
    found = {row["against"]: row for _, row in results.iterrows() if row["quantity"] == _PAIR[1]}
    if BETWEEN not in found:
        return [head, "not computed, as its test samples have all classes alike"]
    between, within = found[BETWEEN], found[WITHIN]
    return [
        head,
        f"between {between['n']} runs: {_interval(between)}",
        f"within runs: {_interval(within)}",
    ]


def _interval(found: pd.Series[Any]) -> str:
    if not np.isfinite(found["estimate"]):
        return "none"
    ends = f"{found['estimate']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
    return ends.replace("-", "−")


def runs_of(fits: xr.Dataset) -> list[FloatArray]:
    """Norm drop and forgetting of each point's seeds, (2, seed), its boundaries averaged.

    Args:
        fits: of kind `fits`; the points are in the order of `every_point`.
    """
    boundaries = [
        every_point(fits, fits.isel(boundary=[number])) for number in range(fits.sizes["boundary"])
    ]
    values = np.asarray(
        [[p.fits["per_seed"].sel(quantity=_PAIR).values for p in points] for points in boundaries]
    )
    there = np.asarray(
        [[int(p.fits["boundary_step"]) >= 0 for p in points] for points in boundaries]
    )
    total = np.where(there[..., None, None], values, 0.0).sum(axis=0)
    return list(total / there.sum(axis=0)[:, None, None])
