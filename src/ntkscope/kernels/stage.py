"""`compute_kernels`: the kernel of every snapshot of a run's task on the probe.

Network by network: small kernels are computed whole, large ones tile by tile. All go by one plan,
and tiles are on a fixed grid, so that the very same products are made by one job, by one that goes
on after a kill, and by several that share the work.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ntkscope.config.specs import KernelSpec, RunSpec
from ntkscope.errors import ModelError
from ntkscope.kernels.job import KernelJob, Schedule, begin_store, open_job
from ntkscope.kernels.snapshot_blocks import SnapshotBlocks
from ntkscope.kernels.snapshot_tiles import SnapshotTiles
from ntkscope.models.apart import of_own_network
from ntkscope.runtime.device import choose_device, repeatable
from ntkscope.runtime.logs import progress
from ntkscope.runtime.provenance import provenance
from ntkscope.stores import JobDirectory, ZarrStore, atomic
from ntkscope.stores.going_on import forget_damaged
from ntkscope.stores.manifest import MASK, METADATA, fingerprint_of

_WHOLE_BYTES = 2**28  # of the kernels of one snapshot, from which on they go tile by tile
_PROCESS_BYTES = 10**9  # of a process that has torch, beside what it computes


@dataclass(frozen=True)
class _Assignment:
    """What a job is to compute, and the schedule it follows.

    Attributes:
        job, schedule: what is computed, and how.
        identity: all that the kernels depend on; state that was left by another is not used.
        record: provenance.
    """

    job: KernelJob
    schedule: Schedule
    identity: dict[str, Any]
    record: dict[str, Any]

    def fill(
        self, place: JobDirectory, part: tuple[int, int], parts: Sequence[Path] = ()
    ) -> ZarrStore:
        """Every n-th work item from the i-th on, part = (i, n), as far as it is not done.

        What is in the stores of `parts` is done, if they were made for the same identity.
        """
        store = begin_store(self.job, self.schedule, place.store, self.record)
        for made in parts:
            part_store = ZarrStore.open_part(made, "kernels")
            if part_store.group.attrs.get("identity") == place.identity:
                _join(part_store, store)
        forget_damaged(store)
        done = store.mask
        mine = self.schedule.work_items()[part[0] :: part[1]]
        todo = [item for item in mine if not self.schedule.is_done(item, done)]
        what = f"{self.job.run.id} {self.job.kernel.id}"
        for _ in progress(self.schedule.compute(todo, store), len(todo), what):
            place.heartbeat()
        return store


def compute_kernels(
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
    part: tuple[int, int] = (0, 1),
    parts: Sequence[Path] = (),
) -> None:
    """Write the store of kind `kernels` of one run's last task, or a part of it.

    Args:
        run: whose snapshots these are.
        kernel: kind, probe and precision.
        images_path, snapshots_path: the stores to read.
        output: the store to make: `ntk` (seed, snapshot, sample, sample2), or with `output` and
            `output2` (kind full); `layer_ntk` with `layer`; coordinates seed, step, task, layer,
            image, label. A seed that diverged has NaN kernels.
        state: the job's directory: killed and called again, the kernels already computed are kept.
        stage: digest of the stage's sources: another one's state is not used.
        device, threads: as in `train_task`.
        memory: of the whole process, in bytes; kernels that are too large for one piece go in
            tiles that fit into it, and their last digits depend on it.
        part: (i, n): the i-th of n parts, i from 0; a store with the chunks of this part alone.
        parts: stores of parts, which are joined; what they lack is computed.
    """
    began = time.monotonic()
    with repeatable(threads):
        assigned = _assign(
            run, kernel, images_path, snapshots_path, stage, choose_device(device), threads, memory
        )
        with JobDirectory(state, assigned.identity) as place:
            store = assigned.fill(place, part, parts)
            record = assigned.record | {"wall_seconds": time.monotonic() - began}
            store.describe(provenance=record, identity=place.identity)
            store.seal()
            place.finish(output)


def _assign(
    run: RunSpec,
    kernel: KernelSpec,
    images_path: Path,
    snapshots_path: Path,
    stage: str,
    device: torch.device,
    threads: int,
    memory: int,
) -> _Assignment:
    job = open_job(run, kernel, images_path, snapshots_path, device)
    facts: dict[str, Any] = {"kernel": kernel.model_dump(mode="json"), "threads": threads}
    identity = facts | {
        "run": run.id,
        "memory": memory,
        "stage": stage,
        "device": device.type,
        "trained": str(job.snapshots.group.attrs.get("provenance")),
    }
    budget = max(memory - _PROCESS_BYTES, _PROCESS_BYTES // 4)
    large = job.kernel_bytes > _WHOLE_BYTES
    try:
        schedule: Schedule = (SnapshotTiles if large else SnapshotBlocks)(job, budget)
    except ModelError as error:
        function = job.definition.function
        raise error if function is None else of_own_network(error, function) from None
    return _Assignment(job, schedule, identity, provenance(run=run.id, device=str(device), **facts))


def _join(part: ZarrStore, store: ZarrStore) -> None:
    """Link a part's chunks into the store, its completion mask last, in case of a kill.

    Those that are not as the part's manifest says are left out: they are computed.
    """
    known = part.files.manifest or {}
    chunks = [Path(file) for file in known if not file.endswith(METADATA)]
    for chunk in sorted(chunks, key=lambda file: file.parts[0] == MASK):
        source, place = part.path / chunk, store.path / chunk
        if place.exists() or fingerprint_of(source) != known[str(chunk)]:
            continue
        store.files.expect(str(chunk), known[str(chunk)])
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, place)
        except OSError:  # another file system, or one without links
            with atomic(place) as partial:
                shutil.copyfile(source, partial)
