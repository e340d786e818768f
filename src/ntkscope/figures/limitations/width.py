"""Width: networks and their initial kernels beside the infinite one, at one n or over n.

A panel a part. Of the role `over_samples`: test error over n at some widths. Others, at one n: the
learning rate held, the rate ∝ 1/width, the NTK parametrisation; parts of no role after them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.limitations import drawing
from ntkscope.figures.limitations.drawing import Drawn
from ntkscope.figures.limitations.looks import INFINITE, INITIAL, NETWORK, width_look
from ntkscope.figures.limitations.reading import Part, at_samples, common_samples, parts_of
from ntkscope.figures.limitations.series import along

ANALYSIS = {"of": "curves", "roles": "over_samples fixed_rate scaled_rate ntk"}

OVER_SAMPLES = "over_samples"

ROLES = {
    OVER_SAMPLES: "the same rate at every width",
    "fixed_rate": "the same rate at every width",
    "scaled_rate": "rate ∝ 1/width",
    "ntk": "NTK parametrisation",
}


def draw(
    curves: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): a panel each part."""
    parts = in_order(parts_of(curves, fits, labels, widest=False))
    figure, (grid,) = drawing.new_page(style, [drawing.shape_of(style, len(parts))])
    shown = drawing.blank_rest(grid, len(parts))
    drawn: list[Drawn] = []
    for axes, part in zip(shown, parts, strict=True):
        over_samples = part.role == OVER_SAMPLES
        drawn += draw_over_samples(axes, part, style) if over_samples else draw_part(axes, part)
    drawing.share_errors(shown, parts)
    drawing.letter(shown)
    drawing.legend(figure, drawing.handles_of(drawn))
    return figure


def in_order(parts: Sequence[Part]) -> list[Part]:
    """Those of the roles first, in the order of the roles."""
    roles = list(ROLES)
    return sorted(parts, key=lambda p: roles.index(p.role) if p.role in roles else len(roles))


def draw_over_samples(axes: Axes, part: Part, style: FigureStyle) -> list[Drawn]:
    """Networks of several widths over n, and the infinite kernel."""
    networks = sorted(part.networks, key=lambda each: int(each.at["width"]))
    drawn = [
        *(
            Drawn(each, width_look(NETWORK, style.palette, each.at["width"]), name)
            for each in networks
            for name in [f"network, width {each.at['width']}"]
        ),
        *(Drawn(each, INFINITE, r"$K_\infty$") for each in part.of("infinite")),
    ]
    drawing.draw_over_samples(axes, part, drawn)
    name, about = drawing.heading(part, ROLES)
    drawing.title_panel(axes, name, about)
    return drawn


def draw_part(axes: Axes, part: Part) -> list[Drawn]:
    """Network and initial kernel over width, and the infinite kernel as a band."""
    n = samples_of(part)
    drawn, widths = [], set[float]()
    for kind, look, name in (("network", NETWORK, "network"), ("initial", INITIAL, "$K_0$")):
        series = along(part.of(kind, step=-1), "width", n)
        if series is None:
            continue
        drawing.draw_points(axes, series.x, series.error, look)
        _mark(axes, part, kind, n)
        drawn.append(Drawn(part.of(kind)[0], look, name))
        widths |= set(series.x)
    drawing.samples_axis(axes, list(widths), "width")
    for curve in part.of("infinite"):
        drawing.draw_level(axes, at_samples(curve, n), INFINITE)
        drawn.append(Drawn(curve, replace(INFINITE, marker=""), r"$K_\infty$"))
    drawing.error_axis(axes, part)
    name, about = drawing.heading(part, ROLES)
    drawing.title_panel(axes, name, f"{about}, n = {n}" if about else f"n = {n}")
    return drawn


def _mark(axes: Axes, part: Part, kind: str, n: int) -> None:
    """Diverged networks, counted above their width."""
    for curve in part.of(kind, step=-1):
        lost = curve.lost[curve.n == n]
        seeds = curve.rows.sizes["seed"]
        drawing.mark_diverged(axes, np.full(len(lost), float(curve.at["width"])), lost, seeds)


def samples_of(part: Part) -> int:
    """The most samples that all networks and kernels of a part have."""
    curves = [*part.networks, *part.of("initial"), *part.of("infinite")]
    numbers = common_samples(curves) or [int(n) for each in curves for n in each.n]
    return max(numbers, default=0)
