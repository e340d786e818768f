"""The share of a run's time that watching it takes: measured as it goes, and kept under a bound."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

RESERVED = 1 / 3
"""Of what is allowed, kept for boundaries and jumps of the loss."""

MUST = ("first", "boundary", "pair")
"""Reasons for which a kernel is computed at once; if it was too early, others wait for it."""


@dataclass
class Overhead:
    """The clock of a watch.

    Args:
        bound: share of the time since the watch began that it may take; None: any.
        clock: seconds.

    Attributes:
        spent: seconds in the watch; kernels: how many were computed; put_off: how many were due,
            and too dear then.
    """

    bound: float | None
    clock: Callable[[], float] = time.perf_counter
    spent: float = 0.0
    kernels: int = 0
    put_off: int = 0
    _began: float | None = None
    _cost: float = 0.0
    _ended: float = field(default=0.0, repr=False)

    def allows(self, why: str) -> bool:
        """Whether a kernel that is due for a reason may be computed now."""
        if self.bound is None or why in MUST:
            return True
        pair = 2 * self._cost  # the one dt later comes with it
        bound = self.bound if why == "near" else self.bound * (1 - RESERVED)
        return self.spent + pair <= bound * (self.total + pair)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time that the watch takes to compute a kernel and what is of it."""
        start = self.clock()
        if self._began is None:
            self._began = start
        try:
            yield
        finally:
            self._ended = self.clock()
            cost = self._ended - start
            # The first also plans, imports and verifies: no later one is that dear.
            self._cost = cost if self.kernels < 2 else 0.7 * self._cost + 0.3 * cost
            self.spent += cost
            self.kernels += 1

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Time that the watch takes without a kernel."""
        start = self.clock()
        try:
            yield
        finally:
            self._ended = self.clock()
            self.spent += self._ended - start

    def touch(self) -> None:
        """The run goes on: its time counts until now."""
        self._ended = self.clock()

    @property
    def total(self) -> float:
        """Seconds from the first kernel to the last step."""
        return 0.0 if self._began is None else self._ended - self._began
