"""After-kernels: as good as their network on its own samples, better with m, yet slow in n.

Three panels a part: K_n(n), K^F_n(n) and the network over n; K^F_m at few samples over m; K_0, K_m
of fixed m and the network over n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.limitations import drawing, kernels_along
from ntkscope.figures.limitations.drawing import Drawn
from ntkscope.figures.limitations.looks import FRESH, NETWORK, OWN, initial_looks
from ntkscope.figures.limitations.reading import Curve, Part, at_samples, parts_of
from ntkscope.statistics.paired import FloatArray

ANALYSIS = {"of": "curves"}

DIAGONAL = replace(FRESH, marker="^", line=(0, (1, 1)))
"""Of kernels whose m is n: those of one n, over m, are `FRESH`."""


def draw(
    curves: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): a row of panels each part."""
    parts = parts_of(curves, fits, labels)
    initial = initial_looks(parts, style.palette)

    def draw_row(row: list[Axes], part: Part) -> drawing.Row:
        drawn = [
            *_draw_diagonal(row[0], part),
            *kernels_along.draw_over_m(row[1], part, fits),
            *kernels_along.draw_some(row[2], part, "after", initial),
        ]
        drawing.title_panel(row[2], "trained on m samples, m fixed")
        return drawn, row

    return drawing.draw_rows(style, parts, draw_row)


def _draw_diagonal(axes: Axes, part: Part) -> list[Drawn]:
    """The network trained on n samples and its after-kernel on n own, or n fresh, ones."""
    drawn = [Drawn(each, NETWORK, "network") for each in part.networks]
    for each in part.networks:
        drawing.draw_curve(axes, each, NETWORK)
    for fit, look, name in (("own", OWN, "$K_n(n)$"), ("fresh", DIAGONAL, "$K^F_n(n)$")):
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
