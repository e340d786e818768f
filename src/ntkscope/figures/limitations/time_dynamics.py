"""Kernels during training: when they improve, by which steps, and how they scale.

Panels of each part: K^t, the network and K_0 over t; how they change from each step to the next,
paired by seed; K^t of several t, and the network, over n.
"""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.limitations import drawing, kernels_along, series
from ntkscope.figures.limitations.looks import NETWORK, initial_looks
from ntkscope.figures.limitations.reading import Part, parts_of, together
from ntkscope.figures.panels import Look
from ntkscope.figures.style import TWIN

ANALYSIS = {"of": "curves"}


def draw(
    curves: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): a row of panels each part."""
    parts = together(parts_of(curves, fits, labels))
    initial = initial_looks(parts, style.palette)

    def draw_row(row: list[Axes], part: Part) -> drawing.Row:
        drawn = kernels_along.draw_over_steps(row[0], part, initial)
        _draw_steps(row[1], part, fits)
        drawn += kernels_along.draw_some(row[2], part, "during", initial)
        drawing.title_panel(row[2], "regressions over n")
        return drawn, [row[0], row[2]]

    return drawing.draw_rows(style, parts, draw_row)


def _draw_steps(axes: Axes, part: Part, fits: xr.Dataset) -> None:
    """How errors change from snapshot to snapshot; open where 0 is within the interval."""
    drawing.title_panel(axes, "from step to step")
    fit = "fresh" if part.of("during", fit="fresh") else "own"
    shown = [
        (series.changes(fits, "step", part, *of), look, aside)
        for of, look, aside in (
            (("network", ""), NETWORK, 0.94),
            (("during", fit), kernels_along.OVER_STEPS, 1.06),
        )
    ]
    steps: list[float] = []
    for some, look, aside in shown:
        if some.sizes["change"]:
            _draw_changes(axes, some, look, aside)
            steps += some["change_to"].values.tolist()
    if not steps:
        drawing.say_nothing(axes, "fewer than two steps")
        return
    axes.axhline(0, color=TWIN, linewidth=0.6, zorder=0)
    axes.set_ylabel("log ratio to the\nerror one step before")
    drawing.samples_axis(axes, steps, "up to step t")


def _draw_changes(axes: Axes, some: xr.Dataset, look: Look, aside: float) -> None:
    resolved = some["change_verdict"].values == "resolved"
    x = some["change_to"].values * aside
    drawing.draw_points(axes, x, series.ends_of(some), look, resolved)
