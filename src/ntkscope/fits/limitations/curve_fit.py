"""The exponent of one learning curve, error ~ n^-exponent, and what must be known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ntkscope.fits.limitations.curve import Curve, why_left_out
from ntkscope.statistics.offset_law import OffsetLaw, fit_offset_law
from ntkscope.statistics.paired import FloatArray, Interval, t_interval
from ntkscope.statistics.power_law import PowerLaw, fit_power_law

CURVED = "curved: not a pure power law over this range"
FLOOR = "above a floor: the exponent with offset is the one to quote"


@dataclass(frozen=True)
class CurveFit:
    """A fitted curve.

    Attributes:
        curve: of which.
        why: (point,), why a point is in no fit; empty for one that is.
        slopes: (seed,), one exponent per seed, positive where the error falls.
        exponent: of them.
        curvature: of log error in log n: positive where the curve flattens.
        offset: the law with offset on the same points.
        squared: exponent of the squared error on the same points.
        predicted: by the kernel's spectrum, of the squared error; NaN for a network.
        excess: squared − predicted, paired by seed.
        excesses: (seed,), of each.
        reason: why there is no exponent, or empty.
        flags: what a reader must know.
    """

    curve: Curve
    why: tuple[str, ...]
    slopes: FloatArray
    exponent: Interval
    curvature: Interval
    offset: OffsetLaw
    squared: Interval
    predicted: Interval
    excess: Interval
    excesses: FloatArray
    reason: str
    flags: tuple[str, ...]

    @property
    def used(self) -> NDArray[np.bool_]:
        """(point,), whether a point is in the fit."""
        return np.asarray([not why for why in self.why], bool)

    @property
    def left_out(self) -> str:
        """The points of the range that are in no fit, each with its reason."""
        return "; ".join(
            f"n={n}: {why}"
            for n, why in zip(self.curve.n, self.why, strict=True)
            if why and why != "outside the range"
        )


def fit_curve(
    curve: Curve, least: int, most: int, error_at_most: float, confidence: float
) -> CurveFit:
    """Exponent of a curve over a range of n: one slope per seed, t interval over seeds.

    Args:
        curve: the curve.
        least, most, error_at_most: as in `why_left_out`.
        confidence: such as 0.95.
    """
    why = why_left_out(curve, least, most, error_at_most)
    used = np.asarray([not each for each in why], bool)
    x = curve.n[used].astype(float)
    law = fit_power_law(x, curve.error[:, used], confidence)
    squares = -fit_power_law(x, curve.squared[:, used], confidence).per_seed
    predicted = curve.once("predicted_exponent")
    offset = fit_offset_law(x, curve.error[:, used], confidence)
    return CurveFit(
        curve=curve,
        why=tuple(why),
        slopes=-law.per_seed,
        exponent=_negative(law.exponent),
        curvature=law.curvature,
        offset=offset,
        squared=t_interval(squares, confidence),
        predicted=t_interval(predicted, confidence),
        excess=t_interval(squares - predicted, confidence),
        excesses=squares - predicted,
        reason=law.reason,
        flags=(*_flags(curve, used), *_law_flags(law), *([FLOOR] if offset.identified else [])),
    )


def slopes_on(curve: Curve, n: Sequence[int]) -> FloatArray:
    """Exponents (seed,) of a curve on the given n only; NaN where there are too few."""
    places = np.isin(curve.n, n)
    law = fit_power_law(curve.n[places].astype(float), curve.error[:, places], 0.95)
    return -law.per_seed


def _negative(interval: Interval) -> Interval:
    return Interval(-interval.estimate, -interval.high, -interval.low, interval.n)


def _flags(curve: Curve, used: NDArray[np.bool_]) -> list[str]:
    """What happened at points of the fit, or why one of its seeds has none."""
    found = []
    for place in np.flatnonzero(used):
        n = curve.n[place]
        edge = curve.values["ridge_edge"][:, place]
        for side, word in ((-1, "lowest"), (1, "highest")):
            if (edge == side).any():
                found.append(f"n={n}: ridge is the {word} of its grid in {(edge == side).sum()}")
        late = (curve.values["best_is_last"][:, place] == 1).sum()
        if late:
            found.append(f"n={n}: best step is the last in {late}")
        unlearnt = (curve.values["train_error"][:, place] > 0).sum()
        if unlearnt and curve.about["role"] == "convergence":
            found.append(f"n={n}: training samples are not all learnt in {unlearnt}")
        lost = (~np.isfinite(curve.error[:, place])).sum()
        if lost:
            found.append(f"n={n}: {curve.reasons[place]} in {lost}")
    return [f"{each} of {len(curve.error)} seeds" for each in found]


def _law_flags(law: PowerLaw) -> list[str]:
    found = []
    if law.curvature.low > 0 or law.curvature.high < 0:
        found.append(CURVED)
    if law.incomplete:
        found.append(f"{law.incomplete} seeds left out: an error is missing")
    return found
