"""A shift of a series, told as it comes, by the rank of a value among those before it.

The conformal p-value of a value x among the m before it is (1 + #{before ≥ x}) / (1 + m) (Vovk,
Gammerman & Shafer 2005, ch. 8). If the m + 1 values are exchangeable, P(p ≤ a) ≤ a, whatever their
distribution; so a detector that alarms at p ≤ a alarms falsely at most once in 1/a values on
average. Only ranks count: units and increasing transformations (log, say) change nothing.

What holds, and what does not:

* Independent values of one distribution, or exchangeable ones: at most `rate`.
* Such values times a positive factor that never rises (a loss, a velocity while training settles):
  at most `rate` too, and less. x_t above its predecessors' k-th largest makes the factor-free value
  so as well, for their factors are no smaller. The price is power.
* A stationary series whose values g apart are independent: at most `rate` with `apart=g`.
* Positively autocorrelated values otherwise: above `rate`, and alarms come in clusters. A rising
  trend: far above; it is a shift to this detector.
"""

from __future__ import annotations

import math
from numbers import Real

import numpy as np

from ntkscope.errors import NtkscopeError

_ROUNDING = 1e-9  # p is a ratio of whole numbers, a rate is what a person writes


class ShiftDetectorError(NtkscopeError, ValueError):
    """A detector that cannot be: its rate is none, or its window is too short for it."""


class ShiftDetector:
    """Alarms where a value is among the largest of those before it; of any scalar series.

    It forgets what is older than its window, so that it gets used to what comes after a shift.
    NaN is passed over: it raises no alarm, and is no part of what later values are compared with.
    +∞ is larger than any number.

    Args:
        rate: false alarms a value, at most, if the assumptions above hold.
        window: m, how many values before are compared with; None: the fewest that can do,
            1/rate − 1. No alarm is possible before 1/rate − 1 values are there.
        apart: compare with every so many-th value before only.

    Attributes:
        rate, window, apart: as given.
        p: the p-value of the last value; 1 before the first, and for NaN.

    Raises:
        ShiftDetectorError: a rate outside (0, 1), a window in which no alarm is possible.

    Example:
        >>> from ntkscope import ShiftDetector
        >>> detector = ShiftDetector(rate=0.1)
        >>> [step for step, loss in enumerate([3, 2, 1] * 9 + [9]) if detector.update(loss)]
        [27]
    """

    def __init__(self, rate: float = 0.01, window: int | None = None, apart: int = 1) -> None:
        if not (isinstance(rate, int | float) and 0 < rate < 1):
            raise ShiftDetectorError(
                f"rate = {rate!r} is no share of values",
                where="rate",
                remedy="give a number between 0 and 1, such as 0.01",
            )
        fewest = math.ceil(1 / rate - _ROUNDING) - 1
        window = max(1, fewest) if window is None else window
        if not _is_whole(window) or window < max(1, fewest):
            raise ShiftDetectorError(
                f"among {window!r} values none can be as rare as {rate:g}",
                where="window",
                remedy=f"give at least {max(1, fewest)}, or a larger rate",
            )
        if not _is_whole(apart) or apart < 1:
            raise ShiftDetectorError(
                f"apart = {apart!r} counts values", where="apart", remedy="give at least 1"
            )
        self.rate, self.window, self.apart = float(rate), int(window), int(apart)
        self.p = 1.0
        self._before = np.empty(self.window * self.apart)  # a ring
        self._seen = 0

    def __repr__(self) -> str:
        options = f"rate={self.rate:g}, window={self.window}, apart={self.apart}"
        return f"ShiftDetector({options}): {self._seen} values, the last of p = {self.p:.3g}"

    def update(self, value: float) -> bool:
        """Take in a value; whether it raises an alarm."""
        value, self.p = float(value), 1.0
        if math.isnan(value):
            return False
        count = min(self._seen // self.apart, self.window)
        ago = self._seen - self.apart * np.arange(1, count + 1)
        baseline = self._before[ago % len(self._before)]
        self.p = (1 + int(np.count_nonzero(baseline >= value))) / (1 + count)
        self._before[self._seen % len(self._before)] = value
        self._seen += 1
        return self.p <= self.rate + _ROUNDING


def _is_whole(value: object) -> bool:
    return isinstance(value, Real) and float(value).is_integer()
