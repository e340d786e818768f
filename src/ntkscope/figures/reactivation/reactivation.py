"""Widths and regimes: four metrics around a boundary, and their effects against width.

Rows: velocity, norm, distance, alignment. Columns: a regime each, a line a width, twins in grey;
last: the row's effect against width, paired with the twins, with its exponent.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.panels import Effect
from ntkscope.figures.reactivation.laws import exponent
from ntkscope.figures.style import colours_along

ANALYSIS = {"regime_roles": True}

ROWS = (
    (panels.VELOCITY, panels.SPIKE),
    (panels.NORM, panels.NORM_DROP),
    (panels.DISTANCE, panels.MOVED),
    (panels.ALIGNMENT, panels.DEFLECTION),
)
"""Each row's metric and its effect."""


def draw(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): axes regime and width, the first boundary."""
    regimes, widths = [str(r) for r in metrics["regime"].values], metrics["width"].values.tolist()
    columns, window = len(regimes) + 1, int(fits.attrs["window"])
    ratios = [1.0] * (columns - 1) + [1.05]
    figure, grid = panels.new_grid(style, len(ROWS), columns, 0.86, width_ratios=ratios)
    colours = colours_along("width", widths, style.palette)
    for (metric, effect), axes_of_row in zip(ROWS, grid, strict=True):
        for regime, axes in zip(regimes, axes_of_row[:-1], strict=True):
            cells = [(metrics.sel(regime=regime, width=w), c) for w, c in colours.items()]
            panels.draw_trajectories(axes, cells, metric, window, fits.attrs["confidence"])
            panels.say_left_out(
                axes,
                [(f"width {cell['width'].item()}", panels.left_out(cell)) for cell, _ in cells],
            )
        panels.share_limits(axes_of_row[:-1], metric, window)
        _against_width(axes_of_row[-1], fits, effect, regimes)
    _titles(grid, regimes, labels)
    points = [
        panels.point_handle(labels.get(r, r), panels.regime_look(n)) for n, r in enumerate(regimes)
    ]
    lines = [panels.line_handle(str(width), colour) for width, colour in colours.items()]
    context = panels.context_handles()
    panels.legend_above(figure, [panels.heading("width"), *lines, *context, *points])
    figure.align_ylabels(grid[:, 0])
    figure.align_ylabels(grid[:, -1])
    panels.make_room(figure)
    return figure


def _against_width(axes: Axes, fits: xr.Dataset, effect: Effect, regimes: list[str]) -> None:
    first = fits.isel(boundary=0)
    widths = np.asarray(first["width"].values, float)
    nudge = 0.06 * (np.arange(len(regimes)) - (len(regimes) - 1) / 2)
    looks = [panels.regime_look(number) for number in range(len(regimes))]
    for regime, look, aside in zip(regimes, looks, nudge, strict=True):
        cells = [first.sel(regime=regime, width=width) for width in widths]
        panels.draw_effect(axes, widths * np.exp(aside), cells, effect, look, fits.attrs["window"])
    texts = [exponent(first.sel(regime=regime), effect.quantity) for regime in regimes]
    panels.ticks_at(axes, widths, base=2)
    positive = bool(first["estimate"].sel(quantity=effect.quantity).min() > 0)
    panels.finish_effect(axes, effect, log=positive and any(texts))
    panels.text_legend(axes, looks, texts, "exponent of width")


def _titles(grid: panels.PanelGrid, regimes: list[str], labels: Mapping[str, str]) -> None:
    for regime, axes in zip(regimes, grid[0, :-1], strict=True):
        axes.set_title(labels.get(regime, regime))
    for axes in grid[-1, :-1]:
        axes.set_xlabel("steps from the boundary")
    grid[-1, -1].set_xlabel("width")
    for axes in grid[:-1].flat:
        axes.tick_params(labelbottom=False)
    panels.letter(grid)
