"""Ways of training: whether the network's exponent beats its kernels' in each of them.

A panel a part: test error over n of the network, beside initial and infinite kernels, which do not
depend on training. Below: exponents, and differences that are paired by seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.limitations import drawing, pairs
from ntkscope.figures.limitations.drawing import Drawn
from ntkscope.figures.limitations.looks import initial_looks
from ntkscope.figures.limitations.reading import Part, parts_of
from ntkscope.figures.limitations.scaling import curves_at_start
from ntkscope.figures.panels import Look

ANALYSIS = {
    "of": "curves",
    "roles": "base low_rate high_rate full_batch no_momentum convergence logistic",
}

ROLES = {
    "base": "base",
    "low_rate": "lower learning rate",
    "high_rate": "higher learning rate",
    "full_batch": "full-batch gradient descent",
    "no_momentum": "no momentum",
    "convergence": "to convergence",
    "logistic": "logistic loss",
}


def draw(
    curves: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): a panel each part."""
    parts = parts_of(curves, fits, labels)
    forests = (1, 2) if drawing.columns_of(style, 4) > 2 else (2, 1)
    shapes = [drawing.shape_of(style, len(parts)), forests]
    figure, (above, below) = drawing.new_page(style, shapes)
    shown = drawing.blank_rest(above, len(parts))
    drawn: list[Drawn] = []
    initial = initial_looks(parts, style.palette)
    for axes, part in zip(shown, parts, strict=True):
        found = with_kernels(part, parts, initial)
        drawing.draw_over_samples(axes, part, found)
        drawing.title_panel(axes, name_of(part))
        drawn += found
    groups = drawing.share_errors(shown, parts)
    _draw_exponents(below.flat[0], parts, initial)
    pairs.draw_differences(below.flat[1], parts, names_of(parts), fits, initial)
    drawing.finish(figure, [*shown, *below.flat], drawn, groups)
    return figure


def with_kernels(part: Part, parts: Sequence[Part], initial: Mapping[int, Look]) -> list[Drawn]:
    """A part's curves; kernels that it lacks are those of the base of the same task."""
    found = curves_at_start(part, initial)
    if any(each.curve.at["curve"] != "network" for each in found):
        return found
    base = [p for p in parts if p.role == "base" and p.title == part.title]
    lent = curves_at_start(base[0], initial) if base else []
    return [*found, *(each for each in lent if each.curve.at["curve"] != "network")]


def _draw_exponents(axes: Axes, parts: Sequence[Part], initial: Mapping[int, Look]) -> None:
    """A row a part: exponents of network and kernels, with their intervals."""
    for place, part in enumerate(parts):
        found = with_kernels(part, parts, initial)
        for number, each in enumerate(found):
            aside = 0.2 * (number - (len(found) - 1) / 2)
            pairs.draw_row(axes, place + aside, each.curve.ends("exponent"), each.look)
    pairs.finish_forest(axes, names_of(parts), "exponent α of error ~ n$^{-α}$")


def names_of(parts: Sequence[Part]) -> list[str]:
    """Of the rows of the forests, as of the panels."""
    return [name_of(part) for part in parts]


def name_of(part: Part) -> str:
    """What a way of training is called: by its label, or else by its role."""
    return drawing.heading(part, ROLES)[0]


def words(fits: xr.Dataset) -> dict[str, str]:
    """What the caption says beside the common words."""
    return {"pairs": pairs.in_words(fits)}
