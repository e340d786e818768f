"""Effects with their intervals along an axis, and the numbers written at them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from ntkscope.figures.curves import FEW
from ntkscope.figures.panels.quantities import Effect, Look
from ntkscope.figures.panels.sweeps import Point, left_out
from ntkscope.figures.style import (
    TWIN,
)
from ntkscope.statistics.paired import FloatArray


def draw_effect(
    axes: Axes,
    x: Sequence[float] | FloatArray,
    cells: Sequence[xr.Dataset],
    effect: Effect,
    look: Look,
    window: int,
) -> None:
    """Estimates with their intervals along an axis.

    Args:
        axes: the panel.
        x: (point,).
        cells: the fits of each point, (quantity, …).
        effect: what is drawn; look: how.
        window: steps, for the label.
    """
    middle, low, high = effect_ends(cells, effect)
    there = np.isfinite(middle)
    for place, cell in zip(x, cells, strict=True):
        _draw_few(axes, place, cell.sel(quantity=effect.quantity), effect, look)
    axes.errorbar(
        np.asarray(x)[there],
        middle[there],
        yerr=[np.nan_to_num(middle - low)[there], np.nan_to_num(high - middle)[there]],
        markersize=2.8,
        linewidth=0.8,
        elinewidth=0.7,
        capsize=1.2,
        capthick=0.5,
        **look.drawing,
    )
    axes.set_ylabel(effect.label.format(window=window))


def effect_ends(
    cells: Sequence[xr.Dataset], effect: Effect
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Estimate and ends of the interval of each cell, as they are drawn: (point,).

    Ends of fewer than `FEW` seeds are NaN.
    """
    middle, low, high = (
        np.asarray([float(cell[name].sel(quantity=effect.quantity)) for cell in cells])
        for name in ("estimate", "low", "high")
    )
    few = np.asarray([_seeds_of(cell.sel(quantity=effect.quantity)) < FEW for cell in cells])
    low, high = np.where(few, np.nan, low), np.where(few, np.nan, high)
    return (np.exp(middle), np.exp(low), np.exp(high)) if effect.ratio else (middle, low, high)


def _seeds_of(cell: xr.Dataset) -> float:
    """How many seeds an estimate is of, where that is told."""
    return float(cell["n"]) if "n" in cell else math.inf


def _draw_few(axes: Axes, place: float, cell: xr.Dataset, effect: Effect, look: Look) -> None:
    """The seeds, where there are several but too few for an interval."""
    if 1 < _seeds_of(cell) < FEW:
        seeds = np.asarray(cell["per_seed"].values, float)
        seeds = np.exp(seeds) if effect.ratio else seeds
        axes.plot(
            np.full(len(seeds), place), seeds, ".", color=look.colour, markersize=2, alpha=0.6
        )


def finish_effect(axes: Axes, effect: Effect, log: bool = False) -> None:
    """The scale of an effect, logarithmic for a ratio or where asked, and a line at no effect."""
    if effect.ratio or log:
        log_axis(axes)
    if effect.ratio or not log:
        axes.axhline(1.0 if effect.ratio else 0.0, color=TWIN, linewidth=0.6, zorder=0)


