"""Room for the exponents that are written in a panel: below its curves, which fall to the right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ntkscope.figures.panels import Look
from ntkscope.statistics.paired import FloatArray

PAD = 0.05
"""Of a panel's height, between what is written and the curves."""


def write_values(
    axes: Axes, looks: Sequence[Look], texts: Sequence[str], title: str, columns: int = 1
) -> None:
    """Numbers beside the markers of their curves, in the panel's lower left corner.

    Args:
        axes: the panel.
        looks, texts: of the curves.
        title: what the numbers are.
        columns: of numbers.
    """
    size = plt.rcParams["xtick.labelsize"]
    handles = [
        Line2D([], [], **look.drawing | {"linestyle": "none"}, markersize=3, label=text)
        for look, text in zip(looks, texts, strict=True)
    ]
    if not handles:
        return
    legend = axes.legend(
        handles=handles,
        labelcolor="0.15",  # pale colours are no good for letters
        fontsize=size,
        title=title,
        title_fontsize=size,
        loc="lower left",
        alignment="left",
        handlelength=0.8,
        handletextpad=0.3,
        labelspacing=0.15,
        borderpad=0.1,
        borderaxespad=0.3,
        frameon=False,
        ncols=columns,
        columnspacing=0.8,
    )
    legend.set_zorder(4)


def make_room(figure: Figure, groups: Sequence[Sequence[Axes]] = ()) -> None:
    """Lower the bottom of every panel whose written values lie on its curves.

    Args:
        figure: drawn.
        groups: panels of one scale, which stay so.
    """
    figure.draw_without_rendering()
    single = [[each] for each in figure.axes if not any(each in group for group in groups)]
    for group in [*groups, *single]:
        lowered = max((_lacking(axes) for axes in group), default=0.0)
        for axes in group if lowered > 0 else ():
            _lower(axes, lowered)
    for axes in figure.axes:
        if _lacking(axes) > PAD / 2:  # an interval goes below the panel, however low that is
            _back(axes)


def _back(axes: Axes) -> None:
    """White behind what is written, so that it is read on intervals too."""
    legend = axes.get_legend()
    if legend is not None:
        legend.set_frame_on(True)
        legend.get_frame().set(facecolor="white", linewidth=0, alpha=0.8)


def _lower(axes: Axes, by: float) -> None:
    """Lower the bottom by so many of the panel's heights."""
    corner = axes.transAxes.transform((0.0, -by))
    axes.set_ylim(bottom=float(axes.transData.inverted().transform(corner)[1]))


def _lacking(axes: Axes) -> float:
    """How many of its heights a panel lacks for what is written in it."""
    legend = axes.get_legend()
    if legend is None:
        return 0.0
    box = legend.get_window_extent().transformed(axes.transAxes.inverted())
    lowest = min((_lowest(path, box.x1 + PAD) for path in _paths(axes)), default=1.0)
    top = min(box.y1 + PAD, 0.8)
    return float(max(0.0, (top - lowest) / (1 - top)))


def _paths(axes: Axes) -> list[FloatArray]:
    """Curves and intervals in fractions of the panel, (point, 2), those across it left out."""
    to_panel = axes.transData - axes.transAxes
    lines = [line for line in axes.lines if line.get_transform() == axes.transData]
    found = [np.asarray(line.get_xydata()) for line in lines]
    for bars in (each for each in axes.collections if isinstance(each, LineCollection)):
        found += list(bars.get_segments())
    paths = [np.asarray(to_panel.transform(path), float) for path in found if len(path)]
    return [path[np.isfinite(path).all(axis=1)] for path in paths]


def _lowest(path: FloatArray, right: float) -> float:
    """The lowest place of a path left of a place."""
    if not len(path):
        return 1.0
    x, y = path[:, 0], np.maximum(path[:, 1], 0.0)  # what goes below the panel does so anyway
    inside = y[x <= right]
    crossing = x.min() < right < x.max() and bool((np.diff(x) > 0).all())
    return float(min([*inside, *([np.interp(right, x, y)] if crossing else [])], default=1.0))
