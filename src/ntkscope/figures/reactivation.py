"""The figure of arXiv 2507.16039: four metrics around a boundary, and their effects over width.

Rows: velocity, norm, distance, alignment. Columns: a regime each, a line a width, twins in grey;
last: the row's effect against width, paired with the twins, with its exponent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.curves import boundary_scale, draw_band
from ntkscope.figures.style import (
    MM,
    REGIME_COLOURS,
    REGIME_MARKERS,
    TWIN,
    TWIN_DASHES,
    width_colours,
)

_LINEAR = 20  # steps each side of the boundary on a linear scale


@dataclass(frozen=True)
class Row:
    """A metric's row: what its curves and its effect are.

    Attributes:
        metric: variable of the metrics; label: of its axis; log: its scale.
        relative: divided by its mean just before the boundary.
        effect: quantity of the fits; effect_label: of its axis.
        ratio: the effect is the log of a ratio, drawn as the ratio.
    """

    metric: str
    label: str
    log: bool
    relative: bool
    effect: str
    effect_label: str
    ratio: bool = False


ROWS = (
    Row("velocity", "velocity\n(1/step)", True, False, "spike", "spike\n(velocity / twin's)", True),
    Row(
        "spectral_norm",
        "norm $\\lambda_\\max$\n(relative to before)",
        True,
        True,
        "norm_drop",
        "norm drop\n(less twin's)",
    ),
    Row(
        "distance_from_start",
        "distance from start\n(1 \N{MINUS SIGN} CKA)",
        False,
        False,
        "distance",
        f"distance moved in\n{_LINEAR} steps (less twin's)",
    ),
    Row(
        "alignment",
        "alignment\n(CKA with labels)",
        False,
        False,
        "deflection",
        "deflection\n(less twin's)",
    ),
)


def draw_reactivation(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure.

    Args:
        metrics: kind `experiment`, axes regime and width; the first boundary is drawn.
        fits: kind `fits` of the same.
        style: sizes and palette.
        labels: regime → name as printed.
    """
    regimes, widths = [str(r) for r in metrics["regime"].values], metrics["width"].values
    columns = len(regimes) + 1
    size = (style.width_mm * MM, style.width_mm * MM * 0.86)
    figure, grid = plt.subplots(
        len(ROWS),
        columns,
        figsize=size,
        layout="constrained",
        squeeze=False,
        width_ratios=[1.0] * (columns - 1) + [1.05],
    )
    colours = dict(zip(widths.tolist(), width_colours(style.palette, len(widths)), strict=True))
    for row, axes_of_row in zip(ROWS, grid, strict=True):
        for regime, axes in zip(regimes, axes_of_row[:-1], strict=True):
            _trajectories(axes, metrics.sel(regime=regime), row, colours, fits.attrs["confidence"])
        _same_limits(list(axes_of_row[:-1]), row.relative)
        axes_of_row[0].set_ylabel(row.label)
        _against_width(axes_of_row[-1], fits, row, regimes)
    _titles(figure, grid, regimes, labels)
    _legends(figure, grid, colours, regimes, labels, metrics)
    figure.align_ylabels(grid[:, 0])
    figure.align_ylabels(grid[:, -1])
    return figure


def _trajectories(
    axes: Axes, metrics: xr.Dataset, row: Row, colours: Mapping[int, object], confidence: float
) -> None:
    for width, colour in colours.items():
        cell = metrics.sel(width=width)
        x = _steps(cell)
        for arm, shade in (("twin", TWIN), ("shift", colour)):
            values = _usable(cell, arm)[row.metric].transpose("seed", "snapshot").values
            if row.relative:
                before = (x > -_LINEAR) & (x <= 0)
                values = values / values[:, before].mean(axis=1, keepdims=True)
            is_twin = arm == "twin"
            shown = x >= 0 if is_twin else np.ones(len(x), dtype=bool)
            band = None if is_twin else confidence
            draw_band(axes, x[shown], values[:, shown], band, row.log, shade)
    _say_who_is_missing(axes, metrics)
    if row.log:
        axes.set_yscale("log")
    span = _steps(metrics.isel(width=0))
    boundary_scale(axes, int(-span.min()), int(span.max()), _LINEAR)


def _steps(cell: xr.Dataset) -> np.ndarray:
    """Steps from the first boundary, (snapshot,)."""
    boundary = int(cell["boundary_step"].isel(boundary=0).max())
    return np.asarray(cell["step"].values, dtype=float) - boundary


def _usable(cell: xr.Dataset, arm: str) -> xr.Dataset:
    """One arm, NaN for every seed that diverged or whose kernel died in either arm."""
    failed = ((cell["diverged_step"] >= 0) | (cell["dead_step"] >= 0)).any("arm")
    return cell.sel(arm=arm).where(~failed)


def _say_who_is_missing(axes: Axes, metrics: xr.Dataset) -> None:
    """Name the widths with seeds that are left out, so that no average hides them."""
    failed = ((metrics["diverged_step"] >= 0) | (metrics["dead_step"] >= 0)).any("arm").sum("seed")
    widths = failed["width"].values
    found = [f"width {w}: {n}" for w, n in zip(widths, failed.values, strict=True) if n]
    if found:
        said = "seeds left out (diverged or dead)\n" + "\n".join(found)
        size = plt.rcParams["xtick.labelsize"] - 1
        axes.text(0.98, 0.97, said, transform=axes.transAxes, ha="right", va="top", fontsize=size)


