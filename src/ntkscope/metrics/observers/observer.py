"""What a metric of a run is: an observer of its stream of kernels, and what its curves mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ntkscope.errors import ArgumentError
from ntkscope.metrics.arrays import MetricError

Curves = dict[str, NDArray[Any]]
Name = Literal["ntk", "layer_ntk"]


@dataclass(frozen=True)
class Variable:
    """What a variable of a table of metrics is.

    Attributes:
        long_name: a few words, the label of an axis.
        definition: formula or sentence, with where it is NaN.
        units: "1" where it has none.
        source: the paper, or `definition`.
        dims: `seed` and `snapshot`, then the curve's own.
    """

    long_name: str
    definition: str
    units: str = "1"
    source: str = "definition"
    dims: tuple[str, ...] = ("seed", "snapshot")

    def attributes(self) -> dict[str, str]:
        """For NetCDF."""
        names = ("long_name", "units", "definition", "source")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Stream:
    """What an observer knows of a run before its kernels come.

    Attributes:
        dt: steps behind a velocity.
        seeds: how many are measured together.
        layers: names of the layer NTKs; none where they were not kept.
        labels: (sample,), of the probe; None where it has none: what is of labels is NaN then.
        outputs: K of a full NTK, else 1.
        tolerance: what is rounding, relative to a kernel, in the precision it was computed in.
    """

    dt: int
    seeds: int
    layers: tuple[str, ...]
    labels: NDArray[np.int64] | None
    outputs: int
    tolerance: float


class KernelObserver(ABC):
    """Reads one array of a stream of kernels, snapshot by snapshot, and makes a row of each.

    It need not know how many will come, nor at which steps.

    Attributes:
        array: `ntk`, (seed, M, M) a snapshot, or `layer_ntk`, (seed, layer, M, M).
        metadata: name → meaning of each variable that it may give.
    """

    array: ClassVar[Name] = "ntk"
    metadata: ClassVar[dict[str, Variable]]

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    @abstractmethod
    def update(self, step: int, kernel: NDArray[np.float64]) -> Curves:
        """Take in the snapshot of a step; they come in order.

        Returns:
            Name → (seed, …). What is known only later is NaN, and filled in then, in place.
        """

    def mark_boundary(self) -> None:  # noqa: B027 - most observers need none
        """The snapshot taken in last is that of a boundary."""


OBSERVERS: list[type[KernelObserver]] = []
"""In the order of the table."""


def register(observer: type[KernelObserver]) -> type[KernelObserver]:
    """Have an observer measure every run. Two variables of one name are a mistake."""
    taken = {name for other in OBSERVERS for name in other.metadata} & set(observer.metadata)
    if taken:
        raise ArgumentError(
            f"{observer.__name__} measures {', '.join(sorted(taken))}, as another observer does",
            remedy="give its variables names of their own, in its `metadata`",
        )
    OBSERVERS.append(observer)
    return observer


Pointwise = Callable[[NDArray[np.float64], Stream], NDArray[Any]]


def _again(name: str, stream: Stream) -> KernelObserver:
    """A copy of what measures a metric of one snapshot, whose class has no name."""
    return next(make for make in OBSERVERS if name in make.metadata)(stream)


def register_metric(variable: Variable, array: Name = "ntk") -> Callable[[Pointwise], Pointwise]:
    """Have a function of one snapshot measure every run, under its own name.

    The function takes (seed, M, M), or (seed, layer, M, M) of `layer_ntk`, and the stream; it gives
    (seed, …) as `variable.dims` says.
    """

    def decorate(function: Pointwise) -> Pointwise:
        class _Observer(KernelObserver):
            metadata: ClassVar[dict[str, Variable]] = {function.__name__: variable}

            def update(self, step: int, kernel: NDArray[np.float64]) -> Curves:
                found = np.asarray(function(kernel, self.stream))
                if found.ndim != len(variable.dims) - 1 or len(found) != len(kernel):
                    own = ", ".join(name for name in variable.dims if name != "snapshot")
                    raise MetricError(
                        f"the metric {function.__name__} gives shape {found.shape} of a snapshot, "
                        f"not ({own}) with {len(kernel)} seeds",
                        where=function.__module__,
                        remedy="return what its Variable's dims say, or declare other dims",
                    )
                return {function.__name__: found}

            def __reduce__(self) -> tuple[Any, ...]:
                return _again, (function.__name__, self.stream)

        _Observer.array = array
        register(_Observer)
        return function

    return decorate
