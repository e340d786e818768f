"""The figure of runs of one's own: the paper's, or of a single width a line for each name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.panels import Effect
from ntkscope.figures.reactivation import reactivation
from ntkscope.figures.style import REGIME_COLOURS, label_log_axes, looks, printable
from ntkscope.stores import atomic


def plot_comparison(
    metrics: xr.Dataset, fits: xr.Dataset, path: str | Path | None = None, **style: Any
) -> Figure:
    """Draw an experiment, and write it where a path is given.

    Args:
        metrics: table of kind `experiment`, axes regime and width; fits: kind `fits` of it.
        path: `.pdf`, `.png` or `.svg`; None: none.
        style: of `FigureStyle`.
    """
    figure_style = FigureStyle.model_validate(style)
    names = {str(name): printable(str(name)) for name in metrics["regime"].values}
    several = metrics.sizes["width"] > 1
    with looks(figure_style):
        figure = (reactivation.draw if several else draw_names)(metrics, fits, figure_style, names)
        label_log_axes(figure)
        figure.draw_without_rendering()
        plt.close(figure)
        if path is not None:
            with atomic(path) as partial:
                figure.savefig(partial, dpi=figure_style.dpi)
    return figure


def draw_names(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Each metric around the first boundary, a line a name, and its effect, a point a name."""
    names = [str(name) for name in metrics["regime"].values]
    looks = [panels.regime_look(number % len(REGIME_COLOURS)) for number in range(len(names))]
    paired = bool(metrics["present"].sel(arm="twin").any())
    figure, grid = panels.new_grid(style, len(reactivation.ROWS), 2, 0.95, width_ratios=[1.6, 1.0])
    cells = [metrics.sel(regime=name).isel(width=0) for name in names]
    drawn = [(cell, look.colour) for cell, look in zip(cells, looks, strict=True)]
    window, confidence = int(fits.attrs["window"]), float(fits.attrs["confidence"])
    for (metric, effect), (left, right) in zip(reactivation.ROWS, grid, strict=True):
        panels.draw_trajectories(left, drawn, metric, window, confidence)
        panels.say_left_out(
            left,
            [(labels[n], panels.left_out(cell)) for n, cell in zip(names, cells, strict=True)],
        )
        panels.share_limits([left], metric, window)
        _draw_effects(right, fits, effect, names, looks, window)
        if not paired:
            right.set_yscale("linear")
            panels.say_empty(right, "needs twins")
    for axes in grid[:-1].flat:
        axes.tick_params(labelbottom=False)
    grid[-1, 0].set_xlabel("steps from the boundary")
    lines = [panels.line_handle(labels[n], k.colour) for n, k in zip(names, looks, strict=True)]
    context = panels.context_handles()
    panels.legend_above(figure, [*lines, *(context if paired else context[1:])])
    panels.letter(grid)
    return figure


def _draw_effects(
    axes: Axes,
    fits: xr.Dataset,
    effect: Effect,
    names: Sequence[str],
    looks: Sequence[panels.Look],
    window: int,
) -> None:
    first = fits.isel(boundary=0, width=0)
    for place, (name, look) in enumerate(zip(names, looks, strict=True)):
        panels.draw_effect(axes, [place], [first.sel(regime=name)], effect, look, window)
    panels.finish_effect(axes, effect)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xticks(np.arange(len(names)), names, rotation=30 if len("".join(names)) > 24 else 0)
