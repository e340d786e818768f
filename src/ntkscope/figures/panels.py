"""What the figures are made of: curves around a boundary, effects along an axis, legends, letters.

A cell is one point of a sweep: a table of kind `experiment` without the sweep's axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator
from numpy.typing import NDArray

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.curves import boundary_scale, draw_band
from ntkscope.figures.style import (
    BOUNDARY_DOTS,
    MM,
    REGIME_COLOURS,
    REGIME_MARKERS,
    TWIN,
    TWIN_DASHES,
    width_colours,
)

FloatArray = NDArray[np.float64]
Grid = NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """What a trajectory is.

    Attributes:
        name: variable of the metrics; label: of its axis; log: its scale.
        relative: divided by its mean over the window before the boundary.
    """

    name: str
    label: str
    log: bool = False
    relative: bool = False


VELOCITY = Metric("velocity", "velocity\n(1/step)", log=True)
NORM = Metric(
    "spectral_norm", "norm $\\lambda_\\max$\n(relative to before)", log=True, relative=True
)
DISTANCE = Metric("distance_from_start", "distance from start\n(1 − CKA)")
ALIGNMENT = Metric("alignment", "alignment\n(CKA with labels)")


@dataclass(frozen=True)
class Effect:
    """What a point with its interval is.

    Attributes:
        quantity: of the fits; label: of its axis, where `{window}` stands for steps.
        ratio: the quantity is the log of a ratio, drawn as the ratio on a log scale.
    """

    quantity: str
    label: str
    ratio: bool = False


SPIKE = Effect("spike", "spike\n(velocity / twin's)", ratio=True)
PEAK = Effect("peak_velocity", "peak velocity\n(/ twin's)", ratio=True)
NORM_DROP = Effect("norm_drop", "norm drop\n(less twin's)")
CHECKMARK = Effect("checkmark", "checkmark\n(less twin's)")
MOVED = Effect("distance", "distance moved in\n{window} steps (less twin's)")
DEFLECTION = Effect("deflection", "deflection\n(less twin's)")
FORGETTING = Effect("forgetting", "forgetting\n(accuracy, less twin's)")
RECOVERY = Effect("recovery", "recovery\n(share of the fall)")
MINIMUM_STEP = Effect("minimum_step", "step of the minimum\nnorm, from the boundary")


@dataclass(frozen=True)
class Look:
    """How a series is told from others, with and without colours.

    Attributes:
        colour: of its line and points.
        marker, line: of points and of the line that joins them.
        filled: whether the points are.
    """

    colour: Any
    marker: str = "o"
    line: Any = "-"
    filled: bool = True

    @property
    def drawing(self) -> dict[str, Any]:
        """Keywords of matplotlib's lines."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": self.colour if self.filled else "white",
            "markeredgewidth": 0.7,
        }


def regime_look(number: int, **changes: Any) -> Look:
    """The look of a figure's regimes, by their place in the configuration."""
    return replace(Look(REGIME_COLOURS[number], REGIME_MARKERS[number]), **changes)


@dataclass(frozen=True)
class Point:
    """A point of a sweep that has a run.

    Attributes:
        at: the axes that it has, and their values.
        metrics: its cell; fits: those of its first boundary, (quantity, …).
    """

    at: dict[str, Any]
    metrics: xr.Dataset
    fits: xr.Dataset


def role_of(point: Point) -> str:
    """The role that a point's variant plays in its analysis; empty where it plays none."""
    known = "variant_role" in point.metrics.coords
    return str(point.metrics["variant_role"].item()) if known else ""


def points_of(metrics: xr.Dataset, fits: xr.Dataset) -> list[Point]:
    """The points of a sweep in the order of the configuration, at its largest width."""
    axes = str(metrics.attrs["axes"]).split()
    widest = [int(np.argmax(metrics["width"].values))]
    metrics, fits = metrics.isel(width=widest), fits.isel(width=widest)
    there = metrics["present"].sel(arm="shift").transpose(*axes).values
    places = [dict(zip(axes, map(int, place), strict=True)) for place in np.argwhere(there)]
    return [
        Point(_values_at(metrics, place), metrics.isel(place), fits.isel(place | {"boundary": 0}))
        for place in places
    ]


