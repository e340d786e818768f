"""More and more new classes: trajectories, and effects against their number and the similarity.

Above: velocity and norm, a column a protocol and regime, a line a number of new classes. Below:
effects against the number of new classes, and against |D₀ ∩ D₁| / |D₀ ∪ D₁|, where protocols that
swap and that add classes meet if similarity is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.captions import number_in_words
from ntkscope.figures.panels import Look, Point
from ntkscope.fits import results_of

ANALYSIS = {
    "needs": "new_classes protocol",
    "laws": [
        {
            "along": "new_classes",
            "of": "spike norm_drop distance",
            "statistics": "slope kendall_tau bend saturation first_share",
            "without": "dissimilarity",
        },
        {
            "along": "dissimilarity",
            "of": "spike norm_drop distance",
            "statistics": "slope kendall_tau bend saturation",
            "without": "new_classes",
        },
    ],
}

METRICS = (panels.VELOCITY, panels.NORM)
EFFECTS = (panels.SPIKE, panels.NORM_DROP, panels.MOVED, panels.DEFLECTION)
_PROTOCOLS: dict[str, dict[str, Any]] = {
    "swap": {},
    "add": {"line": (0, (4, 1.5)), "filled": False},
}
_AGAINST = {
    "new_classes": ("new classes", "κ per class (line: 0)"),
    "dissimilarity": ("similarity to the first task", "κ per 1 − similarity\n(line: 0)"),
}
"""What the sweep's results are against; label of the axis, where similarity is drawn; title."""
_WORDS = {
    "kendall_tau": "Kendall's τ",
    "first_share": "share that the first class brings",
    "half_saturation": "half of the limit at (classes)",
    "saturation_aicc": "AICc of a line − AICc of the law",
}
_NUDGES = {"new_classes": 0.07, "dissimilarity": -0.009}


def draw(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): axes regime, new_classes and protocol.

    The fits' attribute `classes` counts those of the first task.
    """
    points = panels.points_of(metrics, fits)
    series = [
        (protocol, regime)
        for protocol in panels.values_of(points, "protocol")
        for regime in panels.values_of(points, "regime")
    ]
    rows = 2 if "classes" in fits.attrs else 1
    shapes = [(len(METRICS), len(series)), (rows, len(EFFECTS))]
    figure, (above, below) = panels.new_blocks(style, shapes, 0.5 + 0.25 * rows, ratios=())
    columns = {
        f"{p}\n{labels.get(r, r)}": panels.where(points, protocol=p, regime=r) for p, r in series
    }
    colours = panels.draw_columns(above, columns, METRICS, "new_classes", style.palette, fits.attrs)
    _effects(below, points, series, fits)
    panels.letter(above, below)
    lines = [panels.line_handle(f"{number:g}", colour) for number, colour in colours.items()]
    marks = [panels.point_handle(f"{p}, {r}", _look(points, p, r)) for p, r in series]
    handles = [panels.heading("new classes"), *lines, *panels.context_handles(), *marks]
    panels.legend_above(figure, handles)
    panels.make_room(figure)
    return figure


def _look(points: list[Point], protocol: str, regime: str) -> Look:
    number = panels.values_of(points, "regime").index(regime)
    return panels.regime_look(number, **_PROTOCOLS[protocol])


def _effects(
    grid: panels.PanelGrid, points: list[Point], series: list[tuple[str, str]], fits: xr.Dataset
) -> None:
    """A row against the number of new classes and, where classes are counted, the similarity."""
    results = results_of(fits)
    for effect, column in zip(EFFECTS, grid.T, strict=True):
        looks = [_look(points, protocol, regime) for protocol, regime in series]
        for axes, (against, (label, title)) in zip(column, _AGAINST.items(), strict=False):
            rates = []
            for number, (protocol, regime) in enumerate(series):
                chosen = panels.where(points, protocol=protocol, regime=regime)
                x = _places(chosen, against, fits) + _NUDGES[against] * (number - 1.5)
                cells = [point.fits for point in chosen]
                panels.draw_effect(axes, x, cells, effect, looks[number], fits.attrs["window"])
                at = {"protocol": protocol, "regime": regime}
                what = ("saturation_rate", effect.quantity, against, at)
                rates.append(panels.result_text(results, *what))
            panels.finish_effect(axes, effect)
            axes.set_xlabel(label)
            panels.text_legend(axes, looks, rates, title)
        panels.ticks_at(column[0], panels.values_of(points, "new_classes"))
        panels.mark_left_out(column[0], [p.at["new_classes"] for p in points], points)
        for axes in column[1:]:
            panels.ticks_at(axes, [0, 0.25, 0.5, 0.75, 1])
            axes.invert_xaxis()


def _places(points: list[Point], against: str, fits: xr.Dataset) -> panels.FloatArray:
    """Numbers of new classes, or the similarities that they leave: (point,)."""
    new = np.asarray([point.at["new_classes"] for point in points], float)
    if against == "new_classes" or not points:
        return new
    return similarity(new, int(fits.attrs["classes"]), points[0].at["protocol"])


def similarity(new_classes: panels.FloatArray, classes: int, protocol: str) -> panels.FloatArray:
    """|D₀ ∩ D₁| / |D₀ ∪ D₁| over classes, of tasks that swap classes for new ones or add them."""
    kept = classes - (new_classes if protocol == "swap" else 0.0)
    return np.asarray(kept / (classes + new_classes))


def words(fits: xr.Dataset) -> dict[str, str]:
    """`$laws`: per quantity, its trend, what the first new class brings, and law against line."""
    found = results_of(fits)
    found = found[found["against"] == "new_classes"]
    effects = {effect.quantity: effect.quantity.replace("_", " ") for effect in EFFECTS}
    laws = {name: _law(found[found["quantity"] == name], fits) for name in effects}
    return {"laws": "\n".join(f"* {effects[name]}: {law}." for name, law in laws.items() if law)}


def _law(rows: pd.DataFrame, fits: xr.Dataset) -> str:
    """The numbers of one quantity, in the order of the legend."""
    order = [(p, r) for p in fits["protocol"].values for r in fits["regime"].values]
    terms = []
    for statistic, name in _WORDS.items():
        known = rows[rows["statistic"] == statistic]
        if known.empty:
            continue
        known = known.set_index(["protocol", "regime"])
        ends = [
            known.loc[each, ["estimate", "low", "high"]] for each in order if each in known.index
        ]
        terms.append(f"{name} {', '.join(number_in_words(*each) for each in ends)}")
    return "; ".join(terms)
