"""Panels of learning curves: points with intervals, axes of samples and errors, the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.curves import FEW
from ntkscope.figures.limitations.reading import Curve, Part, error_of
from ntkscope.figures.limitations.room import make_room, write_values
from ntkscope.figures.panels import Look, PanelGrid
from ntkscope.figures.style import BOUNDARY_DOTS, MM, TWIN
from ntkscope.statistics.paired import FloatArray, Interval

PANEL = (42.0, 40.0)
"""Least width and height of a panel, in mm."""

FAR = 1.5
"""How far beyond the means, as a ratio, intervals are followed by an axis of errors."""

CHANCE = 0.5
_CHANCE: dict[str, Any] = {
    "color": TWIN,
    "linewidth": 0.6,
    "linestyle": BOUNDARY_DOTS,
    "label": "chance",
}
POINT = 0.3528
"""Of type, in mm."""
ERROR, SQUARED = "test error", "normalised\nsquared error"


def columns_of(style: FigureStyle, wanted: int) -> int:
    """How many panels stand side by side on the page."""
    return max(1, min(wanted, int(style.width_mm / PANEL[0])))


def shape_of(style: FigureStyle, panels_there: int) -> tuple[int, int]:
    """Rows and columns of a block of panels, as many beside each other as the page has room for."""
    columns = columns_of(style, panels_there)
    return -(-panels_there // columns), columns


def new_page(style: FigureStyle, shapes: Sequence[tuple[int, int]]) -> tuple[Figure, list[Any]]:
    """A figure of stacked blocks of panels (rows, columns), as high as these need."""
    rows = sum(rows for rows, _ in shapes)
    widest = max(columns for _, columns in shapes)
    high = max(PANEL[1] + 3, min(0.8 * style.width_mm / widest, 52.0))
    return panels.new_blocks(style, shapes, (rows * high + 8) / style.width_mm, [])


def draw_points(
    axes: Axes,
    x: FloatArray,
    error: Interval | tuple[FloatArray, FloatArray, FloatArray],
    look: Look,
    used: Any = None,
) -> None:
    """Means with intervals, joined by a line; points that are not used are open.

    Args:
        axes: the panel.
        x: (point,).
        error: means and ends of intervals, (point,); an end that is NaN is not drawn.
        look: of the series.
        used: (point,) bool; none: all are.
    """
    middle, low, high = error[0], error[1], error[2]
    there = np.isfinite(middle)
    used = there if used is None else there & used
    arms = [np.nan_to_num(np.abs(middle - end)) for end in (low, high)]
    plain = look.drawing | {"marker": "", "linewidth": 0.9}
    axes.plot(x[there], middle[there], **plain, zorder=2)
    for shown, filled in ((used, True), (there & ~used, False)):
        if not shown.any():
            continue
        axes.errorbar(
            x[shown],
            middle[shown],
            yerr=[arm[shown] for arm in arms],
            markersize=3,
            elinewidth=0.7,
            capsize=1.4,
            capthick=0.5,
            zorder=3,
            **replace(look, filled=filled).drawing | {"linestyle": "none"},
        )


def draw_curve(axes: Axes, curve: Curve, look: Look) -> None:
    """A curve over its samples; a cross and `1/5` above points with diverged networks."""
    draw_points(axes, curve.n, curve.error, look, curve.used)
    errors = error_of(curve.rows)
    if 1 < errors.shape[1] < FEW:
        axes.plot(curve.n, errors, ".", color=look.colour, markersize=2, alpha=0.6, zorder=1.8)
    mark_diverged(axes, curve.n, curve.lost, curve.rows.sizes["seed"])


def mark_diverged(axes: Axes, x: FloatArray, counts: FloatArray, seeds: int) -> None:
    """A cross and `1/5` at the top of the panel over points with diverged networks."""
    across, size = axes.get_xaxis_transform(), plt.rcParams["xtick.labelsize"]
    for place, count in zip(x, counts, strict=True):
        if count:
            look = {"ha": "center", "va": "top", "fontsize": size, "transform": across}
            axes.plot(
                place, 0.985, "x", color="black", markersize=2.5, transform=across, clip_on=False
            )
            axes.text(place, 0.955, f"{int(count)}/{seeds}", **look)


def shade_range(axes: Axes, curves: Sequence[Curve]) -> None:
    """The range of samples of the fits, in grey."""
    fitted = [each.fit for each in curves if each.fit is not None]
    low = [int(each["n_min"]) for each in fitted if int(each["n_points"]) > 0]
    high = [int(each["n_max"]) for each in fitted if int(each["n_points"]) > 0]
    if low:
        axes.axvspan(min(low) / 1.09, max(high) * 1.09, color="0.94", linewidth=0, zorder=0)


def samples_axis(axes: Axes, values: Sequence[float], label: str) -> None:
    """A logarithmic x axis with a tick at each value, and labels at four of them at most."""
    x = sorted({float(value) for value in values})
    axes.set_xscale("log")
    axes.set_xlabel(label)
    if not x:
        return
    room = max((x[-1] / x[0]) ** 0.07, 1.15)
    axes.set_xlim(x[0] / room, x[-1] * room)
    step = -(-len(x) // 4)
    shown = x[::-1][::step][::-1]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(FixedLocator([v for v in x if v not in shown]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def short(value: float) -> str:
    """A number of samples, steps or units: `500`, `2k`, `1.5k`, `2048`."""
    return f"{value / 1000:g}k" if value >= 1000 and value % 100 == 0 else f"{value:g}"


def error_axis(axes: Axes, part: Part) -> None:
    """A logarithmic y axis for the means in the panel, and chance where it is near.

    Args:
        axes: the panel, with its curves drawn.
        part: whose errors they are.
    """
    axes.set_ylabel(SQUARED if part.squared else ERROR)
    seen, ends = _values(axes)
    if not seen.size:
        say_nothing(axes, "no finite errors")
        return
    axes.set_yscale("log")
    bottom = max(ends.min(), seen.min() / FAR) / 1.2
    top = min(ends.max(), seen.max() * FAR) * 1.2
    if any(line.get_marker() == "x" for line in axes.lines):
        top *= (top / bottom) ** 0.17  # room for the marks of what diverged
    axes.set_ylim(bottom, top)
    _ticks(axes, bottom, top)
    if not part.squared and top > CHANCE > bottom:
        axes.axhline(CHANCE, **_CHANCE, zorder=0.5)


def say_nothing(axes: Axes, why: str) -> None:
    """Why there is nothing in a panel, which has no ticks then."""
    axes.set_xticks([])
    axes.set_yticks([])
    panels.say_empty(axes, why)


def _values(axes: Axes) -> tuple[FloatArray, FloatArray]:
    """The positive means that are drawn, and these with the positive ends of their intervals."""
    lines = [line for line in axes.lines if _is_data(axes, line)]
    means = [line for line in lines if line.get_marker() != "_"]
    return _positive(means), _positive(lines)


def _positive(lines: Sequence[Any]) -> FloatArray:
    found = [np.asarray(line.get_ydata(), np.float64) for line in lines]
    values = np.concatenate([np.zeros(0), *found])
    return np.asarray(values[np.isfinite(values) & (values > 0)])


def _is_data(axes: Axes, line: Any) -> bool:
    return bool(line.get_transform() == axes.transData)


def _ticks(axes: Axes, low: float, high: float) -> None:
    """Decades with their minor ticks; below one and a half decades 1, 2, 5 of each."""
    if high < 30 * low:
        subs = (1, 2, 5) if high > 7 * low else (1, 2, 3, 5) if high > 3 * low else range(1, 10)
        axes.yaxis.set_major_locator(LogLocator(subs=subs))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def exponent_text(curve: Curve) -> str:
    """`0.51 ± 0.03`, `*` where the curve bends, `†` where it is that of a law with an offset."""
    middle, low, high = curve.ends("exponent")
    if offset_disagrees(curve):
        return f"{estimate_text(*curve.ends('offset_exponent'))} †"
    return estimate_text(middle, low, high) + (" *" if bends(curve) else "")


def offset_disagrees(curve: Curve) -> bool:
    """Whether a law with an offset is identified and its interval leaves the exponent out."""
    if curve.fit is None or not bool(curve.fit["offset_identified"]):
        return False
    middle, low, high = curve.ends("offset_exponent")
    plain = curve.ends("exponent")[0]
    return bool(np.isfinite(middle) and (plain < low or plain > high))


def bends(curve: Curve) -> bool:
    """Whether the curvature's interval leaves 0 out."""
    _, low, high = curve.ends("curvature")
    return bool(low > 0 or high < 0)


