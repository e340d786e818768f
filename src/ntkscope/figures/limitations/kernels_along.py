"""Panels of kernels along training: K^F_m(500) over m, K^t over t, some of either over n."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ntkscope.figures.limitations import drawing
from ntkscope.figures.limitations.drawing import Drawn
from ntkscope.figures.limitations.looks import (
    FRESH,
    NETWORK,
    OWN,
    initial_name,
    looks_along_training,
    name_of,
)
from ntkscope.figures.limitations.reading import Curve, Part, at_samples, common_samples
from ntkscope.figures.limitations.room import write_values
from ntkscope.figures.limitations.series import Series, along, over_m
from ntkscope.figures.panels import Look

OVER_STEPS = replace(FRESH, marker="P", line="-")
OVER_STEPS_OWN = replace(OWN, line=(0, (4, 1, 1, 1)))

FEW = 4
"""How many K_m or K^t are drawn over n: of more, some between the first and the last."""


def draw_over_m(axes: Axes, part: Part, fits: xr.Dataset) -> list[Drawn]:
    """K^F_m at a fixed number of fresh samples over m, with the exponent in m."""
    series, exponent = over_m(part, fits)
    drawing.title_panel(axes, "after training on m samples")
    if series is None:
        drawing.say_nothing(axes, "no after-kernels")
        return []
    drawing.draw_points(axes, series.x, series.error, FRESH)
    drawing.samples_axis(axes, list(series.x), "m")
    drawing.error_axis(axes, part)
    write_values(axes, [FRESH], [drawing.estimate_text(*exponent)], "exponent in m")
    name = f"$K^F_m$ at {series.n}"
    return [Drawn(part.of("after", fit="fresh")[0], FRESH, name)]


def draw_over_steps(axes: Axes, part: Part, initial: Mapping[int, Look]) -> list[Drawn]:
    """K^t fit on fresh and on own samples, and the network, over t; K_0 as a line.

    Args:
        axes: the panel.
        part: whose kernels.
        initial: width of an initial kernel → its look.
    """
    fresh, own, network = during(part)
    if fresh is None and own is None:
        drawing.title_panel(axes, "during training")
        drawing.say_nothing(axes, "no kernels during training")
        return []
    drawn, steps = [], set[float]()
    for series, look, name, kind in (
        (network, NETWORK, "network", "network"),
        (fresh, OVER_STEPS, "$K^t$", "during"),
        (own, OVER_STEPS_OWN, "$K^t$, own samples", "during"),
    ):
        if series is not None:
            drawing.draw_points(axes, series.x, series.error, look)
            drawn.append(Drawn(part.of(kind)[0], look, name))
            steps |= set(series.x)
    n = (fresh or own).n  # type: ignore[union-attr]
    drawing.title_panel(axes, f"during training, n = {n}")
    drawing.samples_axis(axes, list(steps), "step t")
    for each in initial_of(part, initial):
        drawing.draw_level(axes, at_samples(each.curve, n), each.look)
        drawn.append(each)
    drawing.error_axis(axes, part)
    return drawn


def draw_some(axes: Axes, part: Part, kind: str, initial: Mapping[int, Look]) -> list[Drawn]:
    """Some kernels `after` or `during` training over n, beside the network and K_0."""
    chosen = _some_of(part.kernels(kind))
    looks = looks_along_training(len(chosen))
    drawn = [
        *(Drawn(each, NETWORK, "network") for each in part.networks),
        *initial_of(part, initial),
        *(Drawn(c, look, name_of(c)) for c, look in zip(chosen, looks, strict=True)),
    ]
    drawing.draw_over_samples(axes, part, drawn)
    return drawn


def _some_of(curves: Sequence[Curve]) -> list[Curve]:
    """At most `FEW` of the curves with the most samples: the first, the last, some between."""
    most = max((each.n.size for each in curves), default=0)
    found = [each for each in curves if each.n.size == most > 1]
    if len(found) <= FEW:
        return found
    return [found[round(place)] for place in np.linspace(0, len(found) - 1, FEW)]


def during(part: Part) -> tuple[Series | None, Series | None, Series | None]:
    """K^t on fresh and own samples at the most samples that they share, and the network, over t."""
    kernels = [part.of("during", fit=fit) for fit in ("fresh", "own")]
    numbers = common_samples([each for curves in kernels for each in curves])
    n = numbers[-1] if numbers else 0
    networks = [c for c in part.of("network") if c.at["step"] >= 0 and c.n.size]
    trained = max((int(each.n[-1]) for each in networks), default=0)
    fresh, own = (along(curves, "step", n) for curves in kernels)
    return fresh, own, along(networks, "step", trained)


def initial_of(part: Part, initial: Mapping[int, Look]) -> list[Drawn]:
    """K_0 of the width nearest to the network's; none where there is none."""
    widths = [each.at["width"] for each in part.networks] or [1]
    found = sorted(part.of("initial"), key=lambda c: abs(np.log(c.at["width"] / widths[0])))
    return [
        Drawn(each, initial[each.at["width"]], initial_name(each.at["width"], initial))
        for each in found[:1]
    ]
