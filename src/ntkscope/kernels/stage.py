"""`take_kernels`: the kernel of every snapshot of a run's task on the probe.

Small kernels are taken for all seeds and a block of snapshots at once, large ones tile by tile,
network by network. Blocks and tiles are on a fixed grid, so that the very same products are made by
one job, by one that goes on after a kill, and by several that share the work.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ntkscope.config.specs import KernelSpec, RunSpec
from ntkscope.identity import digest
from ntkscope.kernels.job import KernelJob, Way, begin_store, open_job
from ntkscope.kernels.snapshot_tiles import SnapshotTiles
from ntkscope.models import Architecture, parameter_shapes
from ntkscope.ntk.empirical.stacked import stacked_ntk
from ntkscope.runtime.device import choose_device, repeatable
from ntkscope.runtime.logs import progress
from ntkscope.runtime.provenance import provenance
from ntkscope.stores import Array, JobDirectory, ZarrStore

_BLOCK_BYTES = 2**26  # of the largest tensor in a block of snapshots
_WHOLE_BYTES = 2**28  # of the kernels of one snapshot, from which on they go tile by tile
_PROCESS_BYTES = 10**9  # of a process that has torch, beside what it computes


@dataclass(frozen=True)
class _Asked:
    """What was asked of a job, and the way it goes.

    Attributes:
        job, way: what is taken, and how.
        identity: all that the kernels depend on; state that was left by another is not used.
        record: provenance.
    """

    job: KernelJob
    way: Way
    identity: dict[str, Any]
    record: dict[str, Any]

    def fill(self, place: JobDirectory, path: Path, part: tuple[int, int]) -> ZarrStore:
        """Every n-th unit of work from the i-th on, part = (i, n), as far as it is not done."""
        store = begin_store(self.job, self.way, path, self.record)
        done = store.mask
        mine = self.way.units()[part[0] :: part[1]]
        todo = [unit for unit in mine if not self.way.is_done(unit, done)]
        what = f"{self.job.run.id} {self.job.kernel.id}"
        for _ in progress(self.way.take(todo, store), len(todo), what):
            place.heartbeat()
        return store


def take_kernels(
    run: RunSpec,
    kernel: KernelSpec,
    images_path: Path,
    snapshots_path: Path,
    output: Path,
    *,
    state: Path,
    stage: str,
    device: str = "auto",
    threads: int = 1,
    memory: int = 3 * 10**9,
    parts: int = 0,
) -> None:
    """Write the store of kind `kernels` of one run's last task.

    Args:
        run: whose snapshots these are.
        kernel: kind, probe and precision.
        images_path, snapshots_path: the stores to read.
        output: the store to make: `ntk` (seed, snapshot, sample, sample2), or with `output` and
            `output2` (kind full); `layer_ntk` with `layer`; coordinates seed, step, task, layer,
            image, label. A seed that diverged has NaN kernels.
        state: the job's directory: killed and called again, the kernels already taken are kept,
            those of parts (`take_part`) too.
        stage: digest of the stage's sources: another one's state is not used.
        device, threads: as in `train_task`.
        memory: of the whole process, in bytes; kernels that are too large for one piece go in
            tiles that fit into it, and their last digits depend on it.
        parts: how many parts were taken before, for the store's attributes.
    """
    began = time.monotonic()
    with repeatable(threads):
        asked = _ask(
            run, kernel, images_path, snapshots_path, stage, choose_device(device), threads, memory
        )
        with JobDirectory(state, asked.identity) as place:
            _adopt(_shared(state, asked), place)
            store = asked.fill(place, place.store, (0, 1))
            record = asked.record | {"wall_seconds": time.monotonic() - began}
            store.describe(provenance=record, parts=parts)
            place.finish(output)
    shutil.rmtree(_parts(state), ignore_errors=True)


def take_part(
    run: RunSpec,
    kernel: KernelSpec,
    images_path: Path,
    snapshots_path: Path,
    part: tuple[int, int],
    *,
    state: Path,
    stage: str,
    device: str = "auto",
    threads: int = 1,
    memory: int = 3 * 10**9,
) -> None:
    """Take a part of what `take_kernels` takes, beside others that take theirs.

    All parts write into one store near `state`, each its own chunks. `take_kernels`, called when
    they have ended, with the same arguments, finds it, takes what is missing, and finishes it.

    Args:
        part: (i, n): the i-th of n parts, i from 0.
        run, kernel, images_path, snapshots_path, state, stage, device, threads, memory: as in
            `take_kernels`.
    """
    with repeatable(threads):
        asked = _ask(
            run, kernel, images_path, snapshots_path, stage, choose_device(device), threads, memory
        )
        mine = _parts(state) / f"{part[0]}of{part[1]}"
        with JobDirectory(mine, asked.identity) as place:
            asked.fill(place, _shared(state, asked), part)


def _ask(
    run: RunSpec,
    kernel: KernelSpec,
    images_path: Path,
    snapshots_path: Path,
    stage: str,
    device: torch.device,
    threads: int,
    memory: int,
) -> _Asked:
    job = open_job(run, kernel, images_path, snapshots_path, device)
    facts: dict[str, Any] = {"kernel": kernel.model_dump(mode="json"), "threads": threads}
    identity = facts | {
        "run": run.id,
        "stage": stage,
        "device": device.type,
        "trained": str(job.snapshots.group.attrs.get("provenance")),
    }
    way: Way = _Blocks(job)
    if _is_large(job):
        way = SnapshotTiles(job, max(memory - _PROCESS_BYTES, _PROCESS_BYTES // 4))
        identity["memory"] = memory
    return _Asked(job, way, identity, provenance(run=run.id, device=str(device), **facts))


def _is_large(job: KernelJob) -> bool:
    outputs = job.outputs if job.kernel.kind == "full" else 1
    pairs = (len(job.inputs) * outputs) ** 2
    return job.seeds * len(job.names) * pairs * job.inputs.element_size() > _WHOLE_BYTES


def _parts(state: Path) -> Path:
    """Where parts keep their state."""
    return state.with_name(f"{state.name}-parts")


def _shared(state: Path, asked: _Asked) -> Path:
    """The store that parts fill: of this identity, so that nobody has to remove another's."""
    return _parts(state) / f"{digest(asked.identity)}.zarr"


