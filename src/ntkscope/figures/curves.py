"""Curves over training steps: a mean over seeds with its interval, the boundary wide open."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ntkscope.figures.style import BOUNDARY_DOTS, TWIN_DASHES
from ntkscope.statistics.paired import FloatArray, t_interval

FEW = 3
"""Of fewer seeds no interval is drawn: of two it is 9 times as wide as they are apart."""

SEED = "seed"
"""Mark of the line of one seed, which sets no scale."""
_FAINT: dict[str, Any] = {"linewidth": 0.5, "alpha": 0.4, "zorder": 1.8}

WIDE = 1000.0
"""By which factor a band goes over so much of a logarithmic axis that others are not seen on it."""


def seed_band(
    values: FloatArray, confidence: float, log: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean and t interval over seeds of values (seed, snapshot); of their logs where `log`.

    Seeds that are NaN at a snapshot are left out there.
    """
    data = np.log(np.where(values > 0, values, np.nan)) if log else values
    interval = t_interval(np.moveaxis(data, 0, -1), confidence)
    found = (interval.estimate, interval.low, interval.high)
    return tuple(np.exp(each) for each in found) if log else found  # type: ignore[return-value]


def draw_band(
    axes: Axes,
    x: FloatArray,
    values: FloatArray,
    confidence: float | None,
    log: bool,
    colour: object,
    line: object = "-",
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> None:
    """One line with its band, or thin, dashed and without one where `confidence` is None.

    Of fewer than `FEW` seeds, whose interval says nothing, and where the interval of a logarithm is
    wider than `WIDE` at a fifth of the snapshots, each seed is a faint line instead.
    Snapshots without a value are bridged; `bounds` are those of the quantity, and of its band.
    """
    middle, low, high = seed_band(values, confidence or 0.95, log)
    there = np.isfinite(middle)
    wide = log and bool((high / low > WIDE).sum() > 0.2 * there.sum())
    if confidence is not None and (wide or len(values) < FEW):
        for seed in values if len(values) > 1 else ():
            known = np.isfinite(seed) & ((seed > 0) | (not log))
            axes.plot(x[known], seed[known], color=colour, gid=SEED, **_FAINT)
    elif confidence is not None:
        low, high = np.clip(low, *bounds), np.clip(high, *bounds)
        axes.fill_between(x[there], low[there], high[there], color=colour, alpha=0.2, linewidth=0)
    if confidence is None:
        look: dict[str, Any] = {"linewidth": 0.6, "linestyle": TWIN_DASHES, "zorder": 1.5}
    else:
        look = {"linewidth": 0.9, "linestyle": line, "zorder": 2}
    axes.plot(x[there], middle[there], color=colour, **look)


def boundary_scale(axes: Axes, before: int, after: int, linear: int) -> None:
    """Steps from the boundary: linear within ±`linear`, logarithmic beyond, so both can be seen."""
    axes.set_xscale("symlog", linthresh=linear, linscale=1.0)
    axes.set_xlim(-before, after)
    beyond = {end: np.log10(max(abs(end) / linear, 1.0)) for end in (-before, after)}
    least = 0.14 * (2 + sum(beyond.values()))  # of the axis, for two labels side by side
    inner = [int(np.sign(end)) * linear for end, far in beyond.items() if far >= least]
    ticks = sorted({-before, *inner, 0, after})
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{x:.0f}".replace("-", "\N{MINUS SIGN}"))
    )
    axes.axvline(0, color="0.2", linewidth=0.6, linestyle=BOUNDARY_DOTS, zorder=0)
