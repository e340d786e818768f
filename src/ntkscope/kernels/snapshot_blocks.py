"""Small kernels of a run's snapshots: all seeds and a block of snapshots at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ntkscope.kernels.job import KernelJob
from ntkscope.models import parameter_shapes
from ntkscope.ntk.empirical import empirical_ntk, stacked_ntk
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.stores import Array, ZarrStore

_BLOCK_BYTES = 2**26  # of the largest tensor in a block of snapshots


class SnapshotBlocks:
    """A work item is a block of snapshots, all seeds together: a slice.

    Networks whose layers are described go all at once where that is faster, modules one by one.

    Args:
        job: the job.
        memory: bytes for all that is computed of one module.
    """

    def __init__(self, job: KernelJob, memory: int) -> None:
        self._job, self._memory, self._count = job, memory, job.count
        self._size = block_size(job)
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
        kernels = self._one_by_one(items) if self._job.layers is None else self._stacked(items)
        for block, found in zip(items, kernels, strict=True):
            by_layer = found.unflatten(0, (self._job.seeds, -1)).cpu()
            store.write("ntk", (slice(None), block), by_layer.sum(2).numpy())
            if self._job.kernel.by_layer:
                store.write("layer_ntk", (slice(None), block), by_layer.numpy())
            store.done(block)
            yield

    def _stacked(self, items: list[slice]) -> Iterator[Tensor]:
        """The kernels of blocks, [S·B, layer, N, (K,) N, (K)]."""
        job = self._job
        assert job.layers is not None
        for block in items:
            numbers = job.numbers((slice(None), block))
            stacked = {name: values.flatten(0, 1) for name, values in numbers.items()}
            found = stacked_ntk(job.layers, stacked, job.inputs, kind=job.kernel.kind)
            yield torch.stack(list(found.values()), 1)

    def _one_by_one(self, items: list[slice]) -> Iterator[Tensor]:
        """The same of modules, by the first network's plan."""
        job, kind = self._job, self._job.kernel.kind
        network = job.network((0, 0))
        plan = make_plan(network, job.inputs, None, kind)
        for block in items:
            each = []
            for index in itertools.product(range(job.seeds), range(block.start, block.stop)):
                job.load(network, index)
                found = empirical_ntk(
                    network, job.inputs, kind=kind, by_layer=True, memory=self._memory, plan=plan
                )
                assert isinstance(found, dict)
                each.append(torch.stack([found[name] for name in job.names]))
            yield torch.stack(each)


def block_size(job: KernelJob) -> int:
    """Snapshots a block, so that its largest tensor is of about `_BLOCK_BYTES`."""
    if job.layers is None:
        return 1
    shapes = list(parameter_shapes(job.layers).values())
    widest, outputs = max(shape[0] for shape in shapes), shapes[-1][0]
    one = job.seeds * len(job.inputs) * outputs * widest * job.inputs.element_size()
    weights = job.seeds * sum(int(np.prod(shape)) for shape in shapes) * 4
    return max(1, _BLOCK_BYTES // max(one, weights))
