"""`Watch.alarm`: a shift told as it comes, without declared boundaries, from what a watch measures.

`statistics.shift_detector` has the rule, what its stated rate of false alarms assumes, and where
that does not hold. A velocity of a network that settles falls, which makes false alarms rarer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ntkscope.statistics.shift_detector import ShiftDetector
from ntkscope.watch.online import BY_LAYER, PREFIX, WHOLE
from ntkscope.watch.probe import WatchError

_OTHER = ("loss",)


@dataclass(frozen=True)
class Alarm:
    """One alarm.

    Attributes:
        step: at which it was raised; a velocity is that of the `dt` steps to it.
        of: what has shifted, such as `velocity`; value: its.
        p: conformal p-value of the value among those before it; 0 of a NaN value, told once: the
            network has diverged.
    """

    step: int
    of: str
    value: float
    p: float


@dataclass
class ShiftAlarm:
    """A detector on one of the numbers that a watch measures; `Watch.alarm` makes it.

    Attributes:
        of: the number's name; detector: that decides.
        on_alarm: called with each `Alarm`.
        raised: every `Alarm` so far, those before a resumption included.
    """

    of: str
    detector: ShiftDetector
    on_alarm: Callable[[Alarm], Any] | None = None
    raised: list[Alarm] = field(default_factory=list)

    def take_in(
        self, step: int, found: Mapping[str, float], *, diverged: bool, again: bool
    ) -> dict[str, float]:
        """What a logger is told of it besides: whether there is an alarm, 1 or 0.

        Args:
            step: of the kernel.
            found: as of `online_values`; without the number nothing is decided, or told,
            diverged: unless the kernel is not finite: then the first of these is an alarm.
            again: whether this was told before a resumption: then nobody is called.
        """
        value = found.get(f"{PREFIX}{self.of}", math.nan)
        if math.isnan(value) and not diverged:
            return {}
        is_first = not any(math.isnan(each.value) for each in self.raised)
        is_raised = is_first if math.isnan(value) else self.detector.update(value)
        if is_raised:
            alarm = Alarm(step, self.of, value, 0.0 if math.isnan(value) else self.detector.p)
            self.raised.append(alarm)
            if self.on_alarm is not None and not again:
                self.on_alarm(alarm)
        return {f"{PREFIX}alarm/{self.of}": float(is_raised)}

    def forget(self) -> None:
        """Nothing was measured yet."""
        of = self.detector
        self.detector = ShiftDetector(of.rate, of.window, of.apart)
        self.raised.clear()


def check_alarm(of: str, every: int | None) -> None:
    """Refuse an alarm that could not be raised, or whose rate of false alarms would mean nothing.

    Raises:
        WatchError: says why.
    """
    if of not in (*WHOLE, *_OTHER) and of.partition("/")[0] not in BY_LAYER:
        raise WatchError(
            f"{of!r} is nothing that a watch measures",
            where="alarm",
            remedy=f"use one of: {', '.join((*WHOLE, *_OTHER))}, or such as layer_velocity/NAME",
        )
    if every is None:
        raise WatchError(
            "an alarm needs kernels at regular steps, but they are log-spaced",
            where="alarm",
            remedy="watch with every=1, or every=k for one velocity in k steps",
        )