def _values_at(data: xr.Dataset, place: Mapping[str, int]) -> dict[str, Any]:
    found = {axis: data[axis].values[number].item() for axis, number in place.items()}
    return {axis: value for axis, value in found.items() if str(value) not in ("nan", "null")}


def values_of(points: Iterable[Point], axis: str) -> list[Any]:
    """The values that points have along an axis, each once."""
    return list(dict.fromkeys(point.at[axis] for point in points if axis in point.at))


def where(points: Iterable[Point], **at: Any) -> list[Point]:
    """The points that have these values; None: those that lack the axis."""
    return [p for p in points if all(p.at.get(axis) == value for axis, value in at.items())]


def new_grid(
    style: FigureStyle, rows: int, columns: int, height: float, **options: Any
) -> tuple[Figure, Grid]:
    """A figure of the style's width and `height` times that, and its panels (rows, columns)."""
    size = (style.width_mm * MM, style.width_mm * MM * height)
    figure, grid = plt.subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False, **options
    )
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, grid


def new_blocks(
    style: FigureStyle, shapes: Sequence[tuple[int, int]], height: float, ratios: Sequence[float]
) -> tuple[Figure, list[Grid]]:
    """A figure of blocks of panels, beside each other or, without ratios, stacked.

    Args:
        style: has the width.
        shapes: rows and columns of each block.
        height: of the figure, in widths.
        ratios: widths of the blocks; none: one over the other.
    """
    size = (style.width_mm * MM, style.width_mm * MM * height)
    figure = plt.figure(figsize=size, layout="constrained")
    if ratios:
        outer = figure.add_gridspec(1, len(shapes), width_ratios=ratios)
    else:
        outer = figure.add_gridspec(len(shapes), 1, height_ratios=[rows for rows, _ in shapes])
    grids = [
        outer[number].subgridspec(*shape).subplots(squeeze=False)
        for number, shape in enumerate(shapes)
    ]
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, grids


def lines_and_effects(
    style: FigureStyle, lines: tuple[int, int], effects: int, height: float, ratio: float
) -> tuple[Figure, tuple[Grid, Grid]]:
    """Trajectories, and two rows of effects beside them, or below where there are many columns.

    Args:
        style: has the width.
        lines: rows and columns of the trajectories.
        effects: columns of the effects.
        height: of the figure, in widths; ratio: of effects to trajectories in width.
    """
    few = lines[1] <= 2
    ratios, high = ([1.0, ratio], height) if few else ([], 1.9 * height)
    figure, (left, right) = new_blocks(style, [lines, (2, effects)], high, ratios)
    return figure, (left, right)


def steps_from_boundary(cell: xr.Dataset) -> FloatArray:
    """Steps of the snapshots that there are, from the first boundary: (snapshot,)."""
    steps = np.asarray(cell["step"].values, float)
    return steps[steps >= 0] - int(cell["boundary_step"].values[0])


def usable(cell: xr.Dataset, arm: str) -> xr.Dataset:
    """One arm, NaN for every seed that diverged or whose kernel died in either arm."""
    return cell.sel(arm=arm).where(~_failed(cell))


def left_out(cell: xr.Dataset) -> int:
    """How many seeds `usable` leaves out."""
    return int(_failed(cell).sum())


def _failed(cell: xr.Dataset) -> xr.DataArray:
    return ((cell["diverged_step"] >= 0) | (cell["dead_step"] >= 0)).any("arm")


def draw_trajectories(
    axes: Axes,
    cells: Iterable[tuple[xr.Dataset, Any]],
    metric: Metric,
    window: int,
    confidence: float,
    line: Any = "-",
) -> None:
    """A metric around the first boundary of cells, each with its colour; their twins dashed grey.

    Args:
        axes: the panel.
        cells: cells and their colours; at least one.
        metric: what is drawn.
        window: steps that count as just before the boundary; the scale of steps is linear there.
        confidence: of the bands over seeds.
        line: style of the lines of the shifted runs.
    """
    before, after = 0.0, 0.0
    for cell, colour in cells:
        x = steps_from_boundary(cell)
        before, after = min(before, x.min()), max(after, x.max())
        for arm, shade in (("twin", TWIN), ("shift", colour)):
            values = trajectory(cell, arm, metric, window)
            shown = x >= (0 if arm == "twin" else -np.inf)
            band = None if arm == "twin" else confidence
            draw_band(axes, x[shown], values[:, shown], band, metric.log, shade, line)
    if metric.log:
        axes.set_yscale("log")
    boundary_scale(axes, int(-before), int(after), window)


