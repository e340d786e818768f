"""Large kernels of a run's snapshots: network by network, tile by tile."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ntkscope.kernels.job import KernelJob
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.tiled.grid import Tile
from ntkscope.ntk.tiled.tiled_kernel import Tiled, grid_of, write_tiles
from ntkscope.stores import Array, ZarrStore

WorkItem = tuple[int, int, Tile]
"""Seed, snapshot, and place of a tile."""


class SnapshotTiles:
    """A work item is a tile of one network's kernel.

    Args:
        job: the job.
        memory: bytes for all that is computed.
    """

    def __init__(self, job: KernelJob, memory: int) -> None:
        kernel, samples = job.kernel, len(job.inputs)
        self._job, self._network = job, job.network((0, 0))
        plan = make_plan(self._network, job.inputs, None, kernel.kind)
        layers = len(job.names) if kernel.by_layer else 0
        self._grid = grid_of(plan, kernel.kind, (samples, samples), True, layers, memory, None)
        self._tiled = Tiled(
            self._network, job.inputs, None, kernel.kind, kernel.by_layer, plan, memory, self._grid
        )
        self.chunk, self.seeds_together = self._grid.chunk, 1
        shape = (job.seeds, job.count, *self._grid.shape)
        dims = ("seed", "snapshot", "tile", "tile2")
        self.mask = Array(dims, shape, np.dtype(bool), (1, 1, 1, 1))
        self.attrs: dict[str, Any] = {"tile": self._grid.side}

    def work_items(self) -> list[WorkItem]:
        """All tiles, network by network."""
        networks = itertools.product(range(self._job.seeds), range(self._job.count))
        return [(*network, tile) for network in networks for tile in self._grid.tiles()]

    def is_done(self, item: WorkItem, mask: np.ndarray) -> bool:
        """Whether a tile is complete, and its mirror image."""
        seed, snapshot, tile = item
        return self._grid.is_done(tile, mask[seed, snapshot])

    def compute(self, items: list[WorkItem], store: ZarrStore) -> Iterator[None]:
        """Write tiles, those of a network together."""
        for network, mine in itertools.groupby(items, key=lambda item: item[:2]):
            self._job.load(self._network, network)
            for _ in write_tiles(self._tiled, store, [tile for _, _, tile in mine], network):
                yield
