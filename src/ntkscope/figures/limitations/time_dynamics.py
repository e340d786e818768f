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
from ntkscope.figures.limitations.drawing import Drawn
from ntkscope.figures.limitations.looks import NETWORK, initial_looks, looks_of_series, name_of
from ntkscope.figures.limitations.reading import Part, parts_of, together
from ntkscope.figures.limitations.room import make_room
from ntkscope.figures.panels import Look
from ntkscope.figures.style import TWIN

ANALYSIS = {"of": "curves"}

FEW = 4
"""How many K^t are drawn over n."""


def draw(
    curves: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure.

    Args:
        curves: kind `learning_curves`, a row of panels each part.
        fits: kind `curve_fits` of the same.
        style: sizes and palette.
        labels: part → name as printed.
    """
    parts = together(parts_of(curves, fits, labels))
    figure, grids = drawing.new_page(style, [drawing.shape_of(style, 3)] * len(parts))
    drawn: list[Drawn] = []
    initial = initial_looks(parts)
    lettered: list[Axes] = []
    groups: list[list[Axes]] = []
    for part, grid in zip(parts, grids, strict=True):
        row = drawing.blank_rest(grid, 3)
        drawn += kernels_along.draw_over_steps(row[0], part, initial)
        _draw_steps(row[1], part, fits)
        drawn += _draw_scaling(row[2], part, style.palette, initial)
        groups += drawing.share_errors([row[0], row[2]], [part] * 2)
        lettered += row
        if len(parts) > 1:
            drawing.title_panel(row[0], part.name, row[0].get_title())
    drawing.letter(lettered)
    drawing.legend(figure, style, [*drawing.handles_of(drawn), *drawing.context_handles()])
    make_room(figure, groups)
    return figure


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


def _draw_scaling(axes: Axes, part: Part, palette: str, initial: Mapping[int, Look]) -> list[Drawn]:
    """K^t of several t over n, on fresh samples where there are some, and the network."""
    kernels = part.of("during", fit="fresh") or part.of("during", fit="own")
    chosen = drawing.some_of(kernels, FEW)
    looks = looks_of_series(palette, len(chosen))
    drawn = [
        *(Drawn(each, NETWORK, "network") for each in part.networks),
        *kernels_along.initial_of(part, initial),
        *(Drawn(c, look, name_of(c)) for c, look in zip(chosen, looks, strict=True)),
    ]
    drawing.draw_over_samples(axes, part, drawn)
    drawing.title_panel(axes, "regressions over n")
    return drawn
