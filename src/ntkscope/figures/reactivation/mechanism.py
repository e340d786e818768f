"""Beyond the paper: what moves the kernel at a boundary, and whether that predicts forgetting.

A column a point of the sweep. Rows: the layer NTKs' shares of the change, the largest eigenvalues,
the labels in their eigenvectors, accuracy. Below: forgetting against the norm's drop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.curves import boundary_scale, draw_band
from ntkscope.figures.panels import Metric, Point, every_point, lost_in_words, name_of, series_of
from ntkscope.figures.reactivation.forgetting import correlations_in_words, draw_forgetting
from ntkscope.figures.style import TWIN, ordered_colours

MOST = 4
"""Columns at most."""
RANKS = (1, 3, 5, 10)
"""Eigenvalues that are drawn, and numbers of eigenvectors in which the labels are sought."""

SHARE = Metric("layer_share", "layer NTKs' share\nof the change")
EIGENVALUES = Metric("eigenvalues", "eigenvalue $\\lambda_i$\n(relative)", log=True, relative=True)
LABELS = Metric("label_projection", "labels in first\n$i$ eigenvectors", bounds=(0.0, 1.0))
ACCURACY = Metric("accuracy", "accuracy", bounds=(0.0, 1.0))

_DASHES = ("-", (0, (3, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (3, 1, 1, 1, 1, 1)))
_LAYER_COLOURS = ("#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#0072B2")
_READOUT = ("0.1", (0, (1, 1)))
_TASKS = {
    1: ("task 1", "#0072B2", "-"),
    2: ("task 2", "#E69F00", (0, (3, 1))),
}


@dataclass(frozen=True)
class Curve:
    """One line of a panel.

    Attributes:
        cell: with the metric over seeds and snapshots only.
        colour, line: its look; label: its name in the legend.
        arm: whose it is.
    """

    cell: xr.Dataset
    colour: Any
    line: Any
    label: str = ""
    arm: str = "shift"


def draw(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): of any analysis, the first boundary."""
    points = every_point(metrics, fits)
    shown = representative(points)
    if not shown:
        return _empty(style)
    rows = [metric for metric in _CURVES if metric.name in metrics]
    shapes = [(len(rows), len(shown)), (1, 2)]
    figure, (grid, below) = panels.new_blocks(style, shapes, 0.92, [])
    blocks = below[0, 0].get_subplotspec().get_topmost_subplotspec().get_gridspec()
    blocks.set_height_ratios([len(rows), 1.4])
    for point, column in zip(shown, grid.T, strict=True):
        for metric, axes in zip(rows, column, strict=True):
            _draw_curves(axes, point.metrics, metric, fits.attrs, style.palette)
        name = [*name_of(point, shown, points, labels), *lost_in_words(point)]
        column[0].set_title("\n".join(name))
    panels.finish_lines(grid, rows, int(fits.attrs["window"]))
    for metric, row in zip(rows, grid, strict=True):
        if metric in (LABELS, ACCURACY):
            for axes in row:
                axes.set_ylim(-0.05, 1.05)
    draw_forgetting(below[0], points, fits, style.palette, labels)
    _letters([*grid[:, 0], below[0, 0]])
    _legend(figure, [point.metrics for point in shown], rows, style.palette)
    figure.align_ylabels([*grid[:, 0], below[0, 0]])
    return figure


def _empty(style: FigureStyle) -> Figure:
    figure, grid = panels.new_grid(style, 1, 1, 0.3)
    grid[0, 0].set(xticks=[], yticks=[])
    panels.say_empty(grid[0, 0], "needs 2 seeds that neither diverged nor died")
    return figure


def words(fits: xr.Dataset) -> dict[str, str]:
    """Placeholders of its caption: `analysis`, and `correlations` as in the figure."""
    _, *found = correlations_in_words(fits)
    return {"analysis": str(fits.attrs["analysis"]), "correlations": "; ".join(found)}


def representative(points: Sequence[Point]) -> list[Point]:
    """The first and last point of each series, or only the last where those are too many."""
    kept = [p for p in points if p.metrics.sizes["seed"] - panels.left_out(p.metrics) > 1]
    groups = list(series_of(kept).values())
    ends = [point for group in groups for point in (*group[:1], *group[1:][-1:])]
    return ends if len(ends) <= MOST else [group[-1] for group in groups][:MOST]


