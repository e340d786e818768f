"""A kernel that is filled in tile by tile, and its lower half by symmetry."""

from __future__ import annotations

from torch import Tensor

from ntkscope.ntk.empirical.gradients.hugepages import new_empty
from ntkscope.ntk.empirical.output_blocks import OutputBlock
from ntkscope.ntk.empirical.plan import Plan
from ntkscope.ntk.kinds import OutputPairs, mirror


def allocate_kernel(plan: Plan, n: int, m: int) -> Tensor:
    """Memory of a kernel, outputs first: [n, m]; [R, n, m] (own); [R, n, R, m] (every)."""
    R = len(plan.output_vectors)
    shapes = {"trace": (n, m), "diagonal": (R, n, m), "full": (R, n, R, m)}
    return new_empty(plan.output_vectors, *shapes[plan.pairs], large=plan.tuning.huge_page_bytes)


def outputs_last(values: Tensor, pairs: OutputPairs) -> Tensor:
    """A view with the outputs after the samples: [N, N2]; [N, N2, K] (own); [N, K, N2, K]."""
    if pairs == "trace":
        return values
    return values.permute((1, 2, 0) if pairs == "diagonal" else (1, 0, 3, 2))


class KernelBlock:
    """A part of a kernel in the making.

    Args:
        values: of the whole, from `allocate_kernel`.
        plan: of the whole.
        part: which outputs.
        symmetric: rows and columns are the same samples; tiles below the diagonal are not given,
            but copied.
    """

    def __init__(self, values: Tensor, plan: Plan, part: OutputBlock, *, symmetric: bool) -> None:
        self.pairs, self._whole, self._part = plan.pairs, values, part
        self._values = self._of(part.rows, part.columns)
        self._scale = 1 / len(plan.output_vectors) if plan.pairs == "trace" else 1.0
        self._more = plan.pairs == "trace" and part.rows.start > 0
        self._mirrored, self._crossed = (
            symmetric and part.on_diagonal,
            symmetric and not part.on_diagonal,
        )
        self._strip, self._scratch = plan.tuning.mirror_rows, values.new_empty(0)

    def tile(self, n: int, m: int) -> Tensor:
        """Memory for n × m samples, of any contents, that the next tile will use again."""
        shape = [*self._values.shape]
        shape[-1], shape[1 if self.pairs == "full" else -2] = m, n
        count = 1
        for size in shape:
            count *= size
        if len(self._scratch) < count:
            self._scratch = self._values.new_empty(count)
        return self._scratch[:count].view(shape)

    def write(self, tile: Tensor, row: int, column: int) -> None:
        """Put a tile where its first sample's pair stands, and its mirror image."""
        if self._scale != 1:
            tile *= self._scale
        height, width = tile.shape[1 if self.pairs == "full" else -2], tile.shape[-1]
        if self._mirrored and row == column:
            self._symmetrise(tile[..., :height])
        self._put(tile, row, column, height, width)
        beside = max(0, row + height - column)  # columns of the square on the diagonal
        if self._mirrored and beside < width:
            mirrored = self._transposed(tile[..., beside:])
            self._put(mirrored, column + beside, row, width - beside, height)

    def finish(self) -> None:
        """Of pairs of different outputs, the other way round."""
        if self._crossed:
            across = self._of(self._part.columns, self._part.rows)
            across.copy_(self._values.permute(2, 3, 0, 1))

    def _of(self, rows: slice, columns: slice) -> Tensor:
        if self.pairs == "trace":
            return self._whole
        return self._whole[rows, :, columns] if self.pairs == "full" else self._whole[rows]

    def _put(self, tile: Tensor, row: int, column: int, height: int, width: int) -> None:
        rows, columns = slice(row, row + height), slice(column, column + width)
        every = self.pairs == "full"
        place = self._values[:, rows, :, columns] if every else self._values[..., rows, columns]
        if self._more:
            place += tile
        else:
            place.copy_(tile)

    def _transposed(self, tile: Tensor) -> Tensor:
        if self.pairs != "full":
            return tile.mT
        flat = tile.flatten(2).flatten(0, 1).T.contiguous()  # as a matrix, which torch does fast
        return flat.view(*tile.shape[2:], *tile.shape[:2])

    def _symmetrise(self, square: Tensor) -> None:
        """Put the mirror image of its upper triangle below it, in place."""
        if self.pairs == "full":
            rows = square.shape[0] * square.shape[1]
            square = square.view(rows, rows)  # an error, not a copy, where it is no view
        mirror(square, self._strip)
