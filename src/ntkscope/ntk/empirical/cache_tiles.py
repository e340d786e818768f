"""Into which tiles of samples a block of a kernel is cut."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ntkscope.ntk.empirical.plan import Plan


def cache_tiles(n: int, m: int, plan: Plan, same: bool) -> Iterator[tuple[slice, slice]]:
    """Tiles of [n, m] that cover it, or its upper triangle (same)."""
    high, wide = _shape(n, m, plan, same)
    for row in range(0, n, high):
        for column in range(row if same else 0, m, wide):
            yield slice(row, min(row + high, n)), slice(column, min(column + wide, m))


def _shape(n: int, m: int, plan: Plan, same: bool) -> tuple[int, int]:
    """Strips across the whole width, as high as pays; squares where a pair is many elements.

    Of a square on the diagonal half is for nothing: the smaller, the less. Strips of height h over
    a triangle take e (n² / 2 + n h / 2) (1 + packing / h) + launch · n / h, e a pair's
    multiply-adds: least at h² = packing · n + 2 launch / e.
    """
    R, tuning = len(plan.output_vectors), plan.tuning
    rows, columns = plan.samples
    pairs = rows * columns if columns else rows * (rows + 1) / 2
    each = sum(layer.cost.multiply_adds for layer in plan.layers) / max(pairs, 1)
    if plan.pairs != "trace":
        most = max(1, math.isqrt(tuning.tile_elements // (R if plan.pairs == "diagonal" else R**2)))
        side = min(most, max(16, math.isqrt(int(tuning.square_multiply_adds / max(each, 1)))))
        return side, side
    high = min(n, tuning.tile_rows)
    if same:
        best = math.sqrt(tuning.packing_rows * n + 2 * tuning.launch_multiply_adds / max(each, 1))
        high = min(high, math.ceil(n / max(1, min(int(n / best), n // 64))))
    return high, max(high, tuning.tile_elements // high)
