"""What a watch did and what it cost, in words; and which options it can have."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ntkscope.ntk.empirical.arguments import is_whole
from ntkscope.watch.probe import WatchError


@dataclass(frozen=True)
class Report:
    """Of one watch.

    Attributes:
        model: its class; samples: of the probe; kind: of the kernels.
        steps: that it was told; kernels: that it computed, or before a step those of its store;
            boundaries: how many there are.
        put_off: kernels that were due, and put off or left out since they would have cost too much;
            not those that would have been due until the next.
        seconds: in the watch, of `total` since its first kernel began.
        bound: the share of time that it may take at most; None: any.
        store: where kernels are; None: nowhere.
        active: whether this process computes them (rank 0).
        diverged: the first step whose kernel was not finite; None: there is none.
    """

    model: str
    samples: int
    kind: str
    steps: int
    kernels: int
    boundaries: int
    put_off: int
    seconds: float
    total: float
    bound: float | None
    store: Path | None
    active: bool = True
    diverged: int | None = None

    @property
    def share(self) -> float:
        """Of the time, spent in the watch; NaN before the first kernel."""
        return self.seconds / self.total if self.total else float("nan")

    def __str__(self) -> str:
        if not self.active:
            return f"Watch({self.model}): idle, since rank 0 watches"
        if not self.steps or not self.kernels:
            what = f"{self.kernels} kernels of its store" if self.kernels else "no kernel yet"
            where = "" if self.store is None else f"\n  kernels: {self.store}"
            return f"Watch({self.model}, {self.samples} samples): {what}{where}"
        most = "no bound" if self.bound is None else f"asked: at most {100 * self.bound:g} %"
        took = f"{100 * self.share:.1f} % ({most}), {1e3 * self.seconds / self.kernels:.1f} ms"
        lines = [
            f"Watch({self.model}, {self.samples} samples): {self.kernels} {self.kind} kernels in "
            f"{self.steps} steps, boundaries: {self.boundaries}",
            f"  time: {self.seconds:.2f} of {self.total:.2f} s, {took} a kernel",
        ]
        if self.diverged is not None:
            lines.append(f"  diverged: the table is NaN from step {self.diverged} on")
        if self.put_off:
            lines.append(
                f"  put off or left out for their cost: {self.put_off} kernels, and what was due "
                "meanwhile; overhead=None takes all"
            )
        if self.bound is not None and self.share > self.bound:
            lines.append(
                "  above what was asked: the first kernel, and those of boundaries, are not left "
                "out; it sinks as the run goes on, or with a smaller probe"
            )
        if self.store is not None:
            lines.append(f"  kernels: {self.store}")
        return "\n".join(lines)


def whole_step(given: Any) -> int:
    """The number of a step, of an integer of Python's, NumPy's or torch's.

    Raises:
        WatchError: it is none.
    """
    number = given
    if not isinstance(given, int):
        with suppress(ValueError, RuntimeError, AttributeError):  # of several elements; of no array
            number = given.item()
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not is_whole(number) or number < 0:
        raise WatchError(
            f"{given!r} is no number of a step",
            where="step",
            remedy="give whole numbers from 0 on, or none: then steps are counted",
        )
    return int(number)


def checked_options(dt: int, every: int | None, dense: int, overhead: float | None) -> None:
    """Refuse what no watch can be asked.

    Raises:
        WatchError: says which.
    """
    for name, value, least in (("dt", dt, 1), ("every", every, 1), ("dense", dense, 0)):
        if value is None and name == "every":
            continue
        if value is None or not is_whole(value) or value < least:
            raise WatchError(
                f"{name} = {value!r} counts steps", where=name, remedy=f"give at least {least}"
            )
    number = isinstance(overhead, int | float) and not isinstance(overhead, bool)
    if overhead is not None and not (number and 0 < overhead < 1):
        raise WatchError(
            f"overhead = {overhead!r} is no share of time",
            where="overhead",
            remedy="give a number between 0 and 1, such as 0.05, or None for no bound",
        )
