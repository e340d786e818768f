"""Cutting a kernel into tiles small enough for the cache."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from ntkscope.ntk.empirical.tuning import TUNING


def pairs_per_tile(entries: int, dtype: torch.dtype, device: torch.device) -> int:
    """How many pairs of samples, of `entries` pixel pairs each, to hold at once."""
    on_cpu = device.type == "cpu"
    size = TUNING.infinite_tile_bytes if on_cpu else TUNING.infinite_tile_bytes_gpu
    return max(1, size // (entries * dtype.itemsize))


def tiles(n1: int, n2: int, pairs: int, upper: bool) -> Iterator[tuple[slice, slice]]:
    """Rows and columns that cover [n1, n2], or its upper triangle, by at most `pairs` a tile.

    Long rows: the arithmetic's inner loops run along them. Each strip of a triangle begins at its
    own diagonal, and is the higher the shorter it is.
    """
    longest, top = min(pairs, max(TUNING.infinite_columns, math.isqrt(pairs))), 0
    while top < n1:
        first = top if upper else 0
        columns = _even(n2 - first, longest)
        high = max(1, min(pairs // max(columns, 1), columns if upper else n1))
        rows = high if upper else _even(n1, high)
        for left in range(first, n2, columns):
            yield slice(top, min(top + rows, n1)), slice(left, min(left + columns, n2))
        top += rows


def _even(n: int, size: int) -> int:
    """At most `size`, so that n is cut into parts of nearly equal size."""
    return math.ceil(n / math.ceil(n / size)) if n else 1