def estimate_text(middle: float, low: float, high: float) -> str:
    """`0.51 ± 0.03`, the estimate alone where it has no interval, `no fit` without one."""
    if not np.isfinite(middle):
        return "no fit"
    half = f" ± {(high - low) / 2:.2f}" if np.isfinite(low + high) else ""
    return f"{round(middle, 2) + 0.0:.2f}{half}".replace("-", "−")


@dataclass(frozen=True)
class Drawn:
    """A curve with its look and its name in the legend."""

    curve: Curve
    look: Look
    name: str


Row = tuple[list[Drawn], list[Axes]]
"""What is drawn in a row of panels, and the panels of it that have one scale of errors."""


def draw_over_samples(axes: Axes, part: Part, drawn: Sequence[Drawn], label: str = "n") -> None:
    """Curves over their samples with the range of the fits and the exponents."""
    for each in drawn:
        draw_curve(axes, each.curve, each.look)
    shade_range(axes, [each.curve for each in drawn])
    samples_axis(axes, [n for each in drawn for n in each.curve.n], label)
    error_axis(axes, part)
    texts = [exponent_text(each.curve) for each in drawn]
    columns = 2 if len(drawn) > 4 and width_of(axes) > 50 else 1
    write_values(axes, [each.look for each in drawn], texts, "exponent α", columns)


