"""What figures draw, and its looks: metrics over time, effects of a boundary."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from ntkscope.figures.style import (
    REGIME_COLOURS,
    REGIME_MARKERS,
)

PanelGrid = NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """What a trajectory is.

    Attributes:
        name: variable of the metrics; label: of its axis; log: its scale.
        relative: divided by its mean before the boundary (`fits.boundary_window.BEFORE`).
        bounds: between which it lies.
    """

    name: str
    label: str
    log: bool = False
    relative: bool = False
    bounds: tuple[float, float] = (-math.inf, math.inf)


_CKA = (0.0, 1.0)  # Kornblith et al. 2019, of the centred estimator

VELOCITY = Metric("velocity", "velocity\n(1/step)", log=True)


NORM = Metric(
    "spectral_norm", "norm $\\lambda_\\max$\n(relative to before)", log=True, relative=True
)


DISTANCE = Metric("distance_from_start", "distance from start\n(1 − CKA)", bounds=_CKA)


ALIGNMENT = Metric("alignment", "alignment\n(CKA with labels)", bounds=_CKA)


@dataclass(frozen=True)
class Effect:
    """What a point with its interval is.

    Attributes:
        quantity: of the fits; label: of its axis, where `{window}` stands for steps.
        ratio: the quantity is the log of a ratio, drawn as the ratio on a log scale.
    """

    quantity: str
    label: str
    ratio: bool = False


SPIKE = Effect("spike", "spike\n(velocity / twin's)", ratio=True)


BOUNDARY_VELOCITY = Effect("log_velocity", "velocity at boundary\n(1/step)", ratio=True)
PEAK = Effect("peak_velocity", "peak velocity\n(/ twin's)", ratio=True)


NORM_DROP = Effect("norm_drop", "norm drop\n(minus twin's)")


CHECKMARK = Effect("checkmark", "checkmark\n(minus twin's)")


MOVED = Effect("distance", "distance moved in\n{window} steps (minus twin's)")


DEFLECTION = Effect("deflection", "deflection\n(minus twin's)")


FORGETTING = Effect("forgetting", "forgetting\n(accuracy, minus twin's)")


RECOVERY = Effect("recovery", "recovery\n(share of the fall)")


MINIMUM_STEP = Effect("minimum_step", "step of the minimum\nnorm, from the boundary")


@dataclass(frozen=True)
class Look:
    """How a series is told from others, with and without colours.

    Attributes:
        colour: of its line and points.
        marker, line: of points and of the line that joins them.
        filled: whether the points are.
    """

    colour: Any
    marker: str = "o"
    line: Any = "-"
    filled: bool = True

    @property
    def drawing(self) -> dict[str, Any]:
        """Keywords of matplotlib's lines."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": self.colour if self.filled else "white",
            "markeredgewidth": 0.7,
        }


def regime_look(number: int, **changes: Any) -> Look:
    """The look of a figure's regimes, by their place in the configuration."""
    return replace(Look(REGIME_COLOURS[number], REGIME_MARKERS[number]), **changes)
