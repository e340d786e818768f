"""Kernels along the training of their network: over its samples m, or its steps t."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ntkscope.figures.limitations.reading import Curve, Part, at_samples, common_samples, seeds_at
from ntkscope.statistics.paired import FloatArray, Interval, t_interval
from ntkscope.statistics.power_law import PowerLaw, fit_power_law

FIXED = 500
"""Samples of the regressions whose error is drawn over m (Vyas et al. 2022, Fig. 1 B)."""


@dataclass(frozen=True)
class Series:
    """Errors at one number of samples along an axis.

    Attributes:
        x: (point,), m or t.
        error: means with intervals, (point,); seeds: (point, seed).
        n: samples.
        used: (point,) bool, whether the point may stand in a fit over x.
    """

    x: FloatArray
    error: tuple[FloatArray, FloatArray, FloatArray]
    seeds: FloatArray
    n: int
    used: np.ndarray[tuple[int], np.dtype[np.bool_]]


def along(curves: Sequence[Curve], axis: str, n: int) -> Series | None:
    """Errors at n of curves that differ along an axis, `trained_on` or `step`; None without any."""
    curves = [each for each in curves if n in each.n]
    if not curves:
        return None
    x = np.asarray([each.at[axis] for each in curves], np.float64)
    ends = np.asarray([at_samples(each, n) for each in curves]).T
    used = np.isfinite(ends[0])
    return Series(
        x, (ends[0], ends[1], ends[2]), np.asarray([seeds_at(c, n) for c in curves]), n, used
    )


def nearest_common(curves: Sequence[Curve], wanted: int) -> int:
    """The number of samples that most curves have, and of these the nearest to one wanted."""
    numbers = common_samples(curves) or sorted({int(n) for each in curves for n in each.n})
    return min(numbers, key=lambda n: abs(np.log(n / wanted)), default=0)


def over_m(part: Part) -> Series | None:
    """K^F_m at `FIXED` fresh samples over m; points that no fit has are told by `used`."""
    curves = part.of("after", fit="fresh")
    found = along(curves, "trained_on", nearest_common(curves, FIXED)) if curves else None
    if found is None:
        return None
    low, high, most = range_of(part)
    used = (found.x >= low) & (found.x <= high) & ~(found.error[0] > most)
    return Series(found.x, found.error, found.seeds, found.n, found.used & used)


def range_of(part: Part) -> tuple[float, float, float]:
    """Least and most n of the fits of a part, and the largest error that they use."""
    fitted = [c.fit for c in part.curves if c.fit is not None and int(c.fit["n_points"]) > 0]
    if not fitted:
        return 0.0, np.inf, np.inf
    ends = [[int(each[end]) for each in fitted] for end in ("n_min", "n_max")]
    return float(min(ends[0])), float(max(ends[1])), 0.4


def law_of(series: Series, confidence: float) -> PowerLaw:
    """Exponent over x of the points that are used; positive: the error falls."""
    x, y = series.x[series.used], series.seeds[series.used].T
    return fit_power_law(x, 1 / np.where(y > 0, y, np.nan), confidence)


def steps_between(series: Series, confidence: float) -> Interval:
    """Paired gain, error before less error after, from each point to the next: (point − 1,)."""
    return t_interval(series.seeds[:-1] - series.seeds[1:], confidence)
