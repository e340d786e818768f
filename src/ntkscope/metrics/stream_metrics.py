"""Every metric of a stream of kernels, a snapshot at a time, and the table of them.

What measures the stores of the workflow (`measure`) and what watches a network that learns
(`ntkscope.watch`) are both clients of this: there is one implementation of each metric over time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.metrics.failures import NEVER, blank, earliest, first_step
from ntkscope.metrics.observers import Curves, KernelObserver, Stream, Variable, observer
from ntkscope.metrics.observers.observer import Name

LOGGED = {
    name: Variable(
        f"test {name}",
        f"{what} on test images of each task seen",
        source="training log",
        dims=("seed", "snapshot", "seen"),
    )
    for name, what in (("loss", "mean loss"), ("accuracy", "accuracy"))
}
"""What a training log adds to the metrics of kernels."""

GIVEN = {
    name: replace(each, long_name=name, definition=f"{name} as the training loop gave it")
    for name, each in LOGGED.items()
}
"""The same of a run that `ntkscope.Watch` watched."""

LOGGED_STEPS = {
    "batch_loss": Variable(
        "batch loss", "mean loss of the batch of the step to the snapshot", source="training log"
    ),
    "gradient_norm": Variable(
        "gradient norm",
        "norm of that batch's gradient, at the parameters before the step",
        source="training log",
    ),
}
"""Of the steps themselves, where the log has them."""

_FAILED = {
    "diverged_step": Variable(
        "first step diverged",
        "first step that is not finite, −1 if none",
        "step",
        "training log, kernels",
        ("seed",),
    ),
    "dead_step": Variable(
        "first step dead",
        "first step whose NTK is zero or constant, so that CKA is undefined; −1 if none",
        "step",
        dims=("seed",),
    ),
}
_FLAGS = ("diverged", "undefined")


class StreamMetrics:
    """All that `observers` measure of a stream, in the memory of a few kernels.

    Args:
        stream: what is known of it.

    Attributes:
        rows: of each snapshot, name → (seed, …).
    """

    def __init__(self, stream: Stream) -> None:
        self.rows: list[Curves] = []
        self._steps: list[int] = []
        self._dt = stream.dt
        self._observers: list[KernelObserver] = [
            make(stream) for make in observer.OBSERVERS if make.array == "ntk" or stream.layers
        ]

    def update(self, step: int, read: Callable[[Name], NDArray[np.float64]]) -> None:
        """Take in the snapshot of a step.

        Args:
            step: above those before.
            read: gives `ntk`, (seed, M, M), and where there are layers `layer_ntk`, (seed, layer,
                M, M), float64; each is read once, when it is needed.
        """
        row: Curves = {}
        for array in dict.fromkeys(each.array for each in self._observers):
            kernel = read(array)
            for each in self._observers:
                if each.array == array:
                    row |= each.update(step, kernel)
        self.rows.append(row)
        self._steps.append(step)

    def mark_boundary(self) -> None:
        """The snapshot taken in last is that of a boundary."""
        for each in self._observers:
            each.mark_boundary()

    def latest(self) -> Curves:
        """Name → (seed, …) of the last snapshot; a velocity is that of the `dt` steps to it."""
        last = dict(self.rows[-1])
        before = self._steps[-1] - self._dt
        row = self.rows[self._steps.index(before)] if before in self._steps[-self._dt - 1 :] else {}
        later = [name for name in last if "velocity" in name]
        return last | {name: row.get(name, np.full_like(last[name], np.nan)) for name in later}

    def curves(self) -> Curves:
        """Name → (seed, snapshot, …)."""
        names = self.rows[0] if self.rows else {}
        stacked = {name: np.stack([row[name] for row in self.rows]) for name in names}
        return {name: np.moveaxis(curve, 0, 1) for name, curve in stacked.items()}


@dataclass(frozen=True)
class Log:
    """What is known of training beside its kernels.

    Attributes:
        curves: of `LOGGED`, (seed, snapshot, seen); some of `LOGGED_STEPS`, (seed, snapshot).
        diverged_step: (seed,), −1: never.
        logged: what they are, where it is not what `LOGGED` says.
    """

    curves: Curves
    diverged_step: NDArray[np.int64]
    logged: Mapping[str, Variable] = field(default_factory=lambda: LOGGED)


def empty_log(seeds: int, snapshots: int) -> Log:
    """A log of one task that knows nothing but what a training loop gives."""
    nothing = np.full((seeds, snapshots, 1), np.nan)
    return Log({name: nothing for name in LOGGED}, np.full(seeds, NEVER), GIVEN)


@dataclass(frozen=True)
class Snapshots:
    """The coordinates of a table.

    Attributes:
        seeds: (seed,).
        steps, tasks: (snapshot,); tasks from 1.
        layers: names of the layer NTKs.
    """

    seeds: NDArray[np.int64]
    steps: NDArray[np.int64]
    tasks: NDArray[np.int64]
    layers: tuple[str, ...]


def metrics_table(curves: Curves, log: Log, at: Snapshots) -> xr.Dataset:
    """The table of kind `metrics` without its attributes: curves, blanked where a seed diverged.

    Args:
        curves: as of `StreamMetrics.curves`.
        log: of the same snapshots.
        at: coordinates.
    """
    curves, steps = dict(curves), at.steps
    flags = {name: curves.pop(name) for name in _FLAGS}
    diverged = earliest(log.diverged_step, first_step(flags["diverged"], steps))
    dead = first_step(blank(flags["undefined"], diverged, steps) == 1, steps)
    values = {name: blank(curve, diverged, steps) for name, curve in (curves | log.curves).items()}
    values |= {"diverged_step": diverged, "dead_step": dead}
    observed = {name: v for each in observer.OBSERVERS for name, v in each.metadata.items()}
    known = {**log.logged, **LOGGED_STEPS, **_FAILED, **observed}
    variables: dict[str, Any] = {
        name: (known[name].dims, value, known[name].attributes()) for name, value in values.items()
    }
    seen, ranks = log.curves["loss"].shape[-1], curves["eigenvalues"].shape[-1]
    return xr.Dataset(variables, _coords(at, seen, ranks))


def _coords(at: Snapshots, seen: int, ranks: int) -> dict[str, Any]:
    coords: dict[str, Any] = {
        "seed": at.seeds,
        "step": ("snapshot", at.steps, {"long_name": "training step"}),
        "task": ("snapshot", at.tasks, {"long_name": "task, from 1"}),
        "seen": ("seen", np.arange(1, seen + 1), {"long_name": "task of the test images, from 1"}),
        "rank": ("rank", np.arange(1, ranks + 1), {"long_name": "rank of the eigenvalue, from 1"}),
    }
    return coords | ({"layer": list(at.layers)} if at.layers else {})
