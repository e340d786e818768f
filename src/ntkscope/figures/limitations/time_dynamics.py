"""Kernels during training: when they improve, by which steps, and how they scale.

Panels of each part: K^t, the network and K_0 over t; what they gain from each step to the next,
paired by seed; K^t of several t, and the network, over n.
"""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.limitations import drawing, kernels_along
from ntkscope.figures.limitations.drawing import Drawn
from ntkscope.figures.limitations.looks import NETWORK, initial_looks, looks_of_series, name_of
from ntkscope.figures.limitations.reading import Part, parts_of
from ntkscope.figures.limitations.room import make_room
from ntkscope.figures.limitations.series import Series, steps_between
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
    parts = parts_of(curves, fits, labels)
    figure, grids = drawing.new_page(style, [drawing.shape_of(style, 3)] * len(parts))
    drawn: list[Drawn] = []
    initial = initial_looks(parts)
    lettered: list[Axes] = []
    groups: list[list[Axes]] = []
    for part, grid in zip(parts, grids, strict=True):
        row = drawing.blank_rest(grid, 3)
        drawn += kernels_along.draw_over_steps(row[0], part, initial)
        _draw_steps(row[1], part, float(fits.attrs["confidence"]))
        drawn += _draw_scaling(row[2], part, style.palette, initial)
        groups += drawing.share_errors([row[0], row[2]], [part] * 2)
        lettered += row
        if len(parts) > 1:
            drawing.title_panel(row[0], part.name, "during training")
    drawing.letter(lettered)
    drawing.legend(figure, style, [*drawing.handles_of(drawn), *drawing.context_handles()])
    make_room(figure, groups)
    return figure


def _draw_steps(axes: Axes, part: Part, confidence: float) -> None:
    """What network and kernel gain between snapshots; open where 0 is within the interval."""
    drawing.title_panel(axes, "gain from step to step")
    fresh, own, network = kernels_along.during(part)
    shown = [(network, NETWORK, 0.94), (fresh or own, kernels_along.OVER_STEPS, 1.06)]
    found = [each for each in shown if each[0] is not None and each[0].x.size > 1]
    for series, look, aside in found:
        assert series is not None
        _draw_gains(axes, series, look, aside, confidence)
    if not found:
        axes.set_xticks([])
        axes.set_yticks([])
        panels.say_empty(axes, "fewer than two steps")
        return
    axes.axhline(0, color=TWIN, linewidth=0.6, zorder=0)
    axes.set_ylabel("fall of the test error")
    steps = {float(x) for series, *_ in found if series is not None for x in series.x[1:]}
    drawing.samples_axis(axes, list(steps), "up to step t")


def _draw_gains(axes: Axes, series: Series, look: Look, aside: float, confidence: float) -> None:
    gain = steps_between(series, confidence)
    resolved = (gain.low > 0) | (gain.high < 0)
    drawing.draw_points(axes, series.x[1:] * aside, gain, look, resolved)


def _draw_scaling(axes: Axes, part: Part, palette: str, initial: Mapping[int, Look]) -> list[Drawn]:
    """K^t of several t over n, on fresh samples where there are some, and the network."""
    kernels = part.of("during", fit="fresh") or part.of("during", fit="own")
    chosen = drawing.spread([each for each in kernels if each.n.size > 1], FEW)
    looks = looks_of_series(palette, len(chosen))
    drawn = [
        *(Drawn(each, NETWORK, "network") for each in part.networks),
        *kernels_along.initial_of(part, initial),
        *(Drawn(c, look, name_of(c)) for c, look in zip(chosen, looks, strict=True)),
    ]
    drawing.draw_over_samples(axes, part, drawn)
    drawing.title_panel(axes, "regressions over n")
    return drawn
