"""Steps per task: trajectories by their number, and whether the checkmark needs a long task."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.fits import results_of

ANALYSIS = {
    "needs": "steps",
    "laws": [
        {
            "along": "steps",
            "log": True,
            "of": "spike norm_drop distance checkmark minimum_step recovery forgetting",
            "statistics": "slope kendall_tau",
        },
        {
            "along": "steps",
            "log": True,
            "of": "half_recovery_step recovery_step",
            "statistics": "kendall_tau",
        },
    ],
}

METRICS = (panels.VELOCITY, panels.NORM)
EFFECTS = (panels.SPIKE, panels.NORM_DROP, panels.CHECKMARK, panels.RECOVERY)


def draw(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): axes regime and steps."""
    points = panels.points_of(metrics, fits)
    regimes = panels.values_of(points, "regime")
    shape = len(METRICS), len(regimes)
    figure, (left, right) = panels.lines_and_effects(style, shape, 2, 0.52, 2 / len(regimes))
    columns = {labels.get(r, r): panels.where(points, regime=r) for r in regimes}
    colours = panels.draw_columns(left, columns, METRICS, "steps", style.palette, fits.attrs)
    _effects(right, points, regimes, fits)
    panels.letter(left, right)
    lines = [panels.line_handle(f"{length:g}", colour) for length, colour in colours.items()]
    marks = [panels.point_handle(r, panels.regime_look(n)) for n, r in enumerate(regimes)]
    handles = [panels.heading("steps per task"), *lines, *panels.context_handles(), *marks]
    panels.legend_above(figure, handles)
    panels.make_room(figure)
    return figure


def _effects(
    grid: panels.PanelGrid, points: list[panels.Point], regimes: list[str], fits: xr.Dataset
) -> None:
    results, lengths = results_of(fits), sorted(panels.values_of(points, "steps"))
    looks = [panels.regime_look(number) for number in range(len(regimes))]
    for effect, axes in zip(EFFECTS, grid.flat, strict=True):
        texts = []
        for number, regime in enumerate(regimes):
            chosen = panels.where(points, regime=regime)
            aside = 0.06 * (number - (len(regimes) - 1) / 2)
            x = np.asarray([p.at["steps"] for p in chosen]) * np.exp(aside)
            cells = [p.fits for p in chosen]
            panels.draw_effect(axes, x, cells, effect, looks[number], int(fits.attrs["window"]))
            what = ("slope", effect.quantity, "log steps")
            texts.append(panels.result_text(results, *what, {"regime": regime}))
        panels.ticks_at(axes, lengths, base=2)
        panels.finish_effect(axes, effect)
        panels.text_legend(
            axes, looks, texts, "exponent of steps" if effect.ratio else "slope in log steps"
        )
        panels.mark_left_out(axes, [p.at["steps"] for p in points], points)
    for axes in grid[-1]:
        axes.set_xlabel("steps per task")
