"""Many tasks: velocity and norm over all of them, and whether effects accumulate or decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.curves import draw_band
from ntkscope.figures.panels import Effect, Look, Point, every_point, lost_in_words, name_of
from ntkscope.figures.reactivation.laws import legend_over
from ntkscope.figures.style import BOUNDARY_DOTS, TWIN
from ntkscope.fits import results_of

ANALYSIS = {
    "may_have": "variant",
    "roles": "five_by_two ten_by_one relabelled",
    "laws": [
        {
            "along": "boundary",
            "of": "spike norm_drop distance checkmark log_velocity forgetting",
            "statistics": "slope kendall_tau",
        },
    ],
}

METRICS = (panels.VELOCITY, panels.NORM)
EFFECTS = (panels.SPIKE, panels.BOUNDARY_VELOCITY, panels.NORM_DROP, panels.MOVED)


def draw(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): any axes, a column each point."""
    points = every_point(metrics, fits)
    looks = [panels.regime_look(number % 6, line="none") for number in range(len(points))]
    shapes = [(len(METRICS), len(points)), (1, len(EFFECTS))]
    figure, (above, below) = panels.new_blocks(style, shapes, 0.7, [])
    for point, look, column in zip(points, looks, above.T, strict=True):
        column[0].set_title(", ".join(name_of(point, points, points, labels)))
        for metric, axes in zip(METRICS, column, strict=True):
            _draw_tasks(axes, point.metrics, metric, look, fits.attrs)
    panels.finish_lines(above, METRICS, 10**9, "training step")
    for effect, axes in zip(EFFECTS, below[0], strict=True):
        _draw_effect(axes, points, looks, fits, effect)
    panels.letter(above, below)
    names = [", ".join([*name_of(p, points, points, labels), *lost_in_words(p)]) for p in points]
    handles = [panels.point_handle(*named) for named in zip(names, looks, strict=True)]
    panels.legend_above(figure, [*panels.context_handles(), *handles])
    return figure


def _draw_tasks(
    axes: Axes, cell: xr.Dataset, metric: panels.Metric, look: Look, attrs: Mapping[str, float]
) -> None:
    """A metric over the whole stream, its boundaries marked."""
    x = panels.steps_from_boundary(cell)
    edges = cell["boundary_step"].values
    first = edges[0]
    for arm, colour, band in (("twin", TWIN, None), ("shift", look.colour, attrs["confidence"])):
        values = panels.trajectory(cell, arm, metric, int(attrs["window"]))
        shown = x >= (0 if arm == "twin" else -np.inf)
        draw_band(
            axes, x[shown] + first, values[:, shown], band, metric.log, colour, bounds=metric.bounds
        )
    axes.set_yscale("log" if metric.log else "linear")
    axes.set_xlim(0, x.max() + first)
    for edge in edges[edges >= 0]:
        axes.axvline(edge, color="0.2", linewidth=0.5, linestyle=BOUNDARY_DOTS, zorder=0)


def _draw_effect(
    axes: Axes,
    points: Sequence[Point],
    looks: Sequence[Look],
    fits: xr.Dataset,
    effect: Effect,
) -> None:
    """An effect against the number of the boundary, with its slope."""
    results, texts = results_of(fits), []
    boundaries = [
        every_point(fits, fits.isel(boundary=[number])) for number in range(fits.sizes["boundary"])
    ]
    for number, (point, look) in enumerate(zip(points, looks, strict=True)):
        cells = [found[number].fits for found in boundaries]
        x = np.arange(1.0, 1 + len(cells)) + 0.08 * number
        panels.draw_effect(axes, x, cells, effect, look, int(fits.attrs["window"]))
        what = ("slope", effect.quantity, "boundary")
        texts.append(panels.result_text(results, *what, point.at))
    if effect is panels.BOUNDARY_VELOCITY:
        axes.set_yscale("log")
    else:
        panels.finish_effect(axes, effect)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("boundary")
    unit = "log slope" if effect.ratio else "slope"
    panels.text_legend(axes, looks, texts, f"{unit} per boundary")
    legend_over(axes)
