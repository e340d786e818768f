"""What of a new task reactivates, what the loss's jump explains, and whether width ends it.

Rows: velocity and norm, a column a kind of shift; their effects; effects against the jump of the
loss, and against width. A sweep without kinds or without widths lacks their panels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.panels import Effect, Look, Point, every_point, lost_in_words
from ntkscope.figures.reactivation.forest import draw_forest
from ntkscope.figures.reactivation.laws import draw_against_width
from ntkscope.figures.style import REGIME_MARKERS, TWIN, ordered_colours
from ntkscope.fits import results_of, t_interval
from ntkscope.fits.cells import named
from ntkscope.fits.reactivation.comparisons import GRADUAL, WIDTHS

ANALYSIS = {
    "needs": "variant",
    "roles": "new_classes gradual labels_shifted labels_permuted new_inputs widths",
    "compare": "controls",
}

METRICS = (panels.VELOCITY, panels.NORM)
EFFECTS = (panels.SPIKE, panels.NORM_DROP, panels.MOVED, panels.DEFLECTION)
JUMPS = (panels.SPIKE, panels.NORM_DROP)
AGAINST_WIDTH = (panels.NORM_DROP, panels.BOUNDARY_VELOCITY)
ALONE = {"spike": "spike_over_baseline", "norm_drop": "norm_drop", "distance": "distance"}
"""Effect → the quantity of a twin by itself that is drawn beside it."""


def draw(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): variants are kinds of shift, or of the role `widths`."""
    kinds = [p for p in every_point(metrics, fits) if panels.role_of(p) != WIDTHS]
    regimes = _regimes(metrics)
    last = (len(JUMPS) if kinds else 0) + (len(AGAINST_WIDTH) if regimes else 0)
    shapes = [(len(METRICS), len(kinds)), (1, len(EFFECTS))] if kinds else []
    height = 0.3 + 0.22 * (1 + len(shapes))
    figure, grids = panels.new_blocks(style, [*shapes, (1, last)], height, [])
    looks = [_look(number, len(kinds), style.palette, p) for number, p in enumerate(kinds)]
    if kinds:
        _draw_lines(grids[0], kinds, looks, fits)
        _draw_effects(grids[1][0], kinds, looks, fits)
    for axes, effect in zip(grids[-1][0], JUMPS if kinds else (), strict=False):
        _draw_jump(axes, kinds, looks, effect, fits)
    for axes, effect in zip(grids[-1][0, -2:], AGAINST_WIDTH if regimes else (), strict=False):
        chosen = fits.sel(variant=named(fits, "variant", WIDTHS)).isel(boundary=0)
        draw_against_width(axes, chosen, effect, regimes)
    panels.letter(*grids)
    names = [(labels.get(r, r), panels.regime_look(n)) for n, r in enumerate(regimes)]
    handles = [panels.point_handle(*named) for named in names]
    panels.legend_above(figure, [*panels.context_handles(), *handles])
    return figure


def _regimes(metrics: xr.Dataset) -> list[str]:
    """The regimes of the widths, where there are any."""
    variant = named(metrics, "variant", WIDTHS)
    if variant is None:
        return []
    there = metrics["present"].sel(variant=variant, arm="shift").any("width")
    return [str(name) for name in metrics["regime"].values[there.values]]


def _look(number: int, count: int, palette: str, point: Point) -> Look:
    """Of a kind of shift; open for the one that is gradual."""
    colour = ordered_colours(palette, count)[number]
    marker = REGIME_MARKERS[number % len(REGIME_MARKERS)]
    return Look(colour, marker, filled=panels.role_of(point) != GRADUAL)


def _draw_lines(
    grid: panels.PanelGrid, kinds: Sequence[Point], looks: Sequence[Look], fits: xr.Dataset
) -> None:
    window, confidence = int(fits.attrs["window"]), fits.attrs["confidence"]
    for point, look, column in zip(kinds, looks, grid.T, strict=True):
        column[0].set_title(_name(point))
        for metric, axes in zip(METRICS, column, strict=True):
            cells = [(point.metrics, look.colour)]
            panels.draw_trajectories(axes, cells, metric, window, confidence)
    panels.finish_lines(grid, METRICS, window)


def _name(point: Point) -> str:
    return str(point.at["variant"]).replace("_", " ")


def _draw_effects(
    row: panels.PanelGrid, kinds: Sequence[Point], looks: Sequence[Look], fits: xr.Dataset
) -> None:
    """A row a kind of shift, and the first one's twin by itself, which has no shift."""
    names = [", ".join([_name(point), *lost_in_words(point)]) for point in kinds]
    draw_forest(
        row,
        [*names, "no shift (twin)"],
        [*(point.fits for point in kinds), twin_alone(kinds[0], float(fits.attrs["confidence"]))],
        EFFECTS,
        [*looks, Look(TWIN, "X")],
        int(fits.attrs["window"]),
    )


def twin_alone(point: Point, confidence: float) -> xr.Dataset:
    """The quantities of a point's twin by itself, with t intervals, named as those of `ALONE`.

    Args:
        point: its fits at one boundary.
        confidence: of the intervals.
    """
    values = point.fits["per_arm"].sel(arm="twin", quantity=list(ALONE.values()))
    ends = t_interval(values.transpose("quantity", "seed").values, confidence)
    names = ("estimate", "low", "high")
    return xr.Dataset(
        {name: ("quantity", getattr(ends, name)) for name in names}, {"quantity": list(ALONE)}
    ).reindex(quantity=[effect.quantity for effect in EFFECTS])


def _draw_jump(
    axes: Axes, kinds: Sequence[Point], looks: Sequence[Look], effect: Effect, fits: xr.Dataset
) -> None:
    """Seeds' effects against the jump of their loss, with what it explains over the panel."""
    for point, look in zip(kinds, looks, strict=True):
        jump, size = point.fits["per_seed"].sel(quantity=["loss_jump", effect.quantity]).values
        size = np.exp(size) if effect.ratio else size
        axes.plot(jump, size, **look.drawing | {"linestyle": "none", "markersize": 2.8})
    if effect.ratio:
        axes.set_yscale("log")
    axes.set_xlabel("jump of the loss\n(nat, minus twin's)")
    axes.set_ylabel(effect.label)
    size = plt.rcParams["xtick.labelsize"]
    said = "\n".join(_explained(fits, effect.quantity, kinds[0]))
    axes.set_title(said, fontsize=size, linespacing=1.1)


def _explained(fits: xr.Dataset, quantity: str, point: Point) -> list[str]:
    """R² over the abrupt shifts, and partial R² given the kind of shift."""
    rows = results_of(fits)
    for axis in ("regime", "width"):
        rows = rows[rows[axis] == point.at[axis]] if axis in rows else rows
    found = []
    for statistic, name in (("r2", "$R^2$"), ("partial_r2", "partial $R^2$")):
        wanted = rows["statistic"].eq(f"{statistic}_of_loss_jump") & rows["quantity"].eq(quantity)
        for row in rows[wanted & np.isfinite(rows["estimate"])].itertuples():
            found.append(f"{name} {row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}]")
    return found
