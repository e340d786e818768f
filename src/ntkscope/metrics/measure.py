"""Metrics of one run's stream: from kernels and training log to one NetCDF table.

A table of kind `metrics` has dims (seed, snapshot[, layer][, seen][, rank]) with coords `seed`,
`step`, `task`, `layer`, `seen`, `rank` (from 1), attributes `boundaries` (steps) and `dt` (steps),
and the variables that `observers` measures, each with `long_name`, `units`, `definition`, `source`:

* (seed, snapshot): spectral_norm, trace, effective_rank, participation_ratio; distance_from_start,
  distance_from_boundary, velocity, alignment, and these four with `_debiased` (not for a full NTK,
  whose rows are not independent samples) and `_uncentred`.
* (seed, snapshot, rank): eigenvalues, label_projection, of the ten largest (fewer of a smaller
  kernel). Neither is centred: the first eigenvalue is spectral_norm.
* (seed, snapshot, layer): layer_spectral_norm, layer_trace, layer_velocity,
  layer_distance_from_start, layer_distance_from_boundary, layer_alignment, layer_share. Layer NTKs
  and their change are centred in all but the first two.
* (seed, snapshot, seen): loss, accuracy; at a boundary on the task that begins there too.
* (seed): diverged_step, dead_step.

Metrics of a full NTK are of its (N·K, N·K) matrix, centred over samples for each output; its
alignment is with YYᵀ ⊗ I_K, as is its label_projection.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.config.memory_needs import BLOCK_BYTES, bytes_to_measure
from ntkscope.errors import StoreError
from ntkscope.metrics.failures import blank, earliest, first_step
from ntkscope.metrics.lineage import Lineage, open_lineage
from ntkscope.metrics.observers import OBSERVERS, Curves, Stream, Variable
from ntkscope.metrics.training_log import read_log
from ntkscope.runtime.logs import progress
from ntkscope.stores import write_netcdf

_LOGGED = {
    name: Variable(
        f"test {name}",
        f"{what} on test images of each task seen",
        source="training log",
        dims=("seed", "snapshot", "seen"),
    )
    for name, what in (("loss", "mean loss"), ("accuracy", "accuracy"))
}
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
_KEPT_ATTRS = ("kernel", "normalisation", "probe_digest", "precision")


def measure_kernels(
    kernels: Sequence[Path],
    snapshots: Sequence[Path],
    output: Path,
    *,
    boundaries: Sequence[int],
    dt: int,
    record: dict[str, Any],
) -> None:
    """Measure a run's kernels along its whole stream and write the table.

    A seed is NaN from the step on at which it diverged, and in every CKA of a dead kernel.

    Args:
        kernels: kernel stores of the lineage, from the first task on.
        snapshots: its snapshot stores (for the training log), in the same order.
        output: the NetCDF file.
        boundaries: steps at which one task ends and the next begins.
        dt: steps behind a velocity.
        record: provenance.

    Raises:
        StoreError: a store is missing, incomplete or damaged; the stores are not of one stream,
            probe and kernel; or no snapshot is at a boundary.
    """
    began = time.monotonic()
    lineage = open_lineage(kernels)
    edges = np.asarray(boundaries, np.int64)
    if not np.isin(edges, lineage.steps).all():
        raise StoreError(
            f"there is no kernel at boundary {np.setdiff1d(edges, lineage.steps).tolist()}",
            where=kernels[-1],
            remedy="delete the run and its kernels and make them again",
        )
    log = read_log(snapshots, lineage.steps, lineage.seeds)
    curves = _measure(lineage, edges, dt)
    data = _assemble(lineage, curves, log)
    facts = {key: lineage.stores[0].attrs.get(key, "") for key in _KEPT_ATTRS}
    facts.update(
        boundaries=edges,
        dt=dt,
        samples=len(lineage.labels),
        loss=log["loss"].attrs.get("long_name", ""),
    )
    record = record | {"wall_seconds": time.monotonic() - began}
    write_netcdf(data.assign_attrs(facts), output, "metrics", record)


def _measure(lineage: Lineage, boundaries: NDArray[np.int64], dt: int) -> Curves:
    """All curves of kernels, (seed, snapshot[, layer or rank]), by blocks of seeds."""
    blocks = [_measure_block(lineage, seeds, boundaries, dt) for seeds in _seed_blocks(lineage)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _seed_blocks(lineage: Lineage) -> Iterator[slice]:
    count = max(1, BLOCK_BYTES // bytes_to_measure(lineage.size, len(lineage.layers)))
    for first in range(0, len(lineage.seeds), count):
        yield slice(first, first + count)


def _measure_block(
    lineage: Lineage, seeds: slice, boundaries: NDArray[np.int64], dt: int
) -> Curves:
    stream = _stream(lineage, len(lineage.seeds[seeds]), boundaries, dt)
    observers = [make(stream) for make in OBSERVERS if make.array == "ntk" or stream.layers]
    snapshots = range(len(lineage.steps))
    for index in progress(snapshots, len(snapshots), "snapshots measured"):
        for array in ("ntk", "layer_ntk") if stream.layers else ("ntk",):
            kernel = lineage.read(array, index, seeds)
            for observer in observers:
                if observer.array == array:
                    observer.update(index, kernel)
    curves = {name: curve for each in observers for name, curve in each.curves().items()}
    return {name: np.moveaxis(curve, 0, 1) for name, curve in curves.items()}


def _stream(lineage: Lineage, seeds: int, boundaries: NDArray[np.int64], dt: int) -> Stream:
    return Stream(
        steps=lineage.steps,
        boundaries=boundaries,
        dt=dt,
        seeds=seeds,
        layers=tuple(lineage.layers),
        labels=lineage.labels,
        outputs=lineage.outputs,
        tolerance=8.0 * float(np.finfo(lineage.dtype).eps),
    )


def _assemble(lineage: Lineage, curves: Curves, log: xr.Dataset) -> xr.Dataset:
    """The table: curves blanked where a seed diverged, with their meanings."""
    steps = lineage.steps
    diverged = earliest(log["diverged_step"].values, first_step(curves.pop("diverged"), steps))
    dead = first_step(blank(curves.pop("undefined"), diverged, steps) == 1, steps)
    curves |= {name: log[name].values for name in _LOGGED}
    values = {name: blank(curve, diverged, steps) for name, curve in curves.items()}
    values |= {"diverged_step": diverged, "dead_step": dead}
    known = _LOGGED | _FAILED | {k: v for each in OBSERVERS for k, v in each.metadata.items()}
    variables: dict[str, Any] = {
        name: (known[name].dims, value, known[name].attributes()) for name, value in values.items()
    }
    ranks = np.arange(1, 1 + curves["eigenvalues"].shape[-1])
    return xr.Dataset(variables, _coords(lineage, log, ranks))


def _coords(lineage: Lineage, log: xr.Dataset, ranks: NDArray[np.int64]) -> dict[str, Any]:
    coords: dict[str, Any] = {
        "seed": lineage.seeds,
        "step": ("snapshot", lineage.steps, {"long_name": "training step"}),
        "task": ("snapshot", lineage.tasks, {"long_name": "task, from 1"}),
        "seen": ("seen", log["seen"].values, {"long_name": "task of the test images, from 1"}),
        "rank": ("rank", ranks, {"long_name": "rank of the eigenvalue, from 1"}),
    }
    return coords | ({"layer": lineage.layers} if lineage.layers else {})
