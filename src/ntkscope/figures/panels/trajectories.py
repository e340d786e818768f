"""Trajectories around a boundary: a metric's mean over seeds with its interval, twins in grey."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ntkscope.figures.curves import SEED, boundary_scale, draw_band
from ntkscope.figures.panels.effects import plain_ticks
from ntkscope.figures.panels.page import say_empty
from ntkscope.figures.panels.quantities import Metric, PanelGrid
from ntkscope.figures.panels.sweeps import Point, steps_from_boundary, usable
from ntkscope.figures.style import (
    TWIN,
    colours_along,
)
from ntkscope.statistics.paired import FloatArray


def draw_trajectories(
    axes: Axes,
    cells: Iterable[tuple[xr.Dataset, Any]],
    metric: Metric,
    window: int,
    confidence: float,
    line: Any = "-",
) -> None:
    """A metric around the first boundary of cells, each with its colour; their twins dashed grey.

    Runs that are the same before the boundary are drawn once there.

    Args:
        axes: the panel.
        cells: cells and their colours; at least one.
        metric: what is drawn.
        window: steps that count as just before the boundary; the scale of steps is linear there.
        confidence: of the bands over seeds.
        line: style of the lines of the shifted runs.
    """
    before, after = 0.0, 0.0
    pasts: set[bytes] = set()
    for cell, colour in cells:
        x = steps_from_boundary(cell)
        before, after = min(before, x.min()), max(after, x.max())
        for arm, shade in (("twin", TWIN), ("shift", colour)):
            values = trajectory(cell, arm, metric, window)
            past = np.vstack([x, values])[:, x < 0].tobytes()
            start = 0 if arm == "twin" else x[x < 0][-1] if past in pasts else -np.inf
            shown = x >= start
            pasts |= {past} if arm == "shift" and (x < 0).any() else set()
            band = None if arm == "twin" else confidence
            draw_band(
                axes, x[shown], values[:, shown], band, metric.log, shade, line, metric.bounds
            )
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
    column: Sequence[Axes] | PanelGrid,
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


def finish_lines(
    grid: PanelGrid, metrics: Sequence[Metric], window: int, x: str = "steps from the boundary"
) -> None:
    """Scales and labels of rows of trajectories, a metric each."""
    for metric, row in zip(metrics, grid, strict=True):
        share_limits(row, metric, window)
    for axes in grid[:-1].flat:
        axes.tick_params(labelbottom=False)
    for axes in grid[-1]:
        axes.set_xlabel(x)


def draw_columns(
    grid: PanelGrid,
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
    colours = colours_along(axis, values, palette)
    for (title, points), column in zip(columns.items(), grid.T, strict=True):
        column[0].set_title(title)
        draw_lines(column, points, metrics, axis, colours, attrs)
    finish_lines(grid, metrics, int(attrs["window"]))
    return colours


def share_limits(row: Sequence[Axes] | PanelGrid, metric: Metric, window: int) -> None:
    """One scale for panels, by their lines; where it is relative to the boundary, from there on.

    The bands of seeds that differ by orders of magnitude may go beyond.
    """
    row[0].set_ylabel(metric.label)
    drawn = [axes for axes in row if _curves(axes)]
    for axes in row:
        if axes not in drawn:
            axes.set_yscale("linear")  # a logarithmic one has no ticks without data
            say_empty(axes, "no finite values")
    if not drawn:
        return
    low, high = _limits(drawn, metric, window)
    for number, axes in enumerate(row):
        axes.set_ylim(low, high)
        if metric.relative:
            plain_ticks(axes)
        axes.tick_params(labelleft=number == 0, which="both")


def _curves(axes: Axes) -> list[FloatArray]:
    """The lines of a panel that have more points than the boundary's, without those of seeds."""
    drawn = (line for line in axes.lines if line.get_gid() != SEED)
    lines = [np.asarray(line.get_xydata(), float) for line in drawn]
    return [line for line in lines if len(line) > 2]


def _limits(row: Sequence[Axes], metric: Metric, window: int) -> tuple[float, float]:
    """Of the y axis, for panels with curves."""
    x, y = np.concatenate([curve for axes in row for curve in _curves(axes)]).T
    low = min(axes.get_ylim()[0] for axes in row)
    high = max(axes.get_ylim()[1] for axes in row)
    if metric.relative:
        return y[x >= -window].min() / 1.6, y[x >= -window].max() * 1.3
    if metric.log:
        return max(low, y.min() / 5), min(high, y.max() * 5)
    return low, high
