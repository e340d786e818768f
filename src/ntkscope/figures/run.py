"""The figure of one run: the paper's four metrics over the whole of it, at boundaries, by layer.

Rows: velocity, norm, distance, alignment, loss, as far as they are known. Columns: the run with its
boundaries (dotted) and alarms (triangles); each boundary by itself, over the steps from it; each
layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.curves import boundary_scale, draw_band
from ntkscope.figures.panels import Metric
from ntkscope.figures.style import (
    BOUNDARY_DOTS,
    REGIME_COLOURS,
    TWIN_DASHES,
    label_log_axes,
    looks,
    ordered_colours,
    printable,
)
from ntkscope.statistics.paired import FloatArray
from ntkscope.stores import atomic

NORM = Metric("spectral_norm", "norm $\\lambda_\\max$", log=True)
LOSS = Metric("loss", "loss", log=True)
ROWS = (panels.VELOCITY, NORM, panels.DISTANCE, panels.ALIGNMENT, LOSS)
SHARE = Metric("layer_share", "share of change\nsince boundary")

ALARM: dict[str, Any] = {
    "color": REGIME_COLOURS[0],
    "marker": "v",
    "markersize": 3.5,
    "linestyle": "none",
    "clip_on": False,
    "zorder": 3,
}
"""Looks of an alarm's mark."""

_WINDOW = 16
_BEFORE = 128  # steps before a boundary that are drawn
_NAMED = 8  # layers in the legend
_WIDTH, _ROW = 60.0, 29.0  # mm


def plot_run(
    metrics: xr.Dataset,
    path: str | Path | None = None,
    alarms: Mapping[str, Sequence[int]] | None = None,
    **style: Any,
) -> Figure:
    """Draw a run, and write it where a path is given.

    Args:
        metrics: a table of kind `metrics`, with any number of seeds.
        path: `.pdf`, `.png` or `.svg`; None: none.
        alarms: what they are of, such as `velocity` → steps at which they were raised.
        style: of `FigureStyle`; `width_mm` is 60 for each column unless it is given.
    """
    columns = _columns(metrics)
    sized = FigureStyle.model_validate({"width_mm": max(_WIDTH * len(columns), 80.0)} | style)
    with looks(sized):
        figure = draw_run(metrics, sized, {of: at for of, at in (alarms or {}).items() if at})
        label_log_axes(figure)
        figure.draw_without_rendering()
        plt.close(figure)  # whoever has it can show it; no window is left behind
        if path is not None:
            with atomic(path) as partial:
                figure.savefig(partial, dpi=sized.dpi)
    return figure


def draw_run(
    metrics: xr.Dataset, style: FigureStyle, alarms: Mapping[str, Sequence[int]]
) -> Figure:
    """The figure of a table of kind `metrics`."""
    columns = _columns(metrics)
    rows = [row for row in ROWS if _known(metrics, row.name)] or [panels.VELOCITY]
    height = len(rows) * _ROW + 12
    figure, grid = panels.new_grid(style, len(rows), len(columns), height / style.width_mm)
    edges = boundaries_of(metrics)
    colours = ordered_colours(style.palette, max(len(edges), 1))
    for row, axes_of_row in zip(rows, grid, strict=True):
        for column, axes in zip(columns, axes_of_row, strict=True):
            if column == "run":
                _draw_whole(axes, metrics, row, edges)
            elif column == "boundaries":
                _draw_boundaries(axes, metrics, row, edges, colours)
            else:
                _draw_layers(axes, metrics, row, edges, style.palette)
    _finish(figure, grid, columns)
    context = _context(colours[: len(edges)]) if edges else []
    _mark_alarms(grid, [row.name for row in rows], columns, alarms)
    if alarms:
        context.append(Line2D([], [], **ALARM, label="alarm"))
    if context:
        panels.legend_above(figure, context)
    if "layers" in columns:
        _name_layers(figure, metrics, style.palette)
    panels.letter(grid)
    return figure