def _draw_curves(
    axes: Axes, cell: xr.Dataset, metric: Metric, attrs: Mapping[str, Any], palette: str
) -> None:
    """One panel, from shortly before the first boundary to the next or to the end."""
    window, x = int(attrs["window"]), panels.steps_from_boundary(cell)
    edges = cell["boundary_step"].values
    end = edges[1] - edges[0] if len(edges) > 1 and edges[1] >= 0 else x.max()
    for curve in _CURVES[metric](cell, palette):
        twin = curve.arm == "twin"
        shown = (x >= (0 if twin else -(window // 2))) & (x <= end)
        values = panels.trajectory(curve.cell, curve.arm, metric, window)
        band = None if twin else attrs["confidence"]
        look = (curve.colour, curve.line, metric.bounds)
        draw_band(axes, x[shown], values[:, shown], band, metric.log, *look)
    if metric.log:
        axes.set_yscale("log")
    boundary_scale(axes, window // 2, int(end), window)


def _shares(cell: xr.Dataset, palette: str) -> Iterator[Curve]:
    for number, name in enumerate(layers_of(cell)):
        label = f"layer {number + 1}" + (" (input)" if number == 0 else "")
        look = (_LAYER_COLOURS[number % 5], _DASHES[number % 5], label)
        yield Curve(cell.sel(layer=name), *((*_READOUT, name) if name == "readout" else look))


def layers_of(cell: xr.Dataset) -> list[str]:
    """The layers of a cell from input to readout."""
    there = cell["layer_share"].notnull().any(("arm", "seed", "snapshot"))
    names = [str(name) for name in cell["layer"].values[there.values]]
    return sorted(names, key=lambda name: name == "readout")


def _eigenvalues(cell: xr.Dataset, palette: str) -> Iterator[Curve]:
    yield Curve(cell.isel(rank=0), TWIN, "-", arm="twin")
    for rank, colour, line in _rank_looks(cell, palette):
        yield Curve(cell.sel(rank=rank), colour, line, str(rank))


def _labels(cell: xr.Dataset, palette: str) -> Iterator[Curve]:
    summed = cell["label_projection"].cumsum("rank", skipna=False)
    whole = cell.assign(label_projection=summed.assign_coords(rank=cell["rank"]))
    for rank, colour, line in _rank_looks(cell, palette):
        yield Curve(whole.sel(rank=rank), colour, line)


def _rank_looks(cell: xr.Dataset, palette: str) -> list[tuple[int, Any, Any]]:
    ranks = [rank for rank in RANKS if rank in cell["rank"].values]
    return list(zip(ranks, ordered_colours(palette, len(ranks)), _DASHES, strict=False))


def _accuracies(cell: xr.Dataset, palette: str) -> Iterator[Curve]:
    yield Curve(cell.sel(seen=1), TWIN, "-", arm="twin")
    for seen, (label, colour, line) in _TASKS.items():
        yield Curve(cell.sel(seen=seen), colour, line, label)


_CURVES = {
    SHARE: _shares,
    EIGENVALUES: _eigenvalues,
    LABELS: _labels,
    ACCURACY: _accuracies,
}
"""Row → the curves of a cell."""


def _legend(
    figure: Figure, cells: Sequence[xr.Dataset], rows: Sequence[Metric], palette: str
) -> None:
    """A line for layers, one for eigenvalues, one for the rest."""
    names = {SHARE: "layer NTK", EIGENVALUES: "eigenvalue", ACCURACY: "accuracy on"}
    lines = []
    for metric, name in names.items():
        if metric in rows:
            found = {c.label: c for cell in cells for c in _CURVES[metric](cell, palette)}
            curves = sorted(found.values(), key=lambda curve: curve.label == "readout")
            handles = [_handle(curve) for curve in curves if curve.label]
            lines.append([panels.heading(name), *handles])
    lines[-1] += panels.context_handles()
    columns = max(map(len, lines))
    padded = [[*line, *[panels.heading("")] * (columns - len(line))] for line in lines]
    panels.legend_above(figure, [handle for line in padded for handle in line], columns)


def _handle(curve: Curve) -> Line2D:
    """As thin as the curve, for its dashes to be seen."""
    return Line2D([], [], color=curve.colour, linestyle=curve.line, label=curve.label)


def _letters(first: Sequence[Axes]) -> None:
    """a, b, … at the first panel of each row, left of its title, and at the last one."""
    for name, axes in zip("abcdefg", first, strict=False):
        axes.annotate(
            name,
            (0, 1),
            (-24, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            fontweight="bold",
            fontsize=plt.rcParams["axes.titlesize"],
        )
