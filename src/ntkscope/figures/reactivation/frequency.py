"""Known classes that change their frequencies, beside new classes that come as abruptly.

Left: velocity and norm, stepped and ramped, a line an ε; new classes in black. Right: effects
against ε, with bands of what new classes bring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.panels import Effect, Look, Point
from ntkscope.figures.style import colours_along
from ntkscope.fits import results_of

ANALYSIS = {
    "needs": "epsilon",
    "may_have": "alpha change variant",
    "roles": "frequency conceptual",
    "needs_roles": "frequency",
    "laws": [
        {
            "along": "epsilon",
            "log": True,
            "of": "spike norm_drop distance peak_velocity",
            "statistics": "slope kendall_tau",
        },
    ],
    "compare": "frequency",
    "forgetting": False,  # its test samples have all classes alike
}

METRICS = (panels.VELOCITY, panels.NORM)
EFFECTS = (panels.SPIKE, panels.PEAK, panels.NORM_DROP, panels.MOVED)
_PACES = {"stepped": "abrupt", "ramped": "gradual"}
"""How a frequency changes, and how new classes come at the same pace."""
_RAMPED: dict[str, Any] = {"line": (0, (4, 1.5)), "filled": False, "marker": "s"}
_NEW = (0, (5, 1, 1, 1))
_GAP = 0.6  # decades between the smallest ε and 0
_APART = 0.5  # decades between labels of ticks


def draw(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): axes regime and epsilon.

    Also alpha where both paces are there; points with the axis change are new classes.
    """
    points = panels.points_of(metrics, fits)
    regimes = panels.values_of(points, "regime")
    columns = [(regime, pace) for regime in regimes for pace in _PACES if _mixed(points, pace)]
    lines = len(METRICS), len(columns)
    figure, (left, right) = panels.lines_and_effects(style, lines, 2, 0.56, 2.2 / len(columns))
    sizes = sorted(panels.values_of(points, "epsilon"), reverse=True)
    colours = colours_along("epsilon", sizes, style.palette)
    for (regime, pace), column in zip(columns, left.T, strict=True):
        column[0].set_title(pace if len(regimes) == 1 else f"{pace}, {labels.get(regime, regime)}")
        new = panels.where(points, regime=regime, change=_PACES[pace])
        if new:
            _new_classes(column, new, fits)
        chosen = panels.where(_mixed(points, pace), regime=regime)
        panels.draw_lines(column, chosen, METRICS, "epsilon", colours, fits.attrs)
    panels.finish_lines(left, METRICS, int(fits.attrs["window"]))
    for effect, axes in zip(EFFECTS, right.flat, strict=True):
        _against_epsilon(axes, points, effect, sizes, fits)
    for axes in right[-1]:
        axes.set_xlabel("ε (rare / common class)")
    panels.letter(left, right)
    panels.legend_above(figure, _handles(colours, points), 7)
    panels.make_room(figure)
    return figure


def _mixed(points: list[Point], pace: str) -> list[Point]:
    """Points whose frequencies change at a pace; a sweep without paces is stepped or ramped."""
    return [p for p in panels.where(points, change=None) if p.at.get("alpha", "stepped") == pace]


def _new_classes(column: panels.PanelGrid, points: list[Point], fits: xr.Dataset) -> None:
    window, confidence = int(fits.attrs["window"]), fits.attrs["confidence"]
    for metric, axes in zip(METRICS, column, strict=True):
        cells = [(point.metrics, "black") for point in points]
        panels.draw_trajectories(axes, cells, metric, window, confidence, _NEW)


def epsilon_axis(sizes: Sequence[float]) -> panels.FloatArray:
    """Places of ε on an axis: −log₁₀ ε, and 0 apart beyond the smallest of the others."""
    size = np.asarray(sizes, float)
    logs = -np.log10(np.where(size > 0, size, np.nan))
    return np.where(size > 0, logs, np.nanmax(logs, initial=0.0) + _GAP)


def _against_epsilon(
    axes: Axes, points: list[Point], effect: Effect, sizes: list[float], fits: xr.Dataset
) -> None:
    window, results = int(fits.attrs["window"]), results_of(fits)
    looks, texts = [], []
    for number, regime in enumerate(panels.values_of(points, "regime")):
        for pace, change in _PACES.items():
            look = _look(number, pace)
            _band(axes, panels.where(points, regime=regime, change=change), effect, look)
            chosen = panels.where(_mixed(points, pace), regime=regime)
            if not chosen:
                continue
            x = epsilon_axis(sizes)[[sizes.index(p.at["epsilon"]) for p in chosen]]
            panels.draw_effect(axes, x, [p.fits for p in chosen], effect, look, window)
            first = chosen[0].at
            at: dict[str, Any] = {
                axis: first[axis] for axis in ("regime", "alpha") if axis in first
            }
            what = ("slope", effect.quantity, "log epsilon")
            texts.append(panels.result_text(results, *what, at))
            looks.append(look)
    _epsilon_ticks(axes, sizes)
    panels.finish_effect(axes, effect)
    panels.text_legend(axes, looks, texts, "exponent of ε" if effect.ratio else "slope in log ε")
    mixed = panels.where(points, change=None)
    places = dict(zip(sizes, epsilon_axis(sizes), strict=True))
    panels.mark_left_out(axes, [places[p.at["epsilon"]] for p in mixed], mixed)


def _look(number: int, pace: str) -> Look:
    return panels.regime_look(number, **({} if pace == "stepped" else _RAMPED))


def _band(axes: Axes, points: list[Point], effect: Effect, look: Look) -> None:
    """The interval of new classes across the panel, and its estimate as a line."""
    for point in points:
        (middle,), (low,), (high,) = panels.effect_ends([point.fits], effect)
        axes.axhspan(low, high, **_shade(look), zorder=0)
        axes.axhline(middle, color="black", linewidth=0.8, linestyle=look.line, zorder=0.5)


def _epsilon_ticks(axes: Axes, sizes: list[float]) -> None:
    """Ticks at every ε, and a break of the axis before 0."""
    places, labels = epsilon_axis(sizes), []
    last = -np.inf
    for place, size in zip(places, sizes, strict=True):
        shown = place - last > _APART
        labels.append(f"{size:g}" if shown else "")
        last = place if shown else last
    axes.set_xticks(places, labels)
    axes.set_xlim(places.min() - 0.15, places.max() + 0.25)
    if 0.0 in sizes and len(sizes) > 1:
        cut = places.max() - _GAP / 2
        slash = [(-0.4, -1), (0.4, 1)]
        across = axes.get_xaxis_transform()
        for x in (cut - 0.04, cut + 0.04):
            axes.plot(x, 0, marker=slash, color="black", ms=4, transform=across, clip_on=False)


def _handles(colours: Mapping[float, Any], points: list[Point]) -> list[Artist]:
    """Lines by ε, then new classes, twins, and the effects of each pace."""
    found: list[Artist] = [panels.line_handle(f"ε = {size:g}", c) for size, c in colours.items()]
    if panels.values_of(points, "change"):
        found.append(panels.line_handle("new classes", "black", _NEW))
    found += panels.context_handles()
    for pace, change in _PACES.items():
        look = _look(0, pace)
        if _mixed(points, pace):
            found.append(panels.point_handle(pace, look))
        if panels.where(points, change=change):
            found.append(Patch(**_shade(look), label=f"new classes, {change}"))
    return found


def _shade(look: Look) -> dict[str, Any]:
    hatch = "" if look.filled else "//////"
    return {"facecolor": "0.85", "edgecolor": "0.5", "hatch": hatch, "linewidth": 0}
