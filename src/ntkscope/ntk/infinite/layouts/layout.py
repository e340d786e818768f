"""How the covariance of two images' pixels is laid out in memory.

Pixels come first and pairs of samples last, so that every shift and every pooling is an addition
of contiguous blocks. A layout knows nothing of networks; the last two axes are the pair's, [A, B].
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Layout(Protocol):
    """Covariances between all (or the needed) pairs of pixels, for each pair of samples."""

    def spread(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels [y, x, ·, ·] of the first and of the second sample, to multiply elementwise."""
        ...

    def box_sum(self, K: Tensor, size: int) -> Tensor:
        """Sum over the offsets of a `size`×`size` window that both pixels share, zero padding."""
        ...

    def pool(self, K: Tensor, size: int) -> Tensor:
        """Average over the pixels of both samples' windows, stride `size`, no padding."""
        ...

    def pooled(self, size: int) -> Layout:
        """The layout of what `pool` returns."""
        ...

    def diagonal(self, K: Tensor) -> Tensor:
        """The view [y, x, ·, ·] of K at equal pixels."""
        ...

    def flatten(self, K: Tensor) -> Tensor:
        """[A, B]: the mean over equal pixels, the covariance of a unit that sees all pixels."""
        ...

    def global_pool(self, K: Tensor) -> Tensor:
        """Mean over all pairs of pixels, in the same layout with one pixel."""
        ...
