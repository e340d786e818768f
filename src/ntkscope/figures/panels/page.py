"""The page: grids of panels, letters over them, legends, and room for these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.panels.quantities import Look, PanelGrid
from ntkscope.figures.style import (
    BOUNDARY_DOTS,
    MM,
    TWIN,
    TWIN_DASHES,
)


class RepeatableLayout(ConstrainedLayoutEngine):
    """Constrained layout with rounded positions.

    The last digits of its solver follow the order of addresses in memory; colours of pixels at an
    edge would follow them.
    """

    def execute(self, fig: Figure) -> Any:
        """Lay out, then round."""
        grids = super().execute(fig)
        for axes in fig.axes:
            box = Bbox(np.round(axes.get_position(original=True).get_points(), 9))
            # The public method takes axes out of the layout.
            axes._set_position(box)  # type: ignore[attr-defined]
        return grids


def new_grid(
    style: FigureStyle, rows: int, columns: int, height: float, **options: Any
) -> tuple[Figure, PanelGrid]:
    """A figure of the style's width and `height` times that, and its panels (rows, columns)."""
    size = (style.width_mm * MM, style.width_mm * MM * height)
    figure, grid = plt.subplots(
        rows, columns, figsize=size, layout=RepeatableLayout(), squeeze=False, **options
    )
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, grid


def new_blocks(
    style: FigureStyle, shapes: Sequence[tuple[int, int]], height: float, ratios: Sequence[float]
) -> tuple[Figure, list[PanelGrid]]:
    """A figure of blocks of panels, beside each other or, without ratios, stacked.

    Args:
        style: has the width.
        shapes: rows and columns of each block.
        height: of the figure, in widths.
        ratios: widths of the blocks; none: one over the other.
    """
    size = (style.width_mm * MM, style.width_mm * MM * height)
    figure = plt.figure(figsize=size, layout=RepeatableLayout())
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
) -> tuple[Figure, tuple[PanelGrid, PanelGrid]]:
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


def say_empty(axes: Axes, why: str) -> None:
    """Why a panel has nothing in it, in its middle."""
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color="0.4")


def note(axes: Axes, text: str) -> None:
    """What a reader must know of a panel's points, in its upper left corner."""
    size = plt.rcParams["xtick.labelsize"]
    axes.text(0.03, 0.98, text, transform=axes.transAxes, va="top", fontsize=size, color="0.3")


def letter(*grids: PanelGrid) -> None:
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
    """A legend over the figure, read row by row, as wide as the page unless columns are given."""
    columns = columns or _columns_that_fit(figure, handles)
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


def _columns_that_fit(figure: Figure, handles: Sequence[Artist]) -> int:
    """Columns of a legend in as few rows as the page's width allows."""
    letter, page = 0.55 * plt.rcParams["legend.fontsize"], 72 * figure.get_figwidth()
    needed = [len(_plain(str(each.get_label()))) * letter + _MARK for each in handles]
    rows = max(1, int(np.ceil(sum(needed) / (0.97 * page))))
    columns = -(-len(handles) // rows)
    while columns > 1 and sum(_widest(needed, columns)) > 0.97 * page:
        columns -= 1
    return max(columns, 1)


_MARK = 16.5
"""Points of a legend's entry beside its letters."""


def _plain(label: str) -> str:
    return label.replace("\\infty", "∞").translate(str.maketrans("", "", "${}^_\\"))


def _widest(needed: Sequence[float], columns: int) -> list[float]:
    """The widest entry of each column."""
    return [max(needed[column::columns]) for column in range(min(columns, len(needed)))]


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