def _same_limits(row: list[Axes], relative: bool) -> None:
    """One scale for a row; where it is relative to the boundary, by the curves from there on."""
    curves = [line.get_xydata() for axes in row for line in axes.lines]
    x, y = np.concatenate([np.asarray(c) for c in curves if len(np.asarray(c)) > 2]).T
    low = min(axes.get_ylim()[0] for axes in row)
    high = max(axes.get_ylim()[1] for axes in row)
    if relative:
        low, high = y[x >= -_LINEAR].min() / 1.6, y[x >= -_LINEAR].max() * 1.3
    for number, axes in enumerate(row):
        axes.set_ylim(low, high)
        if number:
            axes.tick_params(labelleft=False)


def _against_width(axes: Axes, fits: xr.Dataset, row: Row, regimes: list[str]) -> None:
    chosen = fits.sel(quantity=row.effect).isel(boundary=0)
    widths = np.asarray(chosen["width"].values, dtype=float)
    nudge = 0.06 * (np.arange(len(regimes)) - (len(regimes) - 1) / 2)
    texts = []
    for number, regime in enumerate(regimes):
        cell = chosen.sel(regime=regime)
        middle, low, high = (cell[name].values for name in ("estimate", "low", "high"))
        if row.ratio:
            middle, low, high = np.exp(middle), np.exp(low), np.exp(high)
        axes.errorbar(
            widths * np.exp(nudge[number]),
            middle,
            yerr=[middle - low, high - middle],
            color=REGIME_COLOURS[number],
            marker=REGIME_MARKERS[number],
            markersize=2.8,
            linewidth=0.8,
            elinewidth=0.7,
            capsize=1.2,
            capthick=0.5,
        )
        texts.append(_exponent(fits, row, regime))
    _width_scale(axes, widths)
    if row.ratio or (chosen["low"].min() > 0 and any(texts)):
        axes.set_yscale("log")
    if axes.get_yscale() == "linear" or row.ratio:
        axes.axhline(1.0 if row.ratio else 0.0, color=TWIN, linewidth=0.6, zorder=0)
    axes.set_ylabel(row.effect_label)
    _exponents(axes, texts)


def _exponent(fits: xr.Dataset, row: Row, regime: str) -> str | None:
    """`b ± half`, the exponent of the effect in width; None where there is none."""
    if "law" not in fits.dims or row.effect not in fits["law"].values:
        return None
    law = fits.sel(law=row.effect, regime=regime).isel(boundary=0)
    middle, low, high = (float(law[f"exponent{end}"]) for end in ("", "_low", "_high"))
    if not np.isfinite(middle):
        return None
    bent = float(law["curvature_low"]) > 0 or float(law["curvature_high"]) < 0
    text = f"{middle:+.2f} ± {(high - low) / 2:.2f}".replace("-", "\N{MINUS SIGN}")
    return text + ("*" if bent else "")


def _exponents(axes: Axes, texts: list[str | None]) -> None:
    """The exponents in the colours of their regimes, where the panel has room."""
    shown = {number: text for number, text in enumerate(texts) if text}
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            color=REGIME_COLOURS[number],
            marker=REGIME_MARKERS[number],
            markersize=2.2,
            label=text,
        )
        for number, text in shown.items()
    ]
    if handles:
        axes.legend(
            handles=handles,
            labelcolor=[REGIME_COLOURS[number] for number in shown],
            fontsize=plt.rcParams["xtick.labelsize"] - 0.5,
            title="exponent of width",
            title_fontsize=plt.rcParams["xtick.labelsize"] - 0.5,
            loc="best",
            handlelength=0.8,
            handletextpad=0.3,
            labelspacing=0.15,
            borderpad=0.1,
            frameon=False,
        )


def _width_scale(axes: Axes, widths: np.ndarray) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlim(widths.min() / 1.3, widths.max() * 1.3)
    axes.xaxis.set_major_locator(FixedLocator(widths.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(widths, [f"{w:.0f}" for w in widths])
    axes.xaxis.set_minor_formatter(NullFormatter())


def _titles(
    figure: Figure, grid: np.ndarray, regimes: list[str], labels: Mapping[str, str]
) -> None:
    for regime, axes in zip(regimes, grid[0, :-1], strict=True):
        axes.set_title(labels.get(regime, regime))
    for axes in grid[-1, :-1]:
        axes.set_xlabel("steps from the boundary")
    grid[-1, -1].set_xlabel("width")
    for axes in grid[:-1].flat:
        axes.tick_params(labelbottom=False)
    for letter, axes in zip("abcdefghijklmnopqrstuvwxyz", grid.flat, strict=False):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(letter, loc="left", fontweight="bold", x=-0.02)


def _legends(
    figure: Figure,
    grid: np.ndarray,
    colours: Mapping[int, object],
    regimes: list[str],
    labels: Mapping[str, str],
    metrics: xr.Dataset,
) -> None:
    lines = [Line2D([], [], color=c, linewidth=1.5, label=f"{w}") for w, c in colours.items()]  # type: ignore[arg-type]
    twin = Line2D([], [], color=TWIN, linewidth=0.8, linestyle=TWIN_DASHES, label="no shift (twin)")
    edge = Line2D([], [], color="0.2", linewidth=0.6, linestyle=(0, (1, 1.5)), label="boundary")
    title = Line2D([], [], linestyle="none", label="width")
    points = [
        Line2D(
            [],
            [],
            color=REGIME_COLOURS[number],
            marker=REGIME_MARKERS[number],
            markersize=3,
            linewidth=0.8,
            label=regime,
        )
        for number, regime in enumerate(regimes)
    ]
    handles = [title, *lines, twin, edge, *points]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        frameon=False,
        handlelength=1.3,
        columnspacing=0.9,
        handletextpad=0.4,
        borderaxespad=0.2,
    )
