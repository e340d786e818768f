"""How curves are told from each other, with and without colours, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ntkscope.figures.limitations.reading import Curve, Part
from ntkscope.figures.panels import Look
from ntkscope.figures.style import REGIME_COLOURS, width_colours

NETWORK = Look(REGIME_COLOURS[0], "o")
INFINITE = Look("black", "s", (0, (4, 1.2)))
INITIAL = Look(REGIME_COLOURS[1], "^", (0, (1.5, 1)))
OWN = Look(REGIME_COLOURS[3], "d", (0, (4, 1, 1, 1)))
FRESH = Look(REGIME_COLOURS[2], "D", (0, (3, 1)))

_INITIAL = (
    (REGIME_COLOURS[1], "^"),
    (REGIME_COLOURS[5], "v"),
    ("#7B6FB5", "<"),
    ("#A88FC9", ">"),
)
_SERIES = ("D", "v", "P", "X", "^", "<", ">", "p", "h")


def initial_looks(parts: Iterable[Part]) -> dict[int, Look]:
    """Width of an initial kernel → its look, in a whole figure; the widest first."""
    widths = {int(each.at["width"]) for part in parts for each in part.of("initial")}
    last = len(_INITIAL) - 1
    return {
        width: replace(INITIAL, colour=colour, marker=marker)
        for number, width in enumerate(sorted(widths, reverse=True))
        for colour, marker in [_INITIAL[min(number, last)]]
    }


def initial_name(width: int, looks: Mapping[int, Look]) -> str:
    """`$K_0$`, with its width where there are several."""
    return f"$K_0$, width {width}" if len(looks) > 1 else "$K_0$"


def looks_of_series(palette: str, count: int) -> list[Look]:
    """Of kernels along m or t, dark to light."""
    colours = width_colours(palette, count)
    return [Look(c, _SERIES[number % len(_SERIES)]) for number, c in enumerate(colours)]


def name_of(curve: Curve) -> str:
    """What an after-kernel or a kernel during training is called in a legend."""
    fresh, at = curve.at["fit"] == "fresh", curve.at
    if at["curve"] == "after":
        return f"$K{'^F' if fresh else ''}_{{{at['trained_on']}}}$"
    return f"$K^{{{at['step']}}}$" + ("" if fresh else ", own samples")