def trajectory(cell: xr.Dataset, arm: str, metric: Metric, window: int) -> FloatArray:
    """A metric of one arm's seeds, (seed, snapshot)."""
    x = steps_from_boundary(cell)
    whole = usable(cell, arm)[metric.name].transpose("seed", "snapshot").values
    values = np.asarray(whole[:, : len(x)], float)
    if metric.relative:
        before = (x > -window) & (x <= 0)
        values = values / values[:, before].mean(axis=1, keepdims=True)
    return values


def draw_lines(
    column: Sequence[Axes] | Grid,
    points: Sequence[Point],
    metrics: Sequence[Metric],
    axis: str,
    colours: Mapping[Any, Any],
    attrs: Mapping[str, Any],
) -> None:
    """A column of panels, a metric each, with a line for each point along one axis of the sweep.

    Args:
        column: the panels.
        points: of the sweep; metrics: of the panels.
        axis: what the lines differ in; colours: its values and their colours.
        attrs: of the fits.
    """
    cells = [(point.metrics, colours[point.at[axis]]) for point in points]
    for metric, axes in zip(metrics, column, strict=True):
        draw_trajectories(axes, cells, metric, int(attrs["window"]), attrs["confidence"])


def finish_lines(grid: Grid, metrics: Sequence[Metric], window: int) -> None:
    """Scales and labels of rows of trajectories, a metric each."""
    for metric, row in zip(metrics, grid, strict=True):
        share_limits(row, metric, window)
    for axes in grid[:-1].flat:
        axes.tick_params(labelbottom=False)
    for axes in grid[-1]:
        axes.set_xlabel("steps from the boundary")


def draw_columns(
    grid: Grid,
    columns: Mapping[str, Sequence[Point]],
    metrics: Sequence[Metric],
    axis: str,
    palette: str,
    attrs: Mapping[str, Any],
) -> dict[Any, Any]:
    """Trajectories, a column of panels for some points, a line for each value of an axis.

    Args:
        grid: (metric, column); columns: title → its points.
        metrics: of the rows.
        axis: what the lines of a column differ in; palette: of its values.
        attrs: of the fits.

    Returns:
        The values in order and their colours.
    """
    values = sorted({point.at[axis] for points in columns.values() for point in points})
    colours = dict(zip(values, width_colours(palette, len(values)), strict=True))
    for (title, points), column in zip(columns.items(), grid.T, strict=True):
        column[0].set_title(title)
        draw_lines(column, points, metrics, axis, colours, attrs)
    finish_lines(grid, metrics, int(attrs["window"]))
    return colours


def share_limits(row: Sequence[Axes] | Grid, metric: Metric, window: int) -> None:
    """One scale for panels, by their lines; where it is relative to the boundary, from there on.

    The bands of seeds that differ by orders of magnitude may go beyond.
    """
    curves = [np.asarray(line.get_xydata()) for axes in row for line in axes.lines]
    x, y = np.concatenate([curve for curve in curves if len(curve) > 2]).T
    low = min(axes.get_ylim()[0] for axes in row)
    high = max(axes.get_ylim()[1] for axes in row)
    if metric.relative:
        low, high = y[x >= -window].min() / 1.6, y[x >= -window].max() * 1.3
    elif metric.log:
        low, high = max(low, y.min() / 5), min(high, y.max() * 5)
    for number, axes in enumerate(row):
        axes.set_ylim(low, high)
        if metric.relative:
            _plain_ticks(axes)
        axes.tick_params(labelleft=number == 0, which="both")
    row[0].set_ylabel(metric.label)


