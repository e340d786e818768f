"""How curves are told from each other, with and without colours, and what they are called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import seaborn as sns

from ntkscope.figures.limitations.reading import Curve, Part
from ntkscope.figures.panels import Look
from ntkscope.figures.style import REGIME_COLOURS, ordered_colours, width_colour

NETWORK = Look(REGIME_COLOURS[0], "o")
INFINITE = Look("black", "s", (0, (4, 1.2)))
INITIAL = Look(REGIME_COLOURS[1], "^", (0, (1.5, 1)))
OWN = Look(REGIME_COLOURS[5], "d", (0, (4, 1, 1, 1)))
FRESH = Look(REGIME_COLOURS[3], "D", (0, (3, 1)))

_WIDTHS = ("^", "v", "<", ">", "p", "*")
"""Markers of widths that follow each other by factors of 2, none of a kernel after training."""
_SERIES = ("D", "P", "X", "h", "8", "H")
_TRAINED = ("#DDA0C4", str(FRESH.colour), "#5E1F45")


def width_look(look: Look, palette: str, width: int) -> Look:
    """A look with the colour and the marker of a width, the same in every figure."""
    marker = _WIDTHS[round(math.log2(width)) % len(_WIDTHS)]
    return replace(look, colour=width_colour(palette, width), marker=marker)


def initial_looks(parts: Iterable[Part], palette: str) -> dict[int, Look]:
    """Width of an initial kernel → its look, in a whole figure; the widest first."""
    widths = {int(each.at["width"]) for part in parts for each in part.of("initial")}
    return {width: width_look(INITIAL, palette, width) for width in sorted(widths, reverse=True)}


def initial_name(width: int, looks: Mapping[int, Look]) -> str:
    """`$K_0$`, with its width where there are several."""
    return f"$K_0$, width {width}" if len(looks) > 1 else "$K_0$"


def looks_of_layers(palette: str, count: int) -> list[Look]:
    """Of layers from the input on, dark to light."""
    return _looks(ordered_colours(palette, count))


def looks_along_training(count: int) -> list[Look]:
    """Of kernels along m or t: darker with more training, in the colour of all such kernels."""
    return _looks(sns.blend_palette(_TRAINED, max(count, 2))[-count:] if count else [])


def _looks(colours: Iterable[Any]) -> list[Look]:
    return [Look(c, _SERIES[number % len(_SERIES)]) for number, c in enumerate(colours)]


def name_of(curve: Curve) -> str:
    """What an after-kernel or a kernel during training is called in a legend."""
    fresh, at = curve.at["fit"] == "fresh", curve.at
    if at["curve"] == "after":
        return f"$K{'^F' if fresh else ''}_{{{at['trained_on']}}}$"
    return f"$K^{{{at['step']}}}$" + ("" if fresh else ", own samples")
