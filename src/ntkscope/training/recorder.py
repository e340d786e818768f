"""The store of kind `snapshots`: its arrays, and the writing of snapshots in blocks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ntkscope.config.specs import RunSpec
from ntkscope.stores import Array, ZarrStore
from ntkscope.stores.going_on import forget_damaged
from ntkscope.training.schedule import snapshot_steps
from ntkscope.training.snapshot_chunks import snapshot_chunks
from ntkscope.training.state import Named

STEP_LOG = ("batch_loss", "gradient_norm")
"""Of the step that led to a snapshot, of the parameters before it: NaN at step 0."""


def allocate_snapshots(
    run: RunSpec, parameters: Named, constants: Named, path: Path, record: dict[str, Any]
) -> ZarrStore:
    """The store of a run's last task, for parameters and constants, name → [S, …].

    It is empty, or as a killed job left it.
    """
    steps = snapshot_steps(run)
    seeds, snapshots, seen = len(run.seeds), len(steps), len(run.tasks)
    logged, size = ("seed", "snapshot", "seen"), (seeds, snapshots, seen)
    unit = "nat" if run.loss == "cross_entropy" else "1"
    arrays = {
        "loss": Array(logged, size, "f8", attrs={"long_name": f"test {run.loss}", "units": unit}),
        "accuracy": Array(logged, size, "f8", attrs={"long_name": "test accuracy", "units": "1"}),
        "batch_loss": Array(
            logged[:2], size[:2], "f8", attrs={"long_name": f"batch {run.loss}", "units": unit}
        ),
        "gradient_norm": Array(
            logged[:2], size[:2], "f8", attrs={"long_name": "norm of the batch's gradient"}
        ),
        "diverged_step": Array(("seed",), (seeds,), "i8", attrs={"units": "step; -1: none"}),
    }
    if run.parent is not None:
        for name in ("loss", "accuracy"):
            attrs = arrays[name].attrs | {"comment": "before the task's first step"}
            arrays[f"start_{name}"] = Array(("seed", "seen"), (seeds, seen), "f8", attrs=attrs)
    chunks = snapshot_chunks(parameters, snapshots)
    for group, named in (("parameters", parameters), ("constants", constants)):
        for name, tensor in named.items():
            shape, dtype = tuple(tensor.shape[1:]), tensor.numpy().dtype
            dims = ("seed", "snapshot", *(f"{name}_{axis}" for axis in range(len(shape))))
            arrays[f"{group}/{name}"] = Array(
                dims, (seeds, snapshots, *shape), dtype, chunks.of(tensor), compress="shuffled"
            )
    coords = {
        "seed": (("seed",), np.array(run.seeds, dtype=np.int64)),
        "step": (("snapshot",), steps),
        "task": (("snapshot",), np.full(snapshots, seen, dtype=np.int64)),
        "seen": (("seen",), np.arange(1, seen + 1)),
    }
    attrs = {"run": run.id, "boundaries": list(run.boundaries), "provenance": record}
    return ZarrStore.allocate(
        path,
        "snapshots",
        arrays,
        coords=coords,
        mask=("snapshot",),
        attrs=attrs,
        groups=("optimizer",),
        going_on=True,
    )


def is_whole(run: RunSpec, store: ZarrStore, step: int) -> bool:
    """Whether all that was recorded up to a step is there, and sound; what is not, is removed.

    Where it is, its snapshots are marked as complete.
    """
    count = int(np.searchsorted(snapshot_steps(run), step, side="right"))
    recorded = ("loss", "accuracy", *STEP_LOG, "parameters/", "constants/")
    for name, place in forget_damaged(store):
        if name.startswith("start_") or (name.startswith(recorded) and place[1].start < count):
            return False
    store.done(slice(0, count))
    return True


class Recorder:
    """Writes snapshots in whole chunks; after `flush` nothing is in memory alone.

    A chunk that is flushed before it is full is written again when it is.
    """

    def __init__(self, run: RunSpec, store: ZarrStore, parameters: Named) -> None:
        self.store = store
        self.number = {int(step): number for number, step in enumerate(snapshot_steps(run))}
        self._chunks = snapshot_chunks(parameters, len(self.number))
        self._first = 0
        self._pending: list[tuple[Named, Named, Mapping[str, np.ndarray]]] = []

    def wants(self, step: int) -> bool:
        """Whether a snapshot is to be kept at this step."""
        return step in self.number

    def start(self, loss: np.ndarray, accuracy: np.ndarray) -> None:
        """The log, each [S, seen], of what a task with a parent starts from."""
        self.store.write("start_loss", ..., loss)
        self.store.write("start_accuracy", ..., accuracy)

    def add(
        self,
        step: int,
        parameters: Named,
        constants: Named,
        log: Mapping[str, np.ndarray],
    ) -> None:
        """One snapshot: name → [S, …] on the CPU, not changed later; its log, name → [S, …]."""
        number = self.number[step]
        if not self._pending:
            self._first = number
        self._pending.append((parameters, constants, log))
        if (number + 1) % self._chunks.snapshots == 0:
            self.flush()

    def flush(self) -> None:
        """Write what is pending and mark it as complete."""
        if not self._pending:
            return
        rows = slice(self._first, self._first + len(self._pending))
        index = (slice(None), rows)
        parameters, constants, log = zip(*self._pending, strict=True)
        for group, each in (("parameters", parameters), ("constants", constants)):
            for name in each[0]:
                self._write(f"{group}/{name}", rows, [named[name].numpy() for named in each])
        for name in log[0]:
            self.store.write(name, index, np.stack([row[name] for row in log], 1))
        self.store.done(rows)
        self._pending.clear()

    def _write(self, name: str, rows: slice, values: list[np.ndarray]) -> None:
        """Snapshots of an array, each [S, …], by the seeds of a chunk: less is copied at once."""
        side = self._chunks.seeds
        for seeds in (slice(start, start + side) for start in range(0, len(values[0]), side)):
            self.store.write(name, (seeds, rows), np.stack([each[seeds] for each in values], 1))
