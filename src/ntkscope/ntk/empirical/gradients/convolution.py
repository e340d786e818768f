"""Gradients of a convolution's weight, made a kernel's row at a time and without its patches.

∂f_r/∂W[o, c, i, j] = Σ_{y, x} g_r[o, y, x] u[c, y + i, x + j]: for each i a product of g with rows
of patches (`im2col.rows_of_patches`), for some samples at a time, so that both stay in the cache.
Patches are `kernel height` times as large, and writing them takes as long as the product.
"""

from __future__ import annotations

from torch import Tensor, nn

from ntkscope.ntk.empirical.gradients.im2col import Convolution, rows_of_patches, window_of
from ntkscope.runtime.matmul import products

_WORTH = 128  # numbers in a row of a patch, above which several products are as fast as one
_CACHE = 2**20  # bytes of the rows that are held at once, on a CPU


def takes_rows(module: nn.Module) -> bool:
    """Whether this is the way for a layer."""
    return (
        isinstance(module, nn.Conv2d)
        and module.groups == 1
        and module.weight.requires_grad
        and module.kernel_size[0] > 1
        and module.kernel_size[1] * module.in_channels >= _WORTH
    )


def weight_gradients_by_rows(module: Convolution, images: Tensor, g: Tensor, out: Tensor) -> None:
    """Write the gradients [n, R, O, kernel height · width · channels].

    Args:
        module: one for which `takes_rows`.
        images: what entered it [n, channel, y, x].
        g: what flows back to it [n, R, O, y, x].
        out: where they belong.
    """
    window = window_of(module, images)
    high, (down, apart) = window.kernel[0], (window.stride[0], window.dilation[0])
    last = (window.outputs[0] - 1) * down + 1
    by_row = out.unflatten(3, (high, -1))
    at_once = _samples_at_once(images, window.kernel[1])
    for some in range(0, len(images), at_once):
        block = slice(some, some + at_once)
        rows = rows_of_patches(module, images[block])
        left = g[block].flatten(1, 2).flatten(2).contiguous()
        for place in range(high):
            first = place * apart
            seen = rows[:, first : first + last : down].flatten(1, 2)
            products(left, seen.mT, by_row[block, :, :, place])


def _samples_at_once(images: Tensor, width: int) -> int:
    if images.device.type != "cpu":
        return len(images)
    each = images[0].numel() * images.element_size() * width
    return max(1, _CACHE // each)
