"""Forest plots: an effect with its interval in each row, a panel an effect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ntkscope.figures import panels
from ntkscope.figures.panels import Effect, Look
from ntkscope.figures.style import TWIN


def draw_forest(
    row: Sequence[Axes] | panels.PanelGrid,
    names: Sequence[str],
    cells: Sequence[xr.Dataset],
    effects: Sequence[Effect],
    looks: Sequence[Look],
    window: int,
) -> None:
    """Draw a panel for each effect, first row on top; only the first panel names the rows.

    Args:
        row: the panels.
        names: of the rows.
        cells: the fits of each row, (quantity, …).
        effects: what is drawn; looks: of the rows.
        window: steps, for the labels.
    """
    for axes, effect in zip(row, effects, strict=True):
        ends = zip(*panels.effect_ends(cells, effect), strict=True)
        for place, ((middle, low, high), look) in enumerate(zip(ends, looks, strict=True)):
            draw_interval(axes, place, (middle, low, high), look)
        if effect.ratio:
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.axvline(1.0 if effect.ratio else 0.0, color=TWIN, linewidth=0.6, zorder=0)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_yticks(range(len(names)), list(names) if axes is row[0] else [])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(effect.label.format(window=window))


def draw_interval(axes: Axes, place: float, ends: tuple[float, float, float], look: Look) -> None:
    """An estimate with the ends of its interval, at a height; nothing where it is not known."""
    middle, low, high = ends
    if np.isfinite(middle):
        axes.errorbar(
            middle,
            place,
            xerr=np.nan_to_num([[middle - low], [high - middle]]),
            markersize=3,
            elinewidth=0.8,
            capsize=1.5,
            capthick=0.5,
            **look.drawing | {"linestyle": "none"},
        )