def draw_effect(
    axes: Axes,
    x: FloatArray,
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
    axes.errorbar(
        x[there],
        middle[there],
        yerr=[(middle - low)[there], (high - middle)[there]],
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
    """Estimate and ends of the interval of each cell, as they are drawn: (point,)."""
    middle, low, high = (
        np.asarray([float(cell[name].sel(quantity=effect.quantity)) for cell in cells])
        for name in ("estimate", "low", "high")
    )
    return (np.exp(middle), np.exp(low), np.exp(high)) if effect.ratio else (middle, low, high)


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
        _plain_ticks(axes)


def _plain_ticks(axes: Axes) -> None:
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
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
    across, size = axes.get_xaxis_transform(), plt.rcParams["xtick.labelsize"] - 1
    for place, (lost, seeds) in counts.items():
        if lost:
            axes.plot(
                place, 1.05, "x", color="black", markersize=3, transform=across, clip_on=False
            )
            said = {"ha": "center", "va": "bottom", "fontsize": size, "transform": across}
            axes.text(place, 1.09, f"{lost}/{seeds}", **said)


def say_left_out(axes: Axes, found: Iterable[tuple[str, int]]) -> None:
    """Name the lines with seeds that are left out, so that no average hides them."""
    lines = [f"{name}: {count}" for name, count in found if count]
    if lines:
        said = "seeds left out (diverged or dead)\n" + "\n".join(lines)
        size = plt.rcParams["xtick.labelsize"] - 1
        axes.text(0.98, 0.97, said, transform=axes.transAxes, ha="right", va="top", fontsize=size)


def text_legend(axes: Axes, looks: Sequence[Look], texts: Sequence[str | None], title: str) -> None:
    """Numbers in the colours and markers of their series, where the panel has room."""
    size = plt.rcParams["xtick.labelsize"] - 0.5
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


def letter(*grids: Grid) -> None:
    """a, b, c, … over the panels."""
    panels = [axes for grid in grids for axes in grid.flat]
    for name, axes in zip("abcdefghijklmnopqrstuvwxyz", panels, strict=False):
        axes.set_title(name, loc="left", fontweight="bold", x=-0.2)


def line_handle(label: str, colour: Any, line: Any = "-") -> Line2D:
    """A legend's entry of a trajectory."""
    return Line2D([], [], color=colour, linewidth=1.5, linestyle=line, label=label)


def point_handle(label: str, look: Look) -> Line2D:
    """A legend's entry of points with intervals."""
    return Line2D([], [], **look.drawing, markersize=3, linewidth=0.8, label=label)


def heading(label: str) -> Line2D:
    """A legend's entry that names those after it."""
    return Line2D([], [], linestyle="none", label=label)


def context_handles() -> list[Line2D]:
    """A legend's entries of the twins and of the boundary."""
    return [
        Line2D([], [], color=TWIN, linewidth=0.8, linestyle=TWIN_DASHES, label="no shift (twin)"),
        Line2D([], [], color="0.2", linewidth=0.6, linestyle=BOUNDARY_DOTS, label="boundary"),
    ]


def legend_above(figure: Figure, handles: Sequence[Artist], columns: int | None = None) -> None:
    """A legend over the figure, read row by row, in one row unless a number of columns is given."""
    columns = columns or len(handles)
    rows = -(-len(handles) // columns)
    padded = [*handles, *[heading("")] * (rows * columns - len(handles))]
    figure.legend(
        handles=[
            padded[row * columns + column] for column in range(columns) for row in range(rows)
        ],
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        handlelength=1.3,
        columnspacing=0.9,
        handletextpad=0.4,
        borderaxespad=0.2,
    )


def make_room(figure: Figure) -> None:
    """Raise the top of every panel whose legend lies on its data, until none does."""
    for _ in range(8):
        figure.draw_without_rendering()
        crowded = [axes for axes in figure.axes if _covers_data(figure, axes)]
        for axes in crowded:
            low, high = axes.transData.inverted().transform(
                axes.transAxes.transform([(0, 0), (0, 1.12)])
            )
            axes.set_ylim(low[1], high[1])
        if not crowded:
            return


def _covers_data(figure: Figure, axes: Axes) -> bool:
    """Whether the legend lies on a line, a point or an interval."""
    legend = axes.get_legend()
    if legend is None:
        return False
    box = legend.get_window_extent().padded(3 * figure.dpi / 72)  # a marker's radius
    paths = [line.get_transform().transform_path(line.get_path()) for line in axes.lines]
    bars = [each for each in axes.collections if isinstance(each, LineCollection)]
    paths += [bar.get_transform().transform_path(path) for bar in bars for path in bar.get_paths()]
    return any(path.intersects_bbox(box, filled=False) for path in paths)