def log_axis(axes: Axes) -> None:
    """A logarithmic y axis; below two decades with ticks at 1, 2, 5 of each, plainly written."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 100 * low:
        plain_ticks(axes)


def plain_ticks(axes: Axes) -> None:
    """Ticks of a logarithmic y axis, in plain figures: powers of ten, below three 2 and 5 too."""
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def with_half(middle: float, low: float, high: float, sign: bool = False) -> str:
    """`middle ± half`, the half of its interval with one digit, or two below 30."""
    half = (high - low) / 2
    digits = int(np.clip(np.ceil(np.log10(3 / half)), 0, 4)) if half > 0 else 2
    text = f"{middle:{'+' if sign else ''}.{digits}f} ± {half:.{digits}f}"
    return text.replace("-", "−")


_LETTERS = 20  # more of them do not stand side by side below a panel


def ticks_at(axes: Axes, values: Sequence[float] | FloatArray, base: int | None = None) -> None:
    """An x axis with ticks at the values of the sweep; logarithmic where a base is given."""
    x = np.asarray(values, float)
    if base:
        axes.set_xscale("log", base=base)
        room = max((x.max() / x.min()) ** 0.08, 1.05)
        axes.set_xlim(x.min() / room, x.max() * room)
    else:
        room = 0.08 * max(np.ptp(x), 1.0)
        axes.set_xlim(x.min() - room, x.max() + room)
    axes.xaxis.set_major_locator(FixedLocator(x.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    labels = [f"{value:g}" for value in x]
    aslant = sum(map(len, labels)) >= _LETTERS
    axes.set_xticks(x, labels, rotation=40 if aslant else 0)


def mark_left_out(axes: Axes, places: Sequence[float], points: Sequence[Point]) -> None:
    """A cross and `2/5` at the top of the panel over each place with seeds left out.

    Args:
        axes: the panel.
        places: x of each point; points at the same x are counted together.
        points: of the sweep.
    """
    counts: dict[float, tuple[int, int]] = {}
    for place, point in zip(places, points, strict=True):
        lost, seeds = counts.get(place, (0, 0))
        counts[place] = lost + left_out(point.metrics), seeds + point.metrics.sizes["seed"]
    across, size = axes.get_xaxis_transform(), plt.rcParams["xtick.labelsize"]
    for place, (lost, seeds) in counts.items():
        if lost:
            axes.plot(
                place, 1.05, "x", color="black", markersize=3, transform=across, clip_on=False
            )
            look = {"ha": "center", "va": "bottom", "fontsize": size, "transform": across}
            axes.text(place, 1.09, f"{lost}/{seeds}", **look)


def say_left_out(axes: Axes, found: Iterable[tuple[str, int]]) -> None:
    """Name the lines with seeds that are left out, so that no average hides them."""
    lines = [f"{name}: {count}" for name, count in found if count]
    if lines:
        text = "seeds left out (diverged or dead)\n" + "\n".join(lines)
        size = plt.rcParams["xtick.labelsize"]
        axes.text(0.98, 0.97, text, transform=axes.transAxes, ha="right", va="top", fontsize=size)


def text_legend(axes: Axes, looks: Sequence[Look], texts: Sequence[str | None], title: str) -> None:
    """Numbers in the colours and markers of their series, where the panel has room."""
    size = plt.rcParams["xtick.labelsize"]
    shown = [(look, text) for look, text in zip(looks, texts, strict=True) if text]
    handles = [
        Line2D([], [], **look.drawing | {"linestyle": "none"}, markersize=2.2, label=text)
        for look, text in shown
    ]
    if handles:
        axes.legend(
            handles=handles,
            labelcolor=[look.colour for look, _ in shown],
            fontsize=size,
            title=title,
            title_fontsize=size,
            loc="best",
            handlelength=0.8,
            handletextpad=0.2,
            labelspacing=0.15,
            borderpad=0.1,
            frameon=False,
            ncols=1 if len(shown) <= 3 else 2,
            columnspacing=0.4,
        )


def result_text(
    results: pd.DataFrame, statistic: str, quantity: str, against: str, at: Mapping[str, Any]
) -> str | None:
    """`estimate ± half` of a result of the sweep; None where there is none.

    Args:
        results: as from `fits.results_of`.
        statistic, quantity, against: which result.
        at: axes and their values.
    """
    wanted = {"statistic": statistic, "quantity": quantity, "against": against, **at}
    for axis, value in wanted.items():
        results = results[results[axis] == value] if len(results) else results
    if results.empty or not np.isfinite(results["estimate"].iloc[0]):
        return None
    return with_half(*results[["estimate", "low", "high"]].iloc[0])
