"""Differences of exponents between curves of a part, as a forest and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ntkscope.figures import panels
from ntkscope.figures.limitations import drawing
from ntkscope.figures.limitations.looks import INFINITE
from ntkscope.figures.limitations.reading import Part
from ntkscope.figures.panels import Look
from ntkscope.figures.style import TWIN
from ntkscope.fits.limitations.curve import ABOUT

KERNELS = ("infinite", "initial")
ENDS = ("difference_estimate", "difference_low", "difference_high", "resolution")


@dataclass(frozen=True)
class Pair:
    """The exponent of one curve less that of another, paired by seed.

    Attributes:
        first, second: values of `ABOUT` of the two.
        estimate, low, high: with its interval; resolution: the half of it.
        resolved: whether the interval leaves 0 out.
    """

    first: dict[str, Any]
    second: dict[str, Any]
    estimate: float
    low: float
    high: float
    resolution: float
    resolved: bool


def pairs_of(fits: xr.Dataset) -> Iterator[Pair]:
    """All pairs of a table of kind `curve_fits`."""
    about = [fits[name].values.tolist() for name in ABOUT]
    for number in range(fits.sizes["pair"]):
        one = fits.isel(pair=number)
        first, second = (
            dict(zip(ABOUT, (column[int(one[f"pair_{end}"])] for column in about), strict=True))
            for end in ("first", "second")
        )
        resolved = str(one["verdict"].item()) == "resolved"
        ends = [float(one[name]) for name in ENDS]
        yield Pair(first, second, ends[0], ends[1], ends[2], ends[3], resolved)


def network_less_kernel(fits: xr.Dataset, part: str) -> list[Pair]:
    """The pairs of a part's network with its infinite and initial kernels, wider ones first."""
    found = [
        each
        for each in pairs_of(fits)
        if each.first["part"] == part
        and each.first["curve"] == "network"
        and each.first["step"] == -1
        and each.second["curve"] in KERNELS
    ]
    return sorted(found, key=lambda pair: (pair.second["width"] > 0, -pair.second["width"]))


def draw_differences(
    axes: Axes,
    parts: Sequence[Part],
    names: Sequence[str],
    fits: xr.Dataset,
    initial: Mapping[int, Look],
) -> None:
    """A row a part: exponent of the network less that of each kernel; open where not resolved.

    Args:
        axes: the panel.
        parts: of the experiment; names: of their rows; fits: kind `curve_fits`.
        initial: width of an initial kernel → its look.
    """
    for place, part in enumerate(parts):
        found = network_less_kernel(fits, part.keys[0])
        for number, pair in enumerate(found):
            aside = 0.22 * (number - (len(found) - 1) / 2)
            width = int(pair.second["width"])
            look = INFINITE if pair.second["curve"] == "infinite" else initial[width]
            ends = (pair.estimate, pair.low, pair.high)
            draw_row(axes, place + aside, ends, replace(look, filled=pair.resolved))
    finish_forest(axes, names, "exponent of the network\nminus the kernel's")
    axes.axvline(0, color=TWIN, linewidth=0.6, zorder=0)


def draw_row(axes: Axes, place: float, ends: tuple[float, float, float], look: Look) -> None:
    """A point with its interval at a height; an end that is NaN is not drawn."""
    middle, low, high = ends
    if not np.isfinite(middle):
        return
    arms = [[np.nan_to_num(middle - low)], [np.nan_to_num(high - middle)]]
    drawn = look.drawing | {"linestyle": "none"}
    axes.errorbar(
        [middle],
        [place],
        xerr=arms,
        markersize=3.2,
        elinewidth=0.7,
        capsize=1.4,
        capthick=0.5,
        **drawn,
    )


def finish_forest(axes: Axes, names: Sequence[str], label: str) -> None:
    """Names of the rows, first on top, and the label below."""
    letters = 32 if drawing.width_of(axes) > 70 else 19
    lines = 3 if len(names) < 5 else 2 if len(names) < 9 else 1
    axes.set_yticks(range(len(names)), [drawing.cut(name, letters, lines) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(label)
    if not axes.lines:
        axes.set_xticks([])
        panels.say_empty(axes, "no fits")
        return
    axes.xaxis.set_major_locator(MaxNLocator(4))


def any_fitted(fits: xr.Dataset) -> bool:
    """Whether any part has a difference to draw."""
    parts = {str(part) for part in fits["part"].values}
    return any(np.isfinite(p.estimate) for part in parts for p in network_less_kernel(fits, part))


def in_words(fits: xr.Dataset) -> str:
    """Which pairs of network and kernel are resolved and which not, with what would have been."""
    lines = []
    for part in dict.fromkeys(str(p) for p in fits["part"].values):
        terms = [
            f"{_kernel(pair)} {panels.with_half(pair.estimate, pair.low, pair.high, sign=True)}"
            f" ({'resolved' if pair.resolved else 'not resolved'})"
            for pair in network_less_kernel(fits, part)
            if np.isfinite(pair.estimate) and np.isfinite(pair.low)
        ]
        if terms:
            lines.append(f"{part.replace('_', ' ')}: {', '.join(terms)}")
    return "; ".join(lines) or "none could be fitted"


def _kernel(pair: Pair) -> str:
    return "K_∞" if pair.second["curve"] == "infinite" else f"K_0 (width {pair.second['width']})"
