"""Into which tiles of samples a block of a kernel is cut."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ntkscope.kernels.plan import Plan

_TILE = 2**19  # numbers of a tile of the result: what stays in a cache beside what it is made of
_SQUARE = 2**30  # multiply-adds of a square that is a good product
_LAUNCH = 2**24  # multiply-adds in the time that one more tile takes of itself


def tiles(n: int, m: int, plan: Plan, same: bool) -> Iterator[tuple[slice, slice]]:
    """Tiles of [n, m] that cover it, or its upper triangle (same)."""
    high, wide = _shape(n, m, plan)
    for row in range(0, n, high):
        for column in range(row if same else 0, m, wide):
            yield slice(row, min(row + high, n)), slice(column, min(column + wide, m))


def _shape(n: int, m: int, plan: Plan) -> tuple[int, int]:
    """Strips across the whole width, as high as pays; squares where a pair is many numbers.

    Of a square on the diagonal half is for nothing: the smaller, the less.
    """
    R = len(plan.starts)
    rows, columns = plan.samples
    pairs = rows * columns if columns else rows * (rows + 1) / 2
    each = sum(layer.work.multiply_adds for layer in plan.layers) / max(pairs, 1)
    if plan.pairs != "summed":
        most = max(1, math.isqrt(_TILE // (R if plan.pairs == "own" else R**2)))
        side = min(most, max(16, math.isqrt(int(_SQUARE / max(each, 1)))))
        return side, side
    strips = math.isqrt(int(n * m * each / 2 / _LAUNCH))
    high = min(512, math.ceil(n / max(1, min(strips, n // 64))))
    return high, max(high, _TILE // high)
