"""Learning rates: trajectories by rate, and what grows, slows down or diverges with it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.captions import number_in_words
from ntkscope.figures.panels import Effect, Look, Point
from ntkscope.fits import results_of

ANALYSIS = {
    "needs": "learning_rate",
    "laws": [
        {
            "along": "learning_rate",
            "log": True,
            "of": "spike norm_drop distance checkmark minimum_step recovery forgetting",
            "statistics": "slope kendall_tau curvature",
        },
        {
            "along": "learning_rate",
            "log": True,
            "of": "half_recovery_step recovery_step",
            "statistics": "kendall_tau lowest_at",
        },
    ],
}

METRICS = (panels.VELOCITY, panels.NORM)
_RATE = "learning rate"
_OPEN = {"line": (0, (4, 1.5)), "filled": False}
_WORDS = {"kendall_tau": "Kendall's τ of", "lowest_at": "rate of the least"}
_TIME = "recovery\n(steps from the boundary)"
_HALF, _FULL = Effect("half_recovery_step", _TIME), Effect("recovery_step", _TIME)


def draw(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): axes regime and learning_rate."""
    points = panels.points_of(metrics, fits)
    regimes = panels.values_of(points, "regime")
    shape = len(METRICS), len(regimes)
    figure, (left, right) = panels.lines_and_effects(style, shape, 3, 0.52, 2.4 / len(regimes))
    columns = {labels.get(r, r): panels.where(points, regime=r) for r in regimes}
    axis = "learning_rate"
    colours = panels.draw_columns(left, columns, METRICS, axis, style.palette, fits.attrs)
    _effects(right, points, fits)
    panels.letter(left, right)
    lines = [panels.line_handle(f"{rate:g}", colour) for rate, colour in colours.items()]
    panels.legend_above(figure, [panels.heading(_RATE), *lines, *panels.context_handles()])
    panels.make_room(figure)
    return figure


def _effects(grid: panels.PanelGrid, points: list[Point], fits: xr.Dataset) -> None:
    (spike, drop, minimum), (times, reached, forgetting) = grid
    for number, regime in enumerate(panels.values_of(points, "regime")):
        chosen = panels.where(points, regime=regime)
        filled, unfilled = panels.regime_look(number), panels.regime_look(number, **_OPEN)
        panel = partial(_draw, points=chosen, window=int(fits.attrs["window"]))
        panel(spike, panels.SPIKE, filled)
        panel(drop, panels.NORM_DROP, filled)
        panel(drop, panels.CHECKMARK, unfilled)
        panel(minimum, panels.MINIMUM_STEP, filled)
        panel(forgetting, panels.FORGETTING, filled)
        for effect, look in ((_HALF, filled), (_FULL, unfilled)):
            _seeds(times, chosen, effect.quantity, look)
            panel(times, effect, look)
            _reached(reached, chosen, effect.quantity, look)
    panels.finish_effect(spike, panels.SPIKE)
    drop.set_ylabel("norm drop, checkmark\n(minus twin's)")
    looks = [panels.regime_look(0), panels.regime_look(0, **_OPEN)]
    panels.text_legend(drop, looks, ["norm drop", "checkmark"], "")
    panels.text_legend(times, looks, ["half", "full"], "")
    panels.text_legend(reached, looks, ["half", "full"], "")
    for axes in grid.flat:
        panels.ticks_at(axes, sorted(panels.values_of(points, "learning_rate")), base=10)
        panels.mark_left_out(axes, [p.at["learning_rate"] for p in points], points)
    for axes in (minimum, times, reached):
        axes.set_ylim(bottom=0)
    for axes in grid[-1]:
        axes.set_xlabel(_RATE)


def _draw(axes: Axes, effect: Effect, look: Look, points: list[Point], window: int) -> None:
    x = _places(points, look)
    panels.draw_effect(axes, x, [point.fits for point in points], effect, look, window)


def _places(points: list[Point], look: Look) -> panels.FloatArray:
    """Rates of the points, with open points a little aside: (point,)."""
    rates = np.asarray([point.at["learning_rate"] for point in points], float)
    return rates * (1.0 if look.filled else 1.07)


def _seeds(axes: Axes, points: list[Point], quantity: str, look: Look) -> None:
    """The time of each seed that gets there, where not all do and so there is no mean."""
    for place, point in zip(_places(points, look), points, strict=True):
        cell = point.fits.sel(quantity=quantity)
        if cell["censored"] > 0:
            seeds = cell["per_seed"].values[np.isfinite(cell["per_seed"].values)]
            drawing = look.drawing | {"linestyle": "none", "markersize": 2.0, "alpha": 0.6}
            axes.plot(np.full(len(seeds), place), seeds, **drawing)


def _reached(axes: Axes, points: list[Point], quantity: str, look: Look) -> None:
    """How many seeds get there within the task; nothing where all were left out."""
    cells = [point.fits.sel(quantity=quantity) for point in points]
    counts = [int(c["n"]) if c["n"] + c["censored"] > 0 else np.nan for c in cells]
    axes.plot(_places(points, look), counts, markersize=2.8, linewidth=0.8, **look.drawing)
    axes.set_ylabel("seeds that recover\nwithin the task")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def words(fits: xr.Dataset) -> dict[str, str]:
    """`$trends`: trends in the rate, and the rate at which recovery is fastest."""
    results = results_of(fits)
    if results.empty:
        return {"trends": ""}
    lines = [f"* {regime}: {_trend(results, regime)}." for regime in fits["regime"].values]
    return {"trends": "\n".join(lines)}


def _trend(results: pd.DataFrame, regime: str) -> str:
    rows = results[results["regime"] == regime].set_index(["statistic", "quantity"])
    ends = rows[["estimate", "low", "high"]]
    parts = []
    for statistic, name in _WORDS.items():
        found = ends[ends.index.get_level_values("statistic") == statistic]
        values = found.to_numpy(float)
        values = np.exp(values) if statistic == "lowest_at" else values
        terms = [
            f"{quantity.replace('_', ' ')} {number_in_words(*row)}"
            for (_, quantity), row in zip(found.index, values, strict=True)
        ]
        parts += [f"{name} {', '.join(terms)}"] if terms else []
    return "; ".join(parts)
