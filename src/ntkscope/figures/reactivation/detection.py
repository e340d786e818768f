"""Whether the kernel tells of a shift that nobody declared, against detectors on loss and gradient.

Above: the share of seeds with an alarm by a step after the boundary, a column a kind of shift.
Below: hits within a few steps, delays, and false alarms of the twins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.captions import number_in_words
from ntkscope.figures.panels import Look, Point, every_point
from ntkscope.figures.reactivation.forest import draw_interval
from ntkscope.figures.style import TWIN, TWIN_DASHES
from ntkscope.fits import results_of
from ntkscope.fits.reactivation.detection import RATE, SIGNALS, WITHIN, first_alarms

ANALYSIS = {
    "needs": "variant",
    "over_time": "detection",
    "forgetting": False,
}

_STATISTICS = {
    "hit_rate": f"share of seeds with an alarm\nwithin {WITHIN} steps",
    "delay": "delay of those\n(steps)",
    "false_alarms": "false alarms of the twins\n(per 1000 steps)",
}
_SCALE = {"false_alarms": 1000.0}


def draw(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): variants are kinds of shift.

    Metrics are there at every step around the boundary.
    """
    points = every_point(metrics, fits)
    shapes = [(1, len(points)), (1, len(_STATISTICS))]
    figure, (above, below) = panels.new_blocks(style, shapes, 0.72, [])
    looks = {name: panels.regime_look(number) for number, name in enumerate(SIGNALS)}
    for axes, point in zip(above[0], points, strict=True):
        _draw_shares(axes, point, looks)
    above[0, 0].set_ylabel("share of seeds\nwith an alarm by then")
    for axes in above[0, 1:]:
        axes.set_yticklabels([])
    results = results_of(fits)
    for axes, statistic in zip(below[0], _STATISTICS, strict=True):
        _draw_statistic(axes, points, results, statistic, looks)
    panels.letter(above, below)
    handles = [panels.point_handle(SIGNALS[name], look) for name, look in looks.items()]
    twin = panels.line_handle("no shift (twin), NTK velocity", TWIN, TWIN_DASHES)
    panels.legend_above(
        figure, [*handles, twin, panels.line_handle("false alarms as stated", "0.2", ":")], 3
    )
    return figure


def _name(point: Point) -> str:
    return str(point.at["variant"]).replace("_", " ")


def _draw_shares(axes: Axes, point: Point, looks: Mapping[str, Look]) -> None:
    """Share of seeds with an alarm by each step: of each signal, of the twin, and as stated."""
    end = int(panels.steps_from_boundary(point.metrics).max())
    steps = np.arange(1, end + 1)
    axes.plot(steps, 1 - (1 - RATE) ** steps, color="0.2", linestyle=":", linewidth=0.8)
    if point.metrics["present"].sel(arm="twin"):
        for first in list(first_alarms(point.metrics, "twin").values())[:1]:
            axes.step(steps, _by(first, steps), where="post", color=TWIN, linestyle=TWIN_DASHES)
    for name, first in first_alarms(point.metrics, "shift").items():
        width = 2.8 - 0.65 * list(looks).index(name)  # where lines coincide, all are seen
        colour = looks[name].colour
        axes.step(steps, _by(first, steps), where="post", color=colour, linewidth=width)
    axes.axvline(WITHIN, color="0.8", linewidth=0.5, zorder=0)
    axes.set_xscale("log")
    axes.set_xlim(1, end)
    axes.set_ylim(-0.03, 1.03)
    axes.set_title("\n".join([*_name(point).rsplit(" ", 1), *panels.lost_in_words(point)]))
    axes.set_xlabel("steps after\nthe boundary")


def _by(first: panels.FloatArray, steps: np.ndarray) -> panels.FloatArray:
    known = first[~np.isnan(first)]
    return np.asarray((known[:, None] <= steps).sum(axis=0) / max(len(known), 1))


def _draw_statistic(
    axes: Axes,
    points: Sequence[Point],
    results: pd.DataFrame,
    statistic: str,
    looks: Mapping[str, Look],
) -> None:
    """A row a kind of shift; in it, a point a signal."""
    of_twin = results["against"].eq("twin")
    wanted = results[
        results["statistic"].eq(statistic) & (of_twin == (statistic == "false_alarms"))
    ]
    scale = _SCALE.get(statistic, 1.0)
    for row, point in enumerate(points):
        mine = wanted
        for axis, value in point.at.items():
            mine = mine[mine[axis] == value]
        for number, (name, look) in enumerate(looks.items()):
            height = row + 0.17 * (number - (len(looks) - 1) / 2)
            chosen = mine.loc[mine["quantity"] == name, ["estimate", "low", "high"]]
            for middle, low, high in scale * chosen.to_numpy(float):
                least = 0.0 if statistic == "false_alarms" else -np.inf  # no rate is below 0
                draw_interval(axes, height, (middle, max(low, least), high), look)
    stated = {"hit_rate": 1 - (1 - RATE) ** WITHIN, "false_alarms": scale * RATE}
    if statistic in stated:
        axes.axvline(stated[statistic], color="0.2", linestyle=":", linewidth=0.8, zorder=0)
    if statistic == "delay":
        axes.set_xlim(0, WITHIN + 1)  # no delay is outside; an interval of few seeds may be
    axes.set_ylim(len(points) - 0.5, -0.5)
    first = statistic == "hit_rate"
    axes.set_yticks(range(len(points)), [_name(p) for p in points] if first else [])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(_STATISTICS[statistic])


def words(fits: xr.Dataset) -> dict[str, str]:
    """`$rate`, `$before_alarm`, `$within`, `$chance`: what was asked; `$less`, `$sooner`: found."""
    found = results_of(fits)
    return {
        "rate": f"{RATE:g}",
        "before_alarm": f"{1 / RATE - 1:g}",
        "within": str(WITHIN),
        "chance": f"{1 - (1 - RATE) ** WITHIN:.2f}",
        "less": _differences(found, "hit_difference"),
        "sooner": _differences(found, "delay_difference"),
    }


def _differences(found: pd.DataFrame, statistic: str) -> str:
    """Of the velocity, less of each other signal."""
    less = found[found["statistic"] == statistic]
    ends = less[["estimate", "low", "high"]].to_numpy(float)
    terms = [
        f"{SIGNALS[name]} {number_in_words(*each)}"
        for name, each in zip(less["against"], ends, strict=True)
    ]
    return "; ".join(terms) or "unknown"
