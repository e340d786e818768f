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
* (seed, snapshot), where the training log has them: batch_loss, gradient_norm, of the step to a
  snapshot and of the parameters before it.
* (seed): diverged_step, dead_step.

Metrics of a full NTK are of its (N·K, N·K) matrix, centred over samples for each output; its
alignment is with YYᵀ ⊗ I_K, as is its label_projection.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkscope.config.memory_needs import BLOCK_BYTES, bytes_to_measure
from ntkscope.errors import StoreError
from ntkscope.metrics.lineage import IDENTITY, Lineage, of_one_run, open_lineage
from ntkscope.metrics.observers import Curves
from ntkscope.metrics.stream_metrics import (
    LOGGED,
    LOGGED_STEPS,
    Log,
    Snapshots,
    StreamMetrics,
    metrics_table,
)
from ntkscope.metrics.training_log import read_log
from ntkscope.runtime.logs import progress
from ntkscope.stores import write_netcdf


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
        snapshots: its snapshot stores (for the training log), in the same order; none: what the
            kernels' store itself knows, as one that `ntkscope.Watch` wrote does.
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
            remedy=of_one_run(kernels[-1]),
        )
    log, loss = _read_log(snapshots, lineage)
    curves = _measure(lineage, edges, dt)
    layers = tuple(lineage.layers)
    at = Snapshots(lineage.seeds, lineage.steps, lineage.tasks, layers)
    data = metrics_table(curves, log, at)
    facts = {key: lineage.stores[0].attrs.get(key, "") for key in IDENTITY}
    facts.update(
        boundaries=edges,
        dt=dt,
        samples=lineage.size // lineage.outputs,
        loss=loss,
    )
    record = record | {"wall_seconds": time.monotonic() - began}
    write_netcdf(data.assign_attrs(facts), output, "metrics", record)


def _read_log(snapshots: Sequence[Path], lineage: Lineage) -> tuple[Log, str]:
    """The training log at the kernels' steps, and which loss it has, in words."""
    if snapshots:
        log = read_log(snapshots, lineage.steps, lineage.seeds)
        names = (name for name in (*LOGGED, *LOGGED_STEPS) if name in log)
        curves = {name: log[name].values for name in names}
        return Log(curves, log["diverged_step"].values), log["loss"].attrs.get("long_name", "")
    return lineage.log(), ""


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
    metrics = StreamMetrics(lineage.stream(len(lineage.seeds[seeds]), dt))
    snapshots = range(len(lineage.steps))
    for index in progress(snapshots, len(snapshots), "snapshots measured"):
        step = int(lineage.steps[index])
        metrics.update(step, partial(lineage.read, snapshot=index, seeds=seeds))
        if step in boundaries:
            metrics.mark_boundary()
    return metrics.curves()
