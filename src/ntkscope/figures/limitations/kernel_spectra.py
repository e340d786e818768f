"""What predicts a kernel's exponent: its alignment, effective dimension and spectrum, its layers.

Beyond arXiv 2206.10012. Panels of each part: alignment and effective dimension of K_m over m and of
K^t over t; the exponent that source and capacity predict against the measured one; errors of single
layers' kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.limitations import drawing, kernels_along
from ntkscope.figures.limitations.drawing import Drawn
from ntkscope.figures.limitations.kernels_along import OVER_STEPS
from ntkscope.figures.limitations.looks import (
    FRESH,
    INFINITE,
    NETWORK,
    initial_looks,
    looks_along_training,
    looks_of_layers,
)
from ntkscope.figures.limitations.reading import (
    Curve,
    Part,
    parts_of,
    shown_interval,
    together,
)
from ntkscope.figures.limitations.room import make_room, write_values
from ntkscope.figures.limitations.scaling import curves_at_start
from ntkscope.figures.panels import Look
from ntkscope.figures.style import TWIN
from ntkscope.statistics.paired import FloatArray

ANALYSIS = {"of": "curves"}

QUANTITIES = {
    "alignment": "alignment\n(centred CKA with targets)",
    "effective_dimension": "effective dimension",
}
Panel = Callable[[Axes], list[Drawn]]


def draw(
    curves: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): a block of panels each part."""
    parts = together(parts_of(curves, fits, labels))
    confidence = float(fits.attrs["confidence"])
    initial = initial_looks(parts, style.palette)
    blocks = [_panels(part, curves, initial, style.palette, confidence) for part in parts]
    columns = drawing.columns_of(style, 3)
    shapes = [(-(-len(block) // columns), columns) for block in blocks]
    figure, grids = drawing.new_page(style, shapes)
    drawn: list[Drawn] = []
    lettered: list[Axes] = []
    for part, block, grid in zip(parts, blocks, grids, strict=True):
        shown = drawing.blank_rest(grid, len(block))
        for axes, panel in zip(shown, block, strict=True):
            drawn += panel(axes)
        if len(parts) > 1:
            drawing.title_panel(shown[0], part.name)
        lettered += shown
    drawing.letter(lettered)
    drawing.legend(figure, drawing.handles_of(drawn))
    make_room(figure)
    return figure


def _panels(
    part: Part, curves: xr.Dataset, initial: Mapping[int, Look], palette: str, confidence: float
) -> list[Panel]:
    """What there is to draw of a part."""
    after = part.kernels("after")
    during = part.kernels("during")
    levels = _levels(part, initial)
    along = [Along(after, "trained_on", "m", FRESH, "$K_m$")] if after else []
    along += [Along(during, "step", "step t", OVER_STEPS, "$K^t$")] if during else []
    layers = curves.isel(layer_row=np.isin(curves["layer_part"].values, part.keys))
    rows: list[list[Panel]] = [
        [partial(_draw_quantity, each, quantity, levels, confidence) for each in along]
        for quantity in QUANTITIES
    ]
    rows[0].append(partial(_draw_predicted, part, along, initial))
    if layers.sizes["layer_row"]:
        rows[1].append(partial(_draw_layers, part, layers, palette, confidence))
    return [*rows[0], *rows[1]]


@dataclass(frozen=True)
class Along:
    """Kernels along an axis of training.

    Attributes:
        kernels: ascending along it.
        axis: `trained_on` or `step`; label: as printed.
        look, name: in the legend.
    """

    kernels: Sequence[Curve]
    axis: str
    label: str
    look: Look
    name: str


def _levels(part: Part, initial: Mapping[int, Look]) -> list[Drawn]:
    """The kernels of initialisation that are drawn as levels."""
    infinite = [Drawn(each, INFINITE, r"$K_\infty$") for each in part.of("infinite")]
    return [*kernels_along.initial_of(part, initial), *infinite]


def _draw_quantity(
    along: Along, quantity: str, levels: Sequence[Drawn], confidence: float, axes: Axes
) -> list[Drawn]:
    """A quantity of kernels along m or t, with those of K_0 and K_∞ as levels."""
    x = np.asarray([each.at[along.axis] for each in along.kernels], np.float64)
    values = [of_most(each, quantity) for each in along.kernels]
    drawing.draw_points(axes, x, shown_interval(np.asarray(values), confidence), along.look)
    drawing.samples_axis(axes, list(x), along.label)
    for each in levels:
        level = shown_interval(of_most(each.curve, quantity), confidence)
        ends = (float(level.estimate), float(level.low), float(level.high))
        drawing.draw_level(axes, ends, each.look)
    axes.set_ylabel(QUANTITIES[quantity])
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return [Drawn(along.kernels[0], along.look, along.name), *levels]


def of_most(curve: Curve, name: str) -> FloatArray:
    """A quantity that a kernel has at its most samples, (seed,); NaN where it has none."""
    values = np.asarray(curve.rows[name].transpose("row", "seed").values, np.float64)
    there = np.flatnonzero(np.isfinite(values).any(axis=1))
    return values[there[-1]] if there.size else np.full(values.shape[1], np.nan)


def _draw_predicted(
    part: Part, along: Sequence[Along], initial: Mapping[int, Look], axes: Axes
) -> list[Drawn]:
    """Measured exponents of the squared error against those that the spectra predict."""
    start = [each for each in curves_at_start(part, initial) if each.look is not NETWORK]
    for each in [*start, *(drawn for one in along for drawn in _shaded(one))]:
        _draw_cross(axes, each)
    axes.set_xlabel("predicted exponent\n(source and capacity)")
    axes.set_ylabel("measured exponent\nof the squared error")
    if not axes.lines:
        drawing.say_nothing(axes, "no fits")
        return start
    if along:
        darker = " and ".join(each.label.split()[-1] for each in along)
        panels.note(axes, f"darker: larger {darker}")
    limits = np.asarray([axes.get_xlim(), axes.get_ylim()])
    ends = [min(limits[:, 0].min(), 0), limits[:, 1].max()]
    axes.plot(ends, ends, color=TWIN, linewidth=0.6, zorder=0)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4))
    return start


def _shaded(along: Along) -> list[Drawn]:
    """Kernels in shades of their colour, the last the darkest."""
    shades = looks_along_training(len(along.kernels))
    return [
        Drawn(each, replace(along.look, colour=shade.colour), along.name)
        for each, shade in zip(along.kernels, shades, strict=True)
    ]


def _draw_cross(axes: Axes, drawn: Drawn) -> None:
    x, y = (drawn.curve.ends(name) for name in ("predicted_exponent", "squared_exponent"))
    if not np.isfinite(x[0] + y[0]):
        return
    arms = [
        [[np.nan_to_num(middle - low)], [np.nan_to_num(high - middle)]]
        for middle, low, high in (x, y)
    ]
    how = drawn.look.drawing | {"linestyle": "none", "markersize": 3, "elinewidth": 0.5}
    axes.errorbar([x[0]], [y[0]], xerr=arms[0], yerr=arms[1], **how)


def _draw_layers(
    part: Part, layers: xr.Dataset, palette: str, confidence: float, axes: Axes
) -> list[Drawn]:
    """Errors of regressions with one layer's kernel, a line each layer, over m or t."""
    axis = "layer_trained_on" if len(set(layers["layer_step"].values)) == 1 else "layer_step"
    names = list(dict.fromkeys(layers["layer"].values.tolist()))
    looks = looks_of_layers(palette, len(names))
    for name, look in zip(names, looks, strict=True):
        rows = layers.isel(layer_row=layers["layer"].values == name).sortby(axis)
        values = rows["layer_error"].transpose("layer_row", "seed").values
        x = rows[axis].values.astype(np.float64)
        drawing.draw_points(axes, x, shown_interval(values, confidence), look)
    label = "m" if axis == "layer_trained_on" else "step t"
    drawing.samples_axis(axes, layers[axis].values.tolist(), label)
    drawing.error_axis(axes, part)
    n = sorted({int(n) for n in layers["layer_n"].values})
    axes.set_ylabel(f"{axes.get_ylabel()} of one\nlayer's kernel (n = {n[-1]})")
    write_values(axes, looks, [drawing.cut(name, 16) for name in names], "layer")
    return []
