"""After-kernels: as good as their network on its own samples, better with m, yet slow in n.

Three panels a part: K_n(n), K^F_n(n) and the network over n; K^F_m at few samples over m; K_0, K_m
of fixed m and the network over n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.limitations import drawing, kernels_along
from ntkscope.figures.limitations.drawing import Drawn
from ntkscope.figures.limitations.looks import (
    FRESH,
    NETWORK,
    OWN,
    initial_looks,
    looks_of_series,
    name_of,
)
from ntkscope.figures.limitations.reading import Curve, Part, at_samples, parts_of
from ntkscope.figures.limitations.room import make_room
from ntkscope.figures.panels import Look
from ntkscope.statistics.paired import FloatArray

ANALYSIS = {"of": "curves"}

FEW = 4
"""How many K_m are drawn over n: of more, some between the least and the most m."""


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
    shape = drawing.shape_of(style, 3)
    figure, grids = drawing.new_page(style, [shape] * len(parts))
    drawn: list[Drawn] = []
    initial = initial_looks(parts)
    lettered: list[Axes] = []
    groups: list[list[Axes]] = []
    for part, grid in zip(parts, grids, strict=True):
        row = drawing.blank_rest(grid, 3)
        drawn += _draw_diagonal(row[0], part)
        drawn += kernels_along.draw_over_m(row[1], part, fits)
        drawn += _draw_fixed(row[2], part, style.palette, initial)
        groups += drawing.share_errors(row, [part] * 3)
        lettered += row
        if len(parts) > 1:
            drawing.title_panel(row[0], part.name, "trained on n samples")
    drawing.letter(lettered)
    drawing.legend(figure, style, [*drawing.handles_of(drawn), *drawing.context_handles()])
    make_room(figure, groups)
    return figure


def _draw_diagonal(axes: Axes, part: Part) -> list[Drawn]:
    """The network trained on n samples and its after-kernel on n own, or n fresh, ones."""
    drawn = [Drawn(each, NETWORK, "network") for each in part.networks]
    for each in part.networks:
        drawing.draw_curve(axes, each, NETWORK)
    for fit, look, name in (("own", OWN, "$K_n(n)$"), ("fresh", FRESH, "$K^F_n(n)$")):
        x, ends = diagonal(part.of("after", fit=fit))
        if x.size:
            drawing.draw_points(axes, x, ends, look)
            drawn.append(Drawn(part.of("after", fit=fit)[0], look, name))
    drawing.shade_range(axes, part.networks)
    drawing.samples_axis(axes, [n for each in part.networks for n in each.n], "n")
    drawing.error_axis(axes, part)
    drawing.title_panel(axes, "trained on n samples")
    return drawn


def diagonal(
    curves: Sequence[Curve],
) -> tuple[FloatArray, tuple[FloatArray, FloatArray, FloatArray]]:
    """Errors of each K_m at n = m: m, and means with intervals, (point,)."""
    there = [each for each in curves if each.at["trained_on"] in each.n]
    m = np.asarray([each.at["trained_on"] for each in there], np.float64)
    ends = np.asarray([at_samples(c, c.at["trained_on"]) for c in there]).reshape(len(there), 3)
    return m, (ends[:, 0], ends[:, 1], ends[:, 2])


def _draw_fixed(axes: Axes, part: Part, palette: str, initial: Mapping[int, Look]) -> list[Drawn]:
    """K_0 and K^F_m of fixed m (K_m where no fresh ones are) over n, beside the network."""
    after = part.of("after", fit="fresh") or part.of("after", fit="own")
    chosen = drawing.some_of(after, FEW)
    looks = looks_of_series(palette, len(chosen))
    drawn = [
        *(Drawn(each, NETWORK, "network") for each in part.networks),
        *kernels_along.initial_of(part, initial),
        *(Drawn(c, look, name_of(c)) for c, look in zip(chosen, looks, strict=True)),
    ]
    drawing.draw_over_samples(axes, part, drawn)
    drawing.title_panel(axes, "trained on m samples, m fixed")
    return drawn
