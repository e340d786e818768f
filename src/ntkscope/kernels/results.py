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
        tile *= self._scale
        height, width = tile.shape[1 if self.pairs == "every" else -2], tile.shape[-1]
        self._part(row, column, height, width).copy_(tile)
        if not self.symmetric:
            return
        if row == column:
            square = self._part(row, row, height, height)
            square.copy_(self._symmetrised(square))
        beside = max(0, row + height - column)  # columns of the square on the diagonal
        rest = self._part(row, column + beside, height, width - beside)
        mirrored = self._part(column + beside, row, width - beside, height)
        mirrored.copy_(self._transposed(rest))

    def _part(self, row: int, column: int, height: int, width: int) -> Tensor:
        rows, columns = slice(row, row + height), slice(column, column + width)
        if self.pairs == "every":
            return self._values[:, rows, :, columns]
        return self._values[..., rows, columns]

    def _transposed(self, tile: Tensor) -> Tensor:
        return tile.permute(2, 3, 0, 1) if self.pairs == "every" else tile.mT

    def _symmetrised(self, square: Tensor) -> Tensor:
        """The upper triangle, and its mirror image below."""
        shape = square.shape
        if self.pairs == "every":
            square = square.flatten(2).flatten(0, 1)
        return (square.triu() + square.triu(1).mT).view(shape)
