"""A kernel that memory does not hold: tiles in a Zarr store, read one by one for each product."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from ntkscope.ntk.tiled.grid import Tile, TileGrid
from ntkscope.regression.error_currency import FloatArray
from ntkscope.stores import Array, ZarrStore
from ntkscope.stores.going_on import forget_damaged

Block = Callable[[Tensor, Tensor | None], Tensor]
"""The kernel [N, M] of samples with others, or [N, N] with themselves, on any device."""

SIDE = 4096
"""Most samples on a tile's side."""

_KIND = "kernel_tiles"


class KernelTiles(LinearOperator):  # type: ignore[misc]
    """A kernel [N, M] on the disk, or a leading block of it; of a symmetric one the upper tiles.

    Products are in float64, whatever the dtype of the kernel.

    Args:
        store: of `write_tiles`.
        grid: of its tiles.
        dense_most: samples up to which a leading block is an array in memory.
        alive: called for each tile that is read.
        shape: of the leading block; None: the whole kernel.
    """

    def __init__(
        self,
        store: ZarrStore,
        grid: TileGrid,
        dense_most: int,
        alive: Callable[[], None],
        shape: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(store.array("ntk").dtype, shape or (grid.rows, grid.columns))
        self._store, self._grid = store, grid
        self._dense_most, self._alive = dense_most, alive

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: tuple[slice, slice]) -> KernelTiles | NDArray[Any]:
        """`[:n, :m]`: an array where the kernel is symmetric and n small, or else an operator."""
        spans = zip(index, self.shape, strict=True)
        rows, columns = (len(range(size)[span]) for span, size in spans)
        part = KernelTiles(self._store, self._grid, self._dense_most, self._alive, (rows, columns))
        is_small = self._grid.symmetric and max(rows, columns) <= self._dense_most
        return part.dense() if is_small else part

    def dense(self) -> NDArray[Any]:
        """All of it in memory, in the kernel's dtype."""
        out = np.empty(self.shape, self.dtype)
        for rows, columns, tile in self.tiles():
            out[rows, columns] = tile
            if self._grid.symmetric and rows != columns:
                out[columns, rows] = tile.T
        return out

    def diagonal(self) -> FloatArray:
        """Of a symmetric kernel [N], float64."""
        parts = [tile.diagonal() for rows, columns, tile in self.tiles() if rows == columns]
        return np.concatenate(parts).astype(np.float64)

    def is_finite(self) -> bool:
        """Whether no element is NaN or infinite."""
        return all(math.isfinite(e) for _, _, t in self.tiles() for e in (t.min(), t.max()))

    def tiles(self) -> Iterator[tuple[slice, slice, NDArray[Any]]]:
        """Rows, columns and elements of each tile of the block, where it has any."""
        for number, place in enumerate(self._grid.tiles()):
            spans = zip(self._grid.samples(place), self.shape, strict=True)
            rows, columns = (slice(each.start, min(each.stop, most)) for each, most in spans)
            height, width = rows.stop - rows.start, columns.stop - columns.start
            if height > 0 and width > 0:
                self._alive()
                yield rows, columns, self._store.read("ntk", number)[:height, :width]

    def _matmat(self, vectors: FloatArray) -> FloatArray:
        """The block times vectors [M, K], float64."""
        out = np.zeros((self.shape[0], vectors.shape[1]))
        for rows, columns, tile in self.tiles():
            values = tile.astype(np.float64)
            out[rows] += values @ vectors[columns]
            if self._grid.symmetric and rows != columns:
                out[columns] += values.T @ vectors[rows]
        return out


def write_tiles(
    path: Path,
    block: Block,
    x1: Tensor,
    x2: Tensor | None,
    dense_most: int,
    alive: Callable[[], None],
) -> KernelTiles:
    """Compute a kernel tile by tile; what a killed job left at `path` is gone on with.

    Args:
        path: of the store, in the folder of a job whose identity says what the kernel is of.
        block: computes it.
        x1, x2: its samples; x2 None: x1, and the lower tiles are not stored.
        dense_most, alive: of `KernelTiles`; alive is called after each tile too.
    """
    rows, columns = len(x1), len(x1 if x2 is None else x2)
    side = math.ceil(max(rows, columns) / math.ceil(max(rows, columns) / SIDE))
    grid = TileGrid(rows, columns, side, side, x2 is None)
    places = list(grid.tiles())
    store = _begin(path, (len(places), min(rows, side), min(columns, side)), x1.dtype)
    for number in np.flatnonzero(~store.mask):
        store.write("ntk", int(number), _tile(block, x1, x2, grid, places[number], store))
        store.done(int(number))
        alive()
    return KernelTiles(store, grid, dense_most, alive)


def _begin(path: Path, shape: tuple[int, int, int], dtype: torch.dtype) -> ZarrStore:
    kind = torch.empty(0, dtype=dtype).numpy().dtype
    array = Array(("tile", "sample", "sample2"), shape, kind, (1, *shape[1:]))
    path.parent.mkdir(parents=True, exist_ok=True)
    store = ZarrStore.allocate(
        path, _KIND, {"ntk": array}, coords={}, mask=("tile",), attrs={}, going_on=True
    )
    forget_damaged(store)
    return store


def _tile(
    block: Block, x1: Tensor, x2: Tensor | None, grid: TileGrid, place: Tile, store: ZarrStore
) -> NDArray[Any]:
    """A tile in the size of all, zeros where it ends before."""
    rows, columns = grid.samples(place)
    right = (x1 if x2 is None else x2)[columns]
    found = block(x1[rows], None if x2 is None and rows == columns else right).cpu().numpy()
    whole = np.zeros(store.array("ntk").shape[1:], found.dtype)
    whole[: found.shape[0], : found.shape[1]] = found
    return whole