def _adopt(shared: Path, place: JobDirectory) -> None:
    """Go on with the store of the parts, where there is one."""
    if shared.exists():
        place.clear_store()
        shared.replace(place.store)


class _Blocks:
    """A unit is a block of snapshots, all seeds together: a slice."""

    def __init__(self, job: KernelJob) -> None:
        self._job, self._count = job, job.count
        self._size = _block(job.layers, job.inputs, job.seeds)
        self.chunk, self.seeds_together = len(job.inputs), job.seeds
        self.mask = Array(("snapshot",), (self._count,), np.dtype(bool), (self._size,))
        self.attrs: dict[str, Any] = {}

    def units(self) -> list[slice]:
        """Blocks of snapshots."""
        output_vectors = range(0, self._count, self._size)
        return [slice(start, min(start + self._size, self._count)) for start in output_vectors]

    def is_done(self, unit: slice, mask: np.ndarray) -> bool:
        """Whether all its snapshots are."""
        return bool(mask[unit].all())

    def take(self, units: list[slice], store: ZarrStore) -> Iterator[None]:
        """Write blocks."""
        job = self._job
        for block in units:
            each = job.parameters((slice(None), block))
            stacked = {name: values.flatten(0, 1) for name, values in each.items()}
            found = stacked_ntk(job.layers, stacked, job.inputs, kind=job.kernel.kind)
            self._write(store, block, torch.stack(list(found.values()), 1))
            store.done(block)
            yield

    def _write(self, store: ZarrStore, block: slice, found: Tensor) -> None:
        """`found` [S·B, layer, N, (K,) N, (K)] into the arrays of the store."""
        by_layer = found.unflatten(0, (self._job.seeds, -1)).cpu()
        whole = by_layer.sum(2)
        store.write("ntk", (slice(None), block), whole.numpy())
        if self._job.kernel.by_layer:
            store.write("layer_ntk", (slice(None), block), by_layer.numpy())


def _block(layers: Architecture, inputs: Tensor, seeds: int) -> int:
    """Snapshots a block, so that its largest tensor is of about `_BLOCK_BYTES`."""
    widest = max(shape[0] for shape in parameter_shapes(layers).values())
    outputs = list(parameter_shapes(layers).values())[-1][0]
    one = seeds * len(inputs) * outputs * widest * inputs.element_size()
    weights = seeds * sum(int(np.prod(s)) for s in parameter_shapes(layers).values()) * 4
    return max(1, _BLOCK_BYTES // max(one, weights))
