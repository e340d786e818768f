"""The fixed grid of tiles of a kernel, whoever computes them, and how large tiles should be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_CHUNK_BYTES = 2**22  # of one array's chunk, the unit of reading
_SMALLEST = 4096  # samples a side below which a kernel is not cut for the sake of more tiles

Tile = tuple[int, int]
"""Place of a tile in the grid: row, column."""


@dataclass(frozen=True)
class TileGrid:
    """Tiles of an N×M kernel: the units of work, each of whole chunks.

    Attributes:
        rows, columns: N, M.
        side: samples on each side of a tile (the last ones have fewer).
        chunk: samples on each side of a chunk of the store; divides `side`.
        symmetric: the lower tiles are the upper ones transposed.
    """

    rows: int
    columns: int
    side: int
    chunk: int
    symmetric: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.rows // self.side), -(-self.columns // self.side)

    def tiles(self) -> Iterator[Tile]:
        """All tiles that are computed, row by row."""
        rows, columns = self.shape
        for row in range(rows):
            for column in range(row if self.symmetric else 0, columns):
                yield row, column

    def samples(self, tile: Tile) -> tuple[slice, slice]:
        """The rows and columns of a tile."""
        return self._range(tile[0], self.rows), self._range(tile[1], self.columns)

    def is_mirrored(self, tile: Tile) -> bool:
        """Whether its transpose has a place of its own."""
        return self.symmetric and tile[0] != tile[1]

    def is_done(self, tile: Tile, mask: np.ndarray) -> bool:
        """Whether a tile is complete in a mask [rows, columns], and its transpose too."""
        transpose = tile[::-1] if self.is_mirrored(tile) else tile
        return bool(mask[tile] and mask[transpose])

    def _range(self, place: int, end: int) -> slice:
        return slice(place * self.side, min((place + 1) * self.side, end))


def lay_out(rows: int, columns: int, symmetric: bool, pair_bytes: int, largest: int) -> TileGrid:
    """The grid of tiles of at most `largest` samples a side, all of about the same size.

    Args:
        rows, columns: N, M.
        symmetric: both are the same samples.
        pair_bytes: of one array for a pair of samples.
        largest: samples on a tile's side; at least 1, and rounded up to whole chunks.
    """
    longest = max(rows, columns)
    most = min(largest, max(1, math.isqrt(_CHUNK_BYTES // pair_bytes)))
    chunks = -(-longest // most)
    chunk = -(-longest // chunks)
    tiles = -(-chunks // -(-largest // most))
    return TileGrid(rows, columns, -(-chunks // tiles) * chunk, chunk, symmetric)


def largest_side(samples: int, pair_bytes: int, held: int, budget: int) -> int:
    """Samples on a tile's side: as many as fit and are of use.

    Both sides' gradients are made again for each tile: half as large tiles need twice as many.
    Above four blocks of the rows that memory can hold this is no longer so, since the columns pass
    once for each block. A large kernel has ten tiles at least, to be resumed and spread.

    Args:
        samples: N, or the larger of N and M.
        pair_bytes: of all arrays together for a pair of samples.
        held: rows whose gradients fit into memory.
        budget: bytes for a tile.
    """
    fits = math.isqrt(budget // pair_bytes)
    return max(1, min(fits, 4 * held, max(_SMALLEST, -(-samples // 4))))
