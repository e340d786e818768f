"""Learning curves of networks and their kernels, tasks with the gap beside tasks without it.

Above, a panel a part: test error over n of network, initial and infinite kernels. Below, of the
part of the role `claim`: kernels after training over m, during it over t; and of all parts the
differences of exponents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.limitations import drawing, kernels_along, pairs
from ntkscope.figures.limitations.drawing import Drawn
from ntkscope.figures.limitations.looks import INFINITE, NETWORK, initial_looks, initial_name
from ntkscope.figures.limitations.reading import Part, parts_of
from ntkscope.figures.panels import Look

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
    columns = drawing.columns_of(style, len(parts) if len(parts) < 4 else 4)
    shapes = [(-(-len(parts) // columns), columns), drawing.shape_of(style, 3)]
    figure, grids = drawing.new_page(style, shapes)
    drawn: list[Drawn] = []
    initial = initial_looks(parts, style.palette)
    above = drawing.blank_rest(grids[0], len(parts))
    for axes, part in zip(above, parts, strict=True):
        drawn += draw_part(axes, part, initial)
    below = drawing.blank_rest(grids[1], 3)
    chosen = claimed(parts)
    drawn += kernels_along.draw_over_m(below[0], chosen, fits)
    drawn += kernels_along.draw_over_steps(below[1], chosen, initial)
    pairs.draw_differences(below[2], parts, [p.name for p in parts], fits, initial)
    drawing.finish(figure, style, [*above, *below], drawn)
    return figure


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
    return {"pairs": pairs.in_words(fits)}
