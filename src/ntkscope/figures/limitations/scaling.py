"""Learning curves of networks and their kernels, tasks with the gap beside tasks without it.

Above, a panel a part: test error over n of network, initial and infinite kernels. Below, of the
part of the role `claim`: kernels after training over m, during it over t; and of all parts the
differences of exponents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.limitations import drawing, kernels_along, pairs
from ntkscope.figures.limitations.drawing import Drawn
from ntkscope.figures.limitations.looks import INFINITE, NETWORK, initial_looks, initial_name
from ntkscope.figures.limitations.reading import Part, parts_of
from ntkscope.figures.panels import Look

Panel = Callable[[Axes], list[Drawn]]

ANALYSIS = {"of": "curves", "roles": "claim plain positive negative", "needs_roles": "plain"}

ROLES = {
    "claim": "main task",
    "plain": "plain task",
    "positive": "positive control",
    "negative": "negative control",
}
"""Role of a part → its title over its panel."""


def draw(
    curves: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): a panel each part."""
    parts = parts_of(curves, fits, labels)
    initial = initial_looks(parts, style.palette)
    panels: list[Panel] = [partial(draw_part, part=each, initial=initial) for each in parts]
    panels += _below(parts, fits, initial)
    blocks = [len(parts), len(panels) - len(parts)]
    figure, grids = drawing.new_page(style, drawing.panels_of_page(style, *blocks))
    counts = blocks if len(grids) > 1 else [len(panels)]
    shown = [
        axes
        for grid, count in zip(grids, counts, strict=True)
        for axes in drawing.blank_rest(grid, count)
    ]
    drawn = [each for axes, panel in zip(shown, panels, strict=True) for each in panel(axes)]
    drawing.finish(figure, shown, drawn)
    return figure


def _below(parts: Sequence[Part], fits: xr.Dataset, initial: Mapping[int, Look]) -> list[Panel]:
    """What there is to draw of kernels after and during training, and of differences."""
    part = claimed(parts)
    found: list[Panel] = []
    if part.of("after", fit="fresh"):
        found.append(lambda axes: kernels_along.draw_over_m(axes, part, fits))
    if part.of("during"):
        found.append(lambda axes: kernels_along.draw_over_steps(axes, part, initial))
    if pairs.any_fitted(fits):
        found.append(lambda axes: _draw_differences(axes, parts, fits, initial))
    return found


def _draw_differences(
    axes: Axes, parts: Sequence[Part], fits: xr.Dataset, initial: Mapping[int, Look]
) -> list[Drawn]:
    pairs.draw_differences(axes, parts, [part.name for part in parts], fits, initial)
    return []


def draw_part(axes: Axes, part: Part, initial: Mapping[int, Look]) -> list[Drawn]:
    """Network, infinite and initial kernels of a part over n."""
    drawn = curves_at_start(part, initial)
    drawing.draw_over_samples(axes, part, drawn)
    drawing.title_panel(axes, part.name, ROLES.get(part.role, ""))
    return drawn


def curves_at_start(part: Part, initial: Mapping[int, Look]) -> list[Drawn]:
    """The curves that need no after-kernel, with their looks; wider initial kernels first."""
    return [
        *(Drawn(each, NETWORK, "network") for each in part.networks),
        *(Drawn(each, INFINITE, r"$K_\infty$") for each in part.of("infinite")),
        *(
            Drawn(each, initial[each.at["width"]], initial_name(each.at["width"], initial))
            for each in part.of("initial")[::-1]
        ),
    ]


def claimed(parts: Sequence[Part]) -> Part:
    """The part whose after-kernels are drawn: that of the role, or the first that has some."""
    having = [p for p in parts if p.of("after") or p.of("during")]
    roles = [p for p in having if p.role == "claim"]
    return (roles or having or list(parts))[0]


def words(fits: xr.Dataset) -> dict[str, str]:
    """What the caption says beside the common words."""
    there = "there" if pairs.any_fitted(fits) else ""
    return {"pairs": pairs.in_words(fits), "differences": there}