def _mark_alarms(
    grid: panels.PanelGrid,
    rows: Sequence[str],
    columns: Sequence[str],
    alarms: Mapping[str, Sequence[int]],
) -> None:
    """Triangles at the top of the panel of what they are of; without one, of the first."""
    for of, steps in alarms.items():
        name = of.partition("/")[0]
        column = "layers" if name.startswith("layer_") and "layers" in columns else "run"
        row = name.removeprefix("layer_")
        axes = grid[rows.index(row) if row in rows else 0, columns.index(column)]
        axes.plot(steps, [0.96] * len(steps), transform=axes.get_xaxis_transform(), **ALARM)


def boundaries_of(metrics: xr.Dataset) -> list[int]:
    """Steps of the boundaries."""
    return [int(edge) for edge in np.atleast_1d(metrics.attrs["boundaries"])]


def _columns(metrics: xr.Dataset) -> list[str]:
    found = ["run"]
    found += ["boundaries"] if boundaries_of(metrics) else []
    return found + (["layers"] if "layer" in metrics.dims else [])


def _known(metrics: xr.Dataset, name: str) -> bool:
    return name in metrics and bool(np.isfinite(metrics[name].values).any())


def _values(metrics: xr.Dataset, name: str) -> FloatArray:
    """(seed, snapshot); of a loss on several tasks, that on the task of the step."""
    data = metrics[name]
    if "seen" in data.dims:
        return np.asarray(_of_task(data.transpose("seed", "snapshot", "seen").values))
    return np.asarray(data.transpose("seed", "snapshot").values, float)


def _of_task(values: FloatArray) -> FloatArray:
    """The last value that is known of each step, (seed, snapshot)."""
    known = np.isfinite(values)
    last = values.shape[-1] - 1 - known[..., ::-1].argmax(axis=-1)
    return np.take_along_axis(values, last[..., None], axis=-1)[..., 0]


def _draw_whole(axes: Axes, metrics: xr.Dataset, row: Metric, edges: Sequence[int]) -> None:
    steps = np.asarray(metrics["step"].values, float)
    _draw(axes, steps, _values(metrics, row.name), row, "0.15")
    if row.name == panels.DISTANCE.name and edges:
        since = _values(metrics, "distance_from_boundary")
        start = int(np.searchsorted(steps, edges[0]))
        draw_band(axes, steps[start:], since[:, start:], None, False, "0.45")
    _finish_panel(axes, steps, row, edges)


