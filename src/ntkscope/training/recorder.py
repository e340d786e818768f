"""The store of kind `snapshots`: its arrays, and the writing of snapshots in blocks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ntkscope.config.specs import RunSpec
from ntkscope.stores import Array, ZarrStore
from ntkscope.training.schedule import snapshot_steps

_BLOCK_BYTES = 2**22  # of a parameter's chunk: few files for small networks, no large buffers


def allocate_snapshots(
    run: RunSpec, shapes: dict[str, tuple[int, ...]], path: Path, record: dict[str, Any]
) -> ZarrStore:
    """The empty store of a run's last task; `shapes` are those of one network's parameters."""
    steps = snapshot_steps(run)
    seeds, snapshots, seen = len(run.seeds), len(steps), len(run.tasks)
    logged, size = ("seed", "snapshot", "seen"), (seeds, snapshots, seen)
    unit = "nat" if run.loss == "cross_entropy" else "1"
    arrays = {
        "loss": Array(logged, size, "f8", attrs={"long_name": f"test {run.loss}", "units": unit}),
        "accuracy": Array(logged, size, "f8", attrs={"long_name": "test accuracy", "units": "1"}),
        "diverged_step": Array(("seed",), (seeds,), "i8", attrs={"units": "step; -1: none"}),
    }
    if run.parent is not None:
        for name in ("loss", "accuracy"):
            attrs = arrays[name].attrs | {"comment": "before the task's first step"}
            arrays[f"start_{name}"] = Array(("seed", "seen"), (seeds, seen), "f8", attrs=attrs)
    block = _block(run, shapes)
    for name, shape in shapes.items():
        dims = ("seed", "snapshot", *(f"{name}_{axis}" for axis in range(len(shape))))
        chunks = (seeds, min(block, snapshots), *shape)
        arrays[f"parameters/{name}"] = Array(
            dims, (seeds, snapshots, *shape), run.precision, chunks
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
    )


def _block(run: RunSpec, shapes: dict[str, tuple[int, ...]]) -> int:
    largest = max(math.prod(shape) for shape in shapes.values())
    return max(1, _BLOCK_BYTES // (largest * len(run.seeds) * np.dtype(run.precision).itemsize))


class Recorder:
    """Writes snapshots in whole blocks; after `flush` nothing is in memory alone."""

    def __init__(self, run: RunSpec, store: ZarrStore, shapes: dict[str, tuple[int, ...]]) -> None:
        self.store = store
        self.number = {int(step): number for number, step in enumerate(snapshot_steps(run))}
        self._block = _block(run, shapes)
        self._first = 0
        self._pending: list[tuple[dict[str, Tensor], np.ndarray, np.ndarray]] = []

    def wants(self, step: int) -> bool:
        """Whether a snapshot is to be kept at this step."""
        return step in self.number

    def start(self, loss: np.ndarray, accuracy: np.ndarray) -> None:
        """The log, each [S, seen], of what a task with a parent starts from."""
        self.store.write("start_loss", ..., loss)
        self.store.write("start_accuracy", ..., accuracy)

    def add(
        self, step: int, parameters: dict[str, Tensor], loss: np.ndarray, accuracy: np.ndarray
    ) -> None:
        """One snapshot: name → [S, …] on the CPU, not changed later; its log, each [S, seen]."""
        number = self.number[step]
        if not self._pending:
            self._first = number
        self._pending.append((parameters, loss, accuracy))
        if (number + 1) % self._block == 0:
            self.flush()

    def flush(self) -> None:
        """Write what is pending and mark it as complete."""
        if not self._pending:
            return
        rows = slice(self._first, self._first + len(self._pending))
        index = (slice(None), rows)
        for name in self._pending[0][0]:
            values = np.stack([parameters[name].numpy() for parameters, _, _ in self._pending], 1)
            self.store.write(f"parameters/{name}", index, values)
        self.store.write("loss", index, np.stack([loss for _, loss, _ in self._pending], 1))
        self.store.write("accuracy", index, np.stack([right for _, _, right in self._pending], 1))
        self.store.done(rows)
        self._pending.clear()
