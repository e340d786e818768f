"""At which steps a kernel is due, of a run whose length and boundaries nobody has told."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

_LOOKED_AT = 100_000


@dataclass
class Schedule:
    """Dense around a boundary and a jump of the loss, log-spaced elsewhere; or every k steps.

    Steps are counted from the last boundary or jump (at first, from the first step). Each step
    that is due by itself is followed by the one `dt` later, so that its velocity is known.

    Args:
        dt: steps behind a velocity.
        every: k; None: log-spaced.
        dense: steps before and after a boundary that are all due (before it, if it was announced).
        per_decade: steps that are due for each factor of ten.
    """

    dt: int = 1
    every: int | None = None
    dense: int = 16
    per_decade: int = 12
    announced: set[int] = field(default_factory=set)
    _origin: int | None = None
    _last: int | None = None
    _next: int = 0
    _tail: int | None = None
    _shifted: bool = False
    _denied: int | None = None

    def anew(self) -> Schedule:
        """The same, before the first step."""
        return Schedule(self.dt, self.every, self.dense, self.per_decade, self.announced)

    def due(self, step: int) -> str:
        """Why a kernel is due: `first`, `boundary`, `pair`, `near`, `spaced`; empty if it is not.

        A boundary that was announced is due by itself; `near` are steps before one that was, and
        those since the last boundary or jump.
        """
        if self._origin is None:
            return "first"
        if step in self.announced:
            return "boundary"
        if self._last is not None and step == self._last + self.dt:
            return "pair"
        if any(0 < ahead - step <= self.dense for ahead in self.announced):
            return "near"
        if step < self._next and (self._tail is None or step != self._tail + self.dt):
            return ""
        return "near" if self._shifted else "spaced"

    def taken(self, step: int, why: str) -> None:
        """A kernel was computed.

        One that was due both by itself and as a pair has a pair of its own only if time allows.
        """
        if self._origin is None:
            self._origin = step
        by_itself = step >= self._next
        if by_itself:
            self._next = self._after(step)
        self._tail = step if why == "pair" and by_itself else None
        if why != "pair" and by_itself:
            self._last = step

    def denied(self) -> bool:
        """A kernel that is due is put off, and due again; whether it was not before."""
        is_new, self._denied = self._denied != self._next, self._next
        return is_new

    def restart(self, step: int, *, boundary: bool = True) -> None:
        """A task, or after a jump of the loss a phase, begins after this step: dense from here on.

        Every k steps, and their pairs, stay those that they were.
        """
        self.announced.discard(step)
        self._shifted = True
        if boundary or self.every is None:
            self._last = step if boundary else None
        if self.every is None:
            self._origin, self._next = step, step + 1
        elif boundary:
            self._next = self._after(step)

    def missed(self, steps: Sequence[int], told: int, before: int) -> int:
        """How many steps were due, of a loop that went on behind what is known of it.

        Args:
            steps: that have kernels; numbers of the loop are as far apart as their divisor says.
            told: the last step that is known of.
            before: the loop went on to here; of more than 100,000 numbers, those are looked at.
        """
        apart = math.gcd(*(b - a for a, b in itertools.pairwise(steps)))
        if not apart:
            return 0
        ahead, first = copy.copy(self), steps[-1] + apart * ((told - steps[-1]) // apart + 1)
        count = 0
        for step in range(first, before, apart)[:_LOOKED_AT]:
            why = ahead.due(step)
            if why:
                ahead.taken(step, why)
                count += 1
        return count

    def _after(self, step: int) -> int:
        """The next step that is due by itself."""
        assert self._origin is not None
        offset = step - self._origin
        if self.every is not None:
            return self._origin + (offset // self.every + 1) * self.every
        if offset < self.dense:
            return step + 1
        return self._origin + max(offset + 1, math.ceil(offset * 10 ** (1 / self.per_decade)))


@dataclass
class LossJumps:
    """Whether a loss has jumped: above its running mean by many of its running deviations.

    Args:
        deviations: how many; and by this `share` of the largest mean so far at least, since the
            small loss of a trained network has large deviations.
        decay: of the running mean and mean absolute deviation, a step.
        least: losses to have been seen before.
    """

    deviations: float = 8.0
    decay: float = 0.95
    least: int = 20
    share: float = 0.1
    _largest: float = 0.0
    _mean: float = 0.0
    _deviation: float = 0.0
    _seen: int = 0

    def jumped(self, loss: float) -> bool:
        """Take in a loss; after a jump the running mean begins anew."""
        least = max(self.deviations * self._deviation, self.share * self._largest)
        above = loss - self._mean - least
        if self._seen >= self.least and (above > 0 or math.isnan(loss)):
            self._seen = 0
            return True
        if not math.isfinite(loss):  # before there is a mean, which it would be for ever
            return False
        weight = max(1 - self.decay, 1 / (self._seen + 1))
        self._deviation += weight * (abs(loss - self._mean) - self._deviation)
        if not self._seen:
            self._deviation = 0.0
        self._mean += weight * (loss - self._mean)
        self._seen += 1
        if self._seen >= self.least:
            self._largest = max(self._largest, abs(self._mean))
        return False