def _finish_panel(axes: Axes, steps: FloatArray, row: Metric, edges: Sequence[int]) -> None:
    """Boundaries, scale and label of a panel over the whole run."""
    for edge in edges:
        axes.axvline(edge, color="0.2", linewidth=0.6, linestyle=BOUNDARY_DOTS, zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlim(steps[0], max(steps[-1], steps[0] + 1))
    axes.set_ylabel(row.label)


def _draw(axes: Axes, x: FloatArray, values: FloatArray, row: Metric, colour: Any) -> None:
    """One line, with a band where there are seeds to have one."""
    finite = np.isfinite(values).any(axis=0)
    if row.log:
        finite &= (np.nan_to_num(values) > 0).any(axis=0)
    if not finite.any():
        return
    draw_band(axes, x, values, 0.95, row.log, colour, bounds=row.bounds)
    if finite.sum() == 1:
        axes.plot(x[finite], np.nanmean(values[:, finite], axis=0), ".", color=colour, markersize=3)
    if row.log:
        panels.log_axis(axes)


def _draw_boundaries(
    axes: Axes, metrics: xr.Dataset, row: Metric, edges: Sequence[int], colours: Sequence[Any]
) -> None:
    steps, values = np.asarray(metrics["step"].values, float), _values(metrics, row.name)
    if row.name == NORM.name:
        row = replace(row, label="norm relative to\nthe boundary's", relative=True)
    name = "distance_from_boundary" if row.name == panels.DISTANCE.name else row.name
    starts, ends = [steps[0], *edges[:-1]], [*edges[1:], steps[-1]]
    for edge, start, end, colour in zip(edges, starts, ends, colours, strict=True):
        own = _values(metrics, name) if name != row.name else values
        here = (steps >= max(start, edge - _BEFORE)) & (steps <= end)
        if name == "distance_from_boundary":
            here &= steps >= edge
            if end in edges:
                here &= steps < end  # there the distance is from itself
        x, shown = steps[here] - edge, own[:, here]
        if row.relative:
            shown = shown / own[:, steps == edge]
        _draw(axes, x, shown, row, colour)
    before = max(
        min(edge - max(s, edge - _BEFORE), _BEFORE) for edge, s in zip(edges, starts, strict=True)
    )
    after = max(end - edge for edge, end in zip(edges, ends, strict=True))
    window = max(1, min(_WINDOW, int(after) - 1, int(before) - 1))
    boundary_scale(axes, max(int(before), 1), max(int(after), 1), window)
    labels = {NORM.name: "norm relative to\nthe boundary's", "distance_from_start": _FROM}
    axes.set_ylabel(labels.get(row.name, row.label))


_FROM = "distance since\nboundary"


def _draw_layers(
    axes: Axes, metrics: xr.Dataset, row: Metric, edges: Sequence[int], palette: str
) -> None:
    steps = np.asarray(metrics["step"].values, float)
    if row.name == LOSS.name:
        if not edges:
            axes.set_axis_off()
            return
        row = SHARE
    name = row.name if row is SHARE else f"layer_{row.name}"
    data = metrics[name].transpose("layer", "seed", "snapshot").values
    for values, colour in zip(data, ordered_colours(palette, len(data)), strict=True):
        _draw(axes, steps, values, row, colour)
    _finish_panel(axes, steps, row, edges)


def _context(colours: Sequence[Any]) -> list[Any]:
    """What lines are, for the legend."""
    since, dots = "distance since the last boundary", BOUNDARY_DOTS
    found = [
        Line2D([], [], color="0.2", linewidth=0.6, linestyle=dots, label="boundary"),
        Line2D([], [], color="0.45", linewidth=0.8, linestyle=TWIN_DASHES, label=since),
    ]
    if len(colours) == 1:
        return found
    numbered = [panels.line_handle(str(n), colour) for n, colour in enumerate(colours, 1)]
    return [*found, panels.heading("at boundary"), *numbered[:_NAMED]]


def _finish(figure: Figure, grid: panels.PanelGrid, columns: Sequence[str]) -> None:
    titles = {"run": "the run", "boundaries": "at its boundaries", "layers": "by layer"}
    for column, axes in zip(columns, grid[0], strict=True):
        axes.set_title(titles[column])
    for axes in grid[:-1].flat:
        axes.tick_params(labelbottom=False)
    for column, axes in zip(columns, grid[-1], strict=True):
        axes.set_xlabel("steps from the boundary" if column == "boundaries" else "step")
    for column in grid.T:
        figure.align_ylabels(column)


def _name_layers(figure: Figure, metrics: xr.Dataset, palette: str) -> None:
    """A legend below of the layers, some where they are many, from the input on."""
    names = [printable(str(name)) for name in metrics["layer"].values]
    colours = ordered_colours(palette, len(names))
    shown = np.unique(np.linspace(0, len(names) - 1, min(len(names), _NAMED)).round().astype(int))
    handles = [panels.line_handle(names[place], colours[place]) for place in shown]
    figure.legend(
        handles=handles,
        title="layers" if len(shown) == len(names) else f"{len(shown)} of {len(names)} layers",
        loc="outside lower center",
        ncols=min(len(handles), 4),
        frameon=False,
        handlelength=1.3,
        columnspacing=0.9,
    )
