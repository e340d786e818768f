"""A kernel that is filled in tile by tile, each number once, and its lower half by symmetry."""

from __future__ import annotations

from torch import Tensor

from ntkscope.kernels.plan import Plan


class Result:
    """A kernel in the making.

    Args:
        plan: its kind, dtype and device.
        n, m: samples.
        symmetric: tiles below the diagonal are not given, but copied.
    """

    def __init__(self, plan: Plan, n: int, m: int, *, symmetric: bool) -> None:
        R = len(plan.starts)
        shapes = {"summed": (n, m), "own": (R, n, m), "every": (R, n, R, m)}
        self.pairs, self.symmetric = plan.pairs, symmetric
        self._scale = 1 / R if plan.pairs == "summed" else 1.0
        self._values = plan.starts.new_empty(shapes[plan.pairs])
        self._scratch = plan.starts.new_empty(0)

    @property
    def kernel(self) -> Tensor:
        """[N, N2]; [N, N2, K] (own); [N, K, N2, K] (every): views with the outputs first."""
        if self.pairs == "summed":
            return self._values
        return self._values.permute((1, 2, 0) if self.pairs == "own" else (1, 0, 3, 2))

    def tile(self, n: int, m: int) -> Tensor:
        """Zeros for n × m samples, in memory that the next tile will use again."""
        shape = [*self._values.shape]
        shape[-1], shape[1 if self.pairs == "every" else -2] = m, n
        count = 1
        for size in shape:
            count *= size
        if len(self._scratch) < count:
            self._scratch = self._values.new_empty(count)
        return self._scratch[:count].view(shape).zero_()

    def write(self, tile: Tensor, row: int, column: int) -> None:
        """Put a tile where its first sample's pair stands, and its mirror image."""
        if self._scale != 1:
            tile *= self._scale
        height, width = tile.shape[1 if self.pairs == "every" else -2], tile.shape[-1]
        if self.symmetric and row == column:
            self._symmetrise(tile[..., :height])
        self._part(row, column, height, width).copy_(tile)
        beside = max(0, row + height - column)  # columns of the square on the diagonal
        if self.symmetric and beside < width:
            mirrored = self._part(column + beside, row, width - beside, height)
            mirrored.copy_(self._transposed(tile[..., beside:]))

    def _part(self, row: int, column: int, height: int, width: int) -> Tensor:
        rows, columns = slice(row, row + height), slice(column, column + width)
        if self.pairs == "every":
            return self._values[:, rows, :, columns]
        return self._values[..., rows, columns]

    def _transposed(self, tile: Tensor) -> Tensor:
        if self.pairs != "every":
            return tile.mT
        flat = tile.flatten(2).flatten(0, 1).T.contiguous()  # as a matrix, which torch does fast
        return flat.view(*tile.shape[2:], *tile.shape[:2])

    def _symmetrise(self, square: Tensor) -> None:
        """Put the mirror image of its upper triangle below it."""
        shape = square.shape
        flat = square.flatten(2).flatten(0, 1) if self.pairs == "every" else square
        square.copy_((flat.triu() + flat.triu(1).mT).view(shape))