def width_of(axes: Axes) -> float:
    """Of a panel with its labels, in mm, before the page is laid out."""
    grid = axes.get_subplotspec().get_gridspec()  # type: ignore[union-attr]
    return float(axes.figure.get_figwidth() / MM / grid.ncols)  # type: ignore[union-attr]


def title_panel(axes: Axes, name: str, below: str = "") -> None:
    """A title in two lines at most, and words on it below, likewise."""
    size = plt.rcParams["xtick.labelsize"]
    room = width_of(axes) / (0.6 * size * POINT)
    lines = [cut(name, int(0.72 * room)), *([cut(below, int(room))] if below else [])]
    axes.set_title("\n".join(lines), fontsize=size)


def cut(name: str, letters: int, most: int = 2) -> str:
    """A name in a few lines of so many letters, or the beginning of it."""
    lines = [line.replace("\xa0", " ") for line in wrap(name.replace(" = ", "\xa0=\xa0"), letters)]
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][: letters - 1] + "…"]
    return "\n".join(lines)


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend over the figure; chance is in it where it is drawn."""
    labels = (line.get_label() for axes in figure.axes for line in axes.lines)
    chance = [Line2D([], [], **_CHANCE)] if _CHANCE["label"] in labels else []
    if handles or chance:
        panels.legend_above(figure, [*handles, *chance])


def finish(
    figure: Figure,
    shown: Sequence[Axes],
    drawn: Sequence[Drawn],
    groups: Sequence[Sequence[Axes]] = (),
) -> None:
    """Letters over panels, the legend of fitted curves, and room for what is written in panels."""
    letter(shown)
    legend(figure, [*handles_of(drawn), *context_handles()])
    make_room(figure, groups)


def draw_rows(
    style: FigureStyle, parts: Sequence[Part], draw_row: Callable[[list[Axes], Part], Row]
) -> Figure:
    """A page with a row of three panels each part."""
    figure, grids = new_page(style, [shape_of(style, 3)] * len(parts))
    drawn: list[Drawn] = []
    shown: list[Axes] = []
    groups: list[list[Axes]] = []
    for part, grid in zip(parts, grids, strict=True):
        row = blank_rest(grid, 3)
        curves, of_errors = draw_row(row, part)
        groups += share_errors(of_errors, [part] * len(of_errors))
        drawn += curves
        shown += row
        if len(parts) > 1:
            title_panel(row[0], part.name, row[0].get_title())
    finish(figure, shown, drawn, groups)
    return figure


def handles_of(drawn: Sequence[Drawn]) -> list[Artist]:
    """Legend entries of curves, each name once; of initial kernels the widest first."""
    found: dict[str, Drawn] = {}
    for each in drawn:
        found.setdefault(each.name, each)
    initial = [each for each in found.values() if each.curve.at["curve"] == "initial"]
    widest_first = iter(sorted(initial, key=lambda each: -int(each.curve.at["width"])))
    in_order = (next(widest_first) if each in initial else each for each in found.values())
    return [panels.point_handle(each.name, each.look) for each in in_order]


def context_handles() -> list[Artist]:
    """Legend entries of what all panels have."""
    from matplotlib.patches import Patch

    return [
        panels.point_handle("not fitted", Look("0.3", "o", "none", filled=False)),
        Patch(color="0.9", linewidth=0, label="range of the fits"),
    ]


def blank_rest(grid: PanelGrid, count: int) -> list[Axes]:
    """The first `count` panels of a grid; the others are taken from the page."""
    for axes in grid.flat[count:]:
        axes.remove()
    return list(grid.flat[:count])


def letter(drawn: Sequence[Axes]) -> None:
    """a, b, c, … over panels."""
    panels.letter(np.asarray(drawn, object))


def draw_level(axes: Axes, ends: tuple[float, float, float], look: Look) -> None:
    """A level across the panel with its interval as a band."""
    middle, low, high = ends
    if not np.isfinite(middle):
        return
    left, right = axes.get_xlim()
    axes.plot([left, right], [middle, middle], color=look.colour, linestyle=look.line, zorder=1.5)
    axes.set_xlim(left, right)
    if np.isfinite(low + high):
        axes.axhspan(low, high, color=look.colour, alpha=0.15, linewidth=0, zorder=0.5)


def share_errors(shown: Sequence[Axes], parts: Sequence[Part]) -> list[list[Axes]]:
    """One scale of errors for panels of the same currency, which it gives in groups."""
    groups = []
    for squared in (False, True):
        alike = [
            axes
            for axes, part in zip(shown, parts, strict=True)
            if part.squared == squared and axes.get_yscale() == "log"
        ]
        if alike:
            low = min(axes.get_ylim()[0] for axes in alike)
            high = max(axes.get_ylim()[1] for axes in alike)
            for axes in alike:
                axes.set_ylim(low, high)
                _ticks(axes, low, high)
            groups.append(alike)
    return groups


def panels_of_page(style: FigureStyle, *blocks: int, most: int = 4) -> list[tuple[int, int]]:
    """Rows and columns of blocks of so many panels; one row for all where they fit in it."""
    if sum(blocks) <= columns_of(style, most):
        return [(1, sum(blocks))]
    there = [count for count in blocks if count]
    columns = [columns_of(style, min(count, most)) for count in there]
    return [(-(-count // each), each) for count, each in zip(there, columns, strict=True)]


def heading(part: Part, roles: Mapping[str, str]) -> tuple[str, str]:
    """A part's name and what its role says; that alone where the name is but the key's."""
    role = roles.get(part.role, "")
    if role and part.name == part.keys[0].replace("_", " "):
        return role, ""
    return part.name, "" if role == part.name else role
