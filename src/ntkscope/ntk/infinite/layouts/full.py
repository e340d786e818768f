"""All pairs of pixels: K is [y, y', x, x', A, B]."""

from __future__ import annotations

from torch import Tensor


class FullLayout:
    """Needed where pooling over the whole image is to come."""

    def spread(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """[y, x, ·, ·] twice to [y, 1, x, 1, ·, ·] and [1, y', 1, x', ·, ·]."""
        return u[:, None, :, None], v[None, :, None, :]

    def box_sum(self, K: Tensor, size: int) -> Tensor:
        """Separable: along (y, y'), then along (x, x')."""
        return _diagonal_sum(_diagonal_sum(K, 0, size), 2, size)

    def pool(self, K: Tensor, size: int) -> Tensor:
        """The four pixel axes, one after the other; rows that fill no window are dropped."""
        for axis in range(4):
            K = _sum_of_windows(K, axis, size)
        return K.mul_(size**-4)

    def pooled(self, size: int) -> FullLayout:
        """The layout after `pool`: the same."""
        return self

    def diagonal(self, K: Tensor) -> Tensor:
        """[y, x, A, B]."""
        return K.diagonal(0, 0, 1).diagonal(0, 0, 1).permute(2, 3, 0, 1)

    def flatten(self, K: Tensor) -> Tensor:
        """[A, B]."""
        return self.diagonal(K).mean((0, 1))

    def global_pool(self, K: Tensor) -> Tensor:
        """[1, 1, 1, 1, A, B]."""
        return K.mean((0, 1, 2, 3), keepdim=True)


def _sum_of_windows(K: Tensor, axis: int, size: int) -> Tensor:
    """Sum over consecutive groups of `size` along an axis; what fills no group is dropped."""
    groups = K.shape[axis] // size
    whole = K.narrow(axis, 0, groups * size)
    parts = whole.view(*K.shape[:axis], groups, size, *K.shape[axis + 1 :])
    if size == 1:
        return parts.select(axis + 1, 0).clone()
    total = parts.select(axis + 1, 0) + parts.select(axis + 1, 1)
    for offset in range(2, size):
        total += parts.select(axis + 1, offset)
    return total


def _diagonal_sum(K: Tensor, axis: int, size: int) -> Tensor:
    """Σ_δ K[i + δ, j + δ] over |δ| ≤ size // 2, i and j on `axis` and the next; zero outside."""
    total, length = K.clone(), K.shape[axis]
    for shift in range(1, min(size // 2, length - 1) + 1):
        here, there = (_corner(K, axis, start, length - shift) for start in (0, shift))
        _corner(total, axis, shift, length - shift).add_(here)
        _corner(total, axis, 0, length - shift).add_(there)
    return total


def _corner(K: Tensor, axis: int, start: int, length: int) -> Tensor:
    """K[start:, start:], `length` of each; one view, for its calls cost as much as small sums."""
    strides, sizes = K.stride(), list(K.shape)
    sizes[axis] = sizes[axis + 1] = length
    offset = K.storage_offset() + start * (strides[axis] + strides[axis + 1])
    return K.as_strided(sizes, strides, offset)
