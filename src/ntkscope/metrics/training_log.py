"""The training log of a lineage: loss and accuracy on every task so far, and what diverged.

A boundary's snapshot is the old task's last. Its loss on the task that begins there is in the log
of that task, as `start_loss`, and is put into the boundary's row: the jump of the loss is
loss[boundary, new task] − loss[boundary, old task].

Stores made before there was a log of steps lack `OF_STEPS`, and so do the tables made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.errors import StoreError, remake
from ntkscope.metrics.failures import earliest
from ntkscope.metrics.lineage import of_one_run
from ntkscope.stores import read_store

_CURVES = ["loss", "accuracy"]
OF_STEPS = ("batch_loss", "gradient_norm")
"""(seed, snapshot), of the step that led to a snapshot."""
_STARTS = ["start_loss", "start_accuracy"]
_ROUNDING = 1e-3  # by which the same loss may differ between two devices


def read_log(
    paths: Sequence[Path], steps: NDArray[np.int64], seeds: NDArray[np.int64]
) -> xr.Dataset:
    """Loss and accuracy (seed, snapshot, seen) at the given steps, and `diverged_step` (seed).

    And `OF_STEPS`, where every store has them.

    A task not yet seen is NaN; at a boundary the task that begins there counts as seen.

    Args:
        paths: snapshot stores of the lineage, in the order of their tasks.
        steps: (snapshot,), the kernels' steps.
        seeds: (seed,), the kernels' seeds.

    Raises:
        StoreError: a store is missing, incomplete, or lacks one of the seeds or steps, or starts
            from another loss than its parent ended with.
    """
    logs = [_read(path, seeds, first=path == paths[0]) for path in paths]
    curves = [*_CURVES, *(name for name in OF_STEPS if all(name in log for log in logs))]
    joined = xr.concat(
        [log[curves] for log in logs],
        dim="snapshot",
        join="outer",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        combine_attrs="override",
    )
    for before, log, path in zip(logs[:-1], logs[1:], paths[1:], strict=True):
        _fill_boundary(joined, before, log, path)
    place = np.searchsorted(joined["step"].values, steps)
    place = np.minimum(place, joined.sizes["snapshot"] - 1)
    if not np.array_equal(joined["step"].values[place], steps):
        raise StoreError(
            "kernels were computed at steps that the training log lacks",
            where=paths[-1],
            remedy=of_one_run(paths[-1]),
        )
    kept = joined.isel(snapshot=place).transpose("seed", "snapshot", "seen", missing_dims="ignore")
    diverged = earliest(*(log["diverged_step"].values for log in logs))
    return kept.drop_vars(["step", "task"], errors="ignore").assign(
        diverged_step=("seed", diverged)
    )


def _fill_boundary(joined: xr.Dataset, before: xr.Dataset, log: xr.Dataset, path: Path) -> None:
    """Put what `log` starts from, on its own task, into the row at which `before` ends."""
    known = before["loss"].isel(snapshot=-1).values
    started = log["start_loss"].isel(seen=slice(-1)).values
    if not np.allclose(started, known, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True):
        raise StoreError(
            "the task starts from another loss than its parent ended with",
            where=path,
            remedy=of_one_run(path),
        )
    row = int(np.searchsorted(joined["step"].values, before["step"].values[-1]))
    for name in _CURVES:
        curve = joined[name].transpose("seed", "snapshot", "seen").values
        curve[:, row, log.sizes["seen"] - 1] = log[f"start_{name}"].values[:, -1]
        joined[name] = (("seed", "snapshot", "seen"), curve, joined[name].attrs)


def _read(path: Path, seeds: NDArray[np.int64], *, first: bool) -> xr.Dataset:
    data = read_store(path, "snapshots")
    kept = [*_CURVES, "diverged_step", *([] if first else _STARTS)]
    missing = [name for name in (*kept, "seen", "step") if name not in data]
    if missing or not np.array_equal(data["seed"].values, seeds):
        what = f"has no {', '.join(missing)}" if missing else "is of other seeds than the kernels"
        raise StoreError(f"the training log {what}", where=path, remedy=remake(path))
    return data[[*kept, *(name for name in OF_STEPS if name in data)]].load()
