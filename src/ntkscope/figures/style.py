"""The look that all figures share, and files that are the same to the byte when made again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from ntkscope.config.sections import FigureStyle
from ntkscope.stores import atomic

MM = 1 / 25.4  # inch
Colour = tuple[float, float, float]
TWIN = "0.55"
"""Grey of the runs without a shift."""
TWIN_DASHES = (0, (3, 1.2))
"""Their dashes, since widths are greys too when the colours are lost."""
BOUNDARY_DOTS = (0, (1, 1.5))

# Okabe & Ito (2008): told apart by all readers, and by their markers in greyscale.
REGIME_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
REGIME_MARKERS = ("o", "s", "^", "D", "v", "P")


@contextmanager
def looks(style: FigureStyle) -> Iterator[None]:
    """Seaborn's `ticks` theme at a journal's sizes, whatever the user's own matplotlibrc says."""
    small = style.font_size - 1
    settings: Any = {
        "axes.labelsize": style.font_size,
        "axes.titlesize": style.font_size,
        "axes.linewidth": 0.6,
        "axes.titlepad": 4,
        "axes.labelpad": 2,
        "font.size": style.font_size,
        "font.family": "DejaVu Sans",
        "legend.fontsize": small,
        "legend.title_fontsize": small,
        "lines.linewidth": 0.9,
        "pdf.fonttype": 42,
        "svg.hashsalt": "ntkscope",
        "xtick.labelsize": small,
        "ytick.labelsize": small,
        **{f"{axis}tick.{which}.width": 0.5 for axis in "xy" for which in ("major", "minor")},
        **{f"{axis}tick.major.size": 2.5 for axis in "xy"},
        **{f"{axis}tick.minor.size": 1.5 for axis in "xy"},
        **{f"{axis}tick.major.pad": 2 for axis in "xy"},
    }
    with plt.style.context("default"), sns.axes_style("ticks"), mpl.rc_context(settings):
        yield


@contextmanager
def themed(style: FigureStyle) -> Iterator[None]:
    """`looks`, without a display; no figure stays open."""
    backend = mpl.get_backend()
    plt.switch_backend("agg")
    try:
        with looks(style):
            yield
    finally:
        plt.close("all")
        plt.switch_backend(backend)


def printable(name: str) -> str:
    """A name of the user's as it is drawn: on one line, dollar signs about no formula as they are.

    A formula between dollar signs that Matplotlib cannot read would end the drawing.
    """
    name = " ".join(name.split())
    try:
        MathTextParser("path").parse(name)
    except ValueError:
        return name.replace("$", r"\$")
    return name


def label_log_axes(figure: Figure) -> None:
    """Have two labelled ticks at least on each logarithmic axis, once all is drawn.

    Those that have them stay as they are, but that decades without a label get a tick too. Others
    have 1, 2, 5 of each decade or, on axes shorter still, a few evenly spaced values, in plain
    figures.
    """
    for axis in (each for axes in figure.axes for each in (axes.xaxis, axes.yaxis)):
        if axis.get_scale() != "log":
            continue
        if _labelled(axis) > 1 and not _is_crowded(axis):
            skipped = np.diff(np.log10(axis.get_majorticklocs())).max() > 1.5
            if skipped and isinstance(axis.get_major_locator(), LogLocator):
                axis.set_minor_locator(LogLocator(numticks=99))
                axis.set_minor_formatter(NullFormatter())
            continue
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        if _labelled(axis) < 2 or _is_crowded(axis):
            axis.set_major_locator(MaxNLocator(4))


def _is_crowded(axis: Axis) -> bool:
    """Whether a part of a decade has more labels than are read at a glance."""
    low, high = sorted(axis.get_view_interval())
    return high < 10 * low and _labelled(axis) > 6


def _labelled(axis: Axis) -> int:
    """Ticks in view that have a label."""
    low, high = sorted(axis.get_view_interval())
    ticks = [
        (place, label)
        for minor, form in ((False, axis.get_major_formatter()), (True, axis.get_minor_formatter()))
        for places in (axis.get_ticklocs(minor=minor),)
        for place, label in zip(places, form.format_ticks(list(places)), strict=True)
    ]
    return sum(low <= place <= high and bool(label) for place, label in ticks)


PALEST = 0.88
"""Share of a palette that is used, from its dark end: what is paler is not seen on white."""


def ordered_colours(palette: str, count: int) -> list[Colour]:
    """Colours for `count` values in order, dark to light."""
    colours = sns.color_palette(palette, as_cmap=True)
    return [colours(PALEST * i / max(count - 1, 1))[:3] for i in range(count)]


def width_colour(palette: str, width: float) -> Colour:
    """The colour of a width, dark to light: the same in every figure, whatever widths it has.

    Its place is by log₂ of the width, with most room about 256, and some for every width.
    """
    place = 0.5 + 0.5 * np.tanh((np.log2(width) - 8) / 3)
    return tuple(sns.color_palette(palette, as_cmap=True)(PALEST * place)[:3])


FALLING = ("epsilon",)
"""Axes whose shift is the larger, and the paler, the smaller the value."""


def colours_along(axis: str, values: Sequence[Any], palette: str) -> dict[Any, Colour]:
    """Value → colour, of the values along an axis of a sweep, the same in all its figures."""
    if axis == "width":
        return {value: width_colour(palette, value) for value in values}
    ordered = sorted(values, reverse=axis in FALLING)
    return dict(zip(ordered, ordered_colours(palette, len(values)), strict=True))


def save(figure: Figure, pdf: Path, png: Path, dpi: int) -> None:
    """Write both files, whole or not at all, without the time of day in them."""
    label_log_axes(figure)
    for path, options in ((pdf, {"metadata": {"CreationDate": None}}), (png, {"dpi": dpi})):
        with atomic(path) as partial:
            figure.savefig(partial, **options)


def save_text(text: str, path: Path) -> None:
    """Write a text file, whole or not at all."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")
