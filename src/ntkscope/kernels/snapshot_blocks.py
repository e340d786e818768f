"""Small kernels of a run's snapshots: each whole, network by network."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ntkscope.kernels.job import KernelJob
from ntkscope.models import load_tensors
from ntkscope.ntk.empirical import empirical_ntk
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.stores import Array, ZarrStore

_BLOCK_BYTES = 2**26  # of the kernels of a block of snapshots


class SnapshotBlocks:
    """A work item is a block of snapshots, all seeds together: a slice.

    All networks go by the plan of the first, so that kernels do not depend on which job makes them.

    Args:
        job: the job.
        memory: bytes for all that is computed of one network.
    """

    def __init__(self, job: KernelJob, memory: int) -> None:
        self._job, self._memory, self._count = job, memory, job.count
        self._size = block_size(job)
        side = chunk_sides(job)[0]
        self._seeds = [slice(start, start + side) for start in range(0, job.seeds, side)]
        self._network = job.network((0, 0))
        self._plan = make_plan(self._network, job.inputs, None, job.kernel.kind)
        self.chunk, self.seeds_together = len(job.inputs), job.seeds
        self.mask = Array(("snapshot",), (self._count,), np.dtype(bool), (self._size,))
        self.attrs: dict[str, Any] = {}

    def work_items(self) -> list[slice]:
        """Blocks of snapshots."""
        starts = range(0, self._count, self._size)
        return [slice(start, min(start + self._size, self._count)) for start in starts]

    def is_done(self, item: slice, mask: np.ndarray) -> bool:
        """Whether all its snapshots are."""
        return bool(mask[item].all())

    def compute(self, items: list[slice], store: ZarrStore) -> Iterator[None]:
        """Write blocks."""
        for block in items:
            by_layer = torch.cat([self._by_layer(seeds, block) for seeds in self._seeds]).cpu()
            store.write("ntk", (slice(None), block), by_layer.sum(2).numpy())
            if self._job.kernel.by_layer:
                store.write("layer_ntk", (slice(None), block), by_layer.numpy())
            store.done(block)
            yield

    def _by_layer(self, seeds: slice, block: slice) -> Tensor:
        """The kernels [S, B, layer, N, (K,) N, (K)] of the networks of seeds and snapshots."""
        tensors = self._job.tensors((seeds, block))
        shape = next(iter(tensors.values())).shape[:2]
        found = [
            self._kernels({name: tensor[index] for name, tensor in tensors.items()})
            for index in itertools.product(*map(range, shape))
        ]
        stacked: Tensor = torch.stack(found).unflatten(0, shape)
        return stacked

    def _kernels(self, tensors: dict[str, Tensor]) -> Tensor:
        """The kernels of one network, [layer, N, (K,) N, (K)]."""
        job = self._job
        load_tensors(self._network, tensors, job.definition.function)
        found = empirical_ntk(
            self._network,
            job.inputs,
            kind=job.kernel.kind,
            by_layer=True,
            memory=self._memory,
            plan=self._plan,
            verify="off",  # the plan is verified; a diverged network's kernel is what it is
        )
        assert isinstance(found, dict)
        return torch.stack([found[name] for name in job.names])


def block_size(job: KernelJob) -> int:
    """Snapshots whose kernels are of about `_BLOCK_BYTES`, at most a chunk of the parameters."""
    return max(1, min(chunk_sides(job)[1], _BLOCK_BYTES // job.kernel_bytes))


def chunk_sides(job: KernelJob) -> tuple[int, ...]:
    """Seeds and snapshots, which every chunk of the parameters has; then its own sides."""
    return job.snapshots.chunks(f"parameters/{job.snapshots.names('parameters')[0]}")
