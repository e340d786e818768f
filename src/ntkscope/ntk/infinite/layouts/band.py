"""Only pixels near each other: K is [dy, y, dx, x, A, B] for (y, x) and (y + dy − R, x + dx − R).

A readout by flattening needs each pixel's covariance with the same pixel only; a convolution keeps
the offset between two pixels, and pooling over `size` pixels before an offset of at most R needs
one of at most size · R + size − 1. So a network with two 2×2 poolings has R = 3: 7² offsets instead
of 28². Entries whose second pixel lies outside the image are meaningless until `box_sum` clears
them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from ntkscope.models import AvgPool, Flatten, GlobalAvgPool
from ntkscope.models.architecture import Layer


def reach(layers: Sequence[Layer]) -> int | None:
    """Largest offset R between pixels that the readout needs, or None where it needs all pairs."""
    poolings = []
    for layer in layers:
        if isinstance(layer, GlobalAvgPool):
            return None
        if isinstance(layer, Flatten):
            break
        if isinstance(layer, AvgPool):
            poolings.append(layer.size)
    offset = 0
    for size in reversed(poolings):
        offset = size * offset + size - 1
    return offset


class BandLayout:
    """Pairs of pixels at most R apart on each axis.

    Args:
        offset: R.
    """

    def __init__(self, offset: int) -> None:
        self.offset = offset

    def spread(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """[y, x, ·, ·] twice to [1, y, 1, x, ·, ·] and [dy, y, dx, x, ·, ·] (zero outside)."""
        return u[None, :, None, :], _windows(v, self.offset)

    def box_sum(self, K: Tensor, size: int) -> Tensor:
        """Sum over y, then over x: the second pixel moves along."""
        for axis in (0, 2):
            _clear_outside(K, axis)
        return _sum_along(_sum_along(K, 1, size), 3, size)

    def pool(self, K: Tensor, size: int) -> Tensor:
        """First y, then x; rows that fill no window are dropped."""
        return _pool_axis(_pool_axis(K, 0, size), 2, size).mul_(size**-4)

    def pooled(self, size: int) -> BandLayout:
        """The layout after `pool`."""
        return BandLayout((self.offset - size + 1) // size)

    def diagonal(self, K: Tensor) -> Tensor:
        """[y, x, A, B]."""
        return K[self.offset, :, self.offset]

    def flatten(self, K: Tensor) -> Tensor:
        """[A, B]."""
        return self.diagonal(K).mean((0, 1))

    def global_pool(self, K: Tensor) -> Tensor:
        """Not to be had from nearby pixels."""
        raise NotImplementedError("pooling over the whole image needs FullLayout")


def _windows(v: Tensor, offset: int) -> Tensor:
    """The view [dy, y, dx, x, ·, ·] of [y, x, ·, ·] shifted by dy − R and dx − R, zero outside."""
    height, width = v.shape[:2]
    padded = F.pad(v, (0, 0, 0, 0, offset, offset, offset, offset))
    return padded.unfold(0, height, 1).unfold(1, width, 1).permute(0, 4, 1, 5, 2, 3)


def _clear_outside(K: Tensor, axis: int) -> None:
    """Zero the entries whose second pixel is outside, offsets on `axis` and pixels on the next."""
    offset, length = K.shape[axis] // 2, K.shape[axis + 1]
    for shift in range(1, offset + 1):
        outside = min(shift, length)
        K.select(axis, offset + shift).narrow(axis, length - outside, outside).zero_()
        K.select(axis, offset - shift).narrow(axis, 0, outside).zero_()


def _sum_along(K: Tensor, axis: int, size: int) -> Tensor:
    """Σ_δ K[i + δ] over |δ| ≤ size // 2, zero outside."""
    total, length = K.clone(), K.shape[axis]
    for shift in range(1, min(size // 2, length - 1) + 1):
        total.narrow(axis, shift, length - shift).add_(K.narrow(axis, 0, length - shift))
        total.narrow(axis, 0, length - shift).add_(K.narrow(axis, shift, length - shift))
    return total


def _pool_axis(K: Tensor, axis: int, size: int) -> Tensor:
    """Sum of the size² pairs of a window's pixels, offsets on `axis` and pixels on the next.

    Pixels s·i + a and s·j + b of windows i and j are s·(j − i) + b − a apart.
    """
    whole = K.shape[axis + 1] // size * size
    span = K.shape[axis] - 2 * (size - 1)
    start = [slice(None)] * axis
    total: Tensor | None = None
    for first in range(size):
        for second in range(size):
            low = second - first + size - 1
            offsets, pixels = slice(low, low + span, size), slice(first, whole, size)
            part = K[(*start, offsets, pixels)]
            total = part.clone() if total is None else total.add_(part)
    assert total is not None
    return total
