"""The scalar tasks there are, and what is known of each before any of it is drawn.

A scalar task is inputs with one target number per sample, drawn for each seed. It lies in a file of
`ntkscope.data.tasks`, which names it in its `TASKS`. These files are plug-ins: they import this
module, and are looked up here by name when a configuration is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from ntkscope.errors import DataError

if TYPE_CHECKING:
    from ntkscope.config.curve_specs import SampleCounts, ScalarTaskSpec

SPLITS = ("train", "fresh", "validation", "test")
"""Of a task. Fresh samples are as the training samples, and no network learns them. The order is
part of every result: it numbers the streams of random numbers."""


@dataclass(frozen=True)
class Limits:
    """The most samples of a seed; None: as many as are asked for.

    Attributes:
        train_and_fresh: of both together; fresh: of these alone.
    """

    train_and_fresh: int | None = None
    fresh: int | None = None
    validation: int | None = None
    test: int | None = None


ENDLESS = Limits()
"""Of a task that is drawn without end, or of which only its data tell how many there are."""


@dataclass(frozen=True)
class TaskSource:
    """A scalar task.

    Attributes:
        title: the name as printed in a figure.
        open: (spec, its data set, `ntkscope.data.OpenSamples`, or None) → what can be drawn from,
            `ntkscope.data.tasks.OpenedTask`.
        licence, citation: of what it is made of.
        dataset: the published data set that it is made of; None: of nothing, or see `chosen`.
        chosen: the configuration chooses its data set and the classes of each target.
        shape: of a sample as stored, image (y, x, channel) or vector (feature,); None: as the data
            set's.
        error: of a prediction f of target y: zero_one (sign f ≠ y), or squared ((f − y)² / variance
            of the test targets).
        limits: where they are known before data are read.
        of_pools: of `chosen`: the limits with so many training and test images of both groups.
    """

    title: str
    open: Callable[[ScalarTaskSpec, Any], Any]
    licence: str
    citation: str
    dataset: str | None = None
    chosen: bool = False
    shape: tuple[int, ...] | None = None
    error: Literal["zero_one", "squared"] = "zero_one"
    limits: Limits = ENDLESS
    of_pools: Callable[[int, int], Limits] | None = None


@cache
def _sources() -> dict[str, TaskSource]:
    found: dict[str, TaskSource] = import_module("ntkscope.data.tasks").discover()
    return found


class _Tasks(Mapping[str, TaskSource]):
    """The tasks by name, looked up when first asked for."""

    def __getitem__(self, name: str) -> TaskSource:
        return _sources()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_sources())

    def __len__(self) -> int:
        return len(_sources())


TASKS: Mapping[str, TaskSource] = _Tasks()
"""Every task by its name."""


def check_counts(limits: Limits, counts: SampleCounts, task: str, where: str) -> None:
    """Refuse more samples than a task has.

    Args:
        limits: of the task, as known so far.
        counts: what is asked for.
        task: its name, for the error.
        where: the key of the configuration.

    Raises:
        DataError: says the most.
    """
    requested = {
        "training and fresh samples together": (
            counts.train + counts.fresh,
            limits.train_and_fresh,
            f"train {counts.train} + fresh {counts.fresh}",
        ),
        "fresh samples": (counts.fresh, limits.fresh, f"fresh {counts.fresh}"),
        "validation samples": (
            counts.validation,
            limits.validation,
            f"validation {counts.validation}",
        ),
        "test samples": (counts.test, limits.test, f"test {counts.test}"),
    }
    for what, (number, most, words) in requested.items():
        if most is not None and number > most:
            raise DataError(
                f"{task} has at most {most} {what} for a seed, but {number} are asked for "
                f"({words})",
                where=where,
                remedy=f"ask for at most {most} {what}, or take a task that has more",
            )


def groups(
    positive: Sequence[int], negative: Sequence[int] | None, classes: int, where: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The classes of target +1 and of target −1.

    Args:
        positive: of target +1.
        negative: of target −1; None: all others.
        classes: number of the data set's classes.
        where: the task's key of the configuration, for the error.

    Raises:
        DataError: a class that there is not, one in both, or none in one of them.
    """
    if negative is None:
        negative = [each for each in range(classes) if each not in positive]
    wrong = [each for each in (*positive, *negative) if not 0 <= each < classes]
    if wrong:
        raise DataError(
            f"there is no class {wrong[0]}: the data set has {classes} classes, from 0",
            where=where,
            remedy=f"name classes from 0 to {classes - 1}",
        )
    both = sorted({*positive} & {*negative})
    if both:
        raise DataError(
            f"class {both[0]} is both positive and negative",
            where=where,
            remedy="name each class once",
        )
    for name, chosen in (("positive", positive), ("negative", negative)):
        if not chosen:
            raise DataError(
                f"no class is {name}", where=where, remedy=f"name a class under {where}.{name}"
            )
    return tuple(positive), tuple(negative)
