"""The training log of a lineage: loss and accuracy on every task so far, and what diverged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.errors import StoreError
from ntkscope.metrics.failures import earliest
from ntkscope.stores import read_store

_CURVES = ["loss", "accuracy"]


def read_log(
    paths: Sequence[Path], steps: NDArray[np.int64], seeds: NDArray[np.int64]
) -> xr.Dataset:
    """Loss and accuracy (seed, snapshot, seen) at the given steps, and `diverged_step` (seed).

    A task not yet seen is NaN.

    Args:
        paths: snapshot stores of the lineage, in the order of their tasks.
        steps: (snapshot,), the kernels' steps.
        seeds: (seed,), the kernels' seeds.

    Raises:
        StoreError: a store is missing, incomplete, or lacks one of the seeds or steps.
    """
    logs = [_read(path, seeds) for path in paths]
    joined = xr.concat(
        [log[_CURVES] for log in logs],
        dim="snapshot",
        join="outer",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        combine_attrs="override",
    )
    place = np.searchsorted(joined["step"].values, steps)
    place = np.minimum(place, joined.sizes["snapshot"] - 1)
    if not np.array_equal(joined["step"].values[place], steps):
        raise StoreError(
            "kernels were taken at steps that the training log lacks",
            where=paths[-1],
            remedy="delete the kernels of this lineage and run their rules again",
        )
    kept = joined.isel(snapshot=place).transpose("seed", "snapshot", "seen")
    diverged = earliest(*(log["diverged_step"].values for log in logs))
    return kept.drop_vars(["step", "task"], errors="ignore").assign(
        diverged_step=("seed", diverged)
    )


def _read(path: Path, seeds: NDArray[np.int64]) -> xr.Dataset:
    data = read_store(path, "snapshots")
    missing = [name for name in (*_CURVES, "diverged_step", "seen", "step") if name not in data]
    if missing or not np.array_equal(data["seed"].values, seeds):
        what = f"has no {', '.join(missing)}" if missing else "is of other seeds than the kernels"
        raise StoreError(
            f"the training log {what}", where=path, remedy="delete it and run its rule again"
        )
    return data[[*_CURVES, "diverged_step"]].load()
