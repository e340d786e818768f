"""Gradients of a convolution's weight, made a kernel's row at a time and without its patches.

∂f_r/∂W[o, c, i, j] = Σ_{y, x} g_r[o, y, x] u[c, y + i, x + j]: for each i a product of g with rows
of patches (`im2col.rows_of_patches`), for some samples at a time, so that both stay in the cache.
Patches are `kernel height` times as large, and writing them takes as long as the product.
"""

from __future__ import annotations

from torch import Tensor, nn

from ntkscope.ntk.empirical.gradients.im2col import (
    Convolution,
    is_convolution,
    rows_of_patches,
    window_of,
)
from ntkscope.ntk.empirical.tuning import TUNING, Tuning
from ntkscope.runtime.matmul import batched_matmul_nt


def takes_rows(module: nn.Module, tuning: Tuning = TUNING) -> bool:
    """Whether this is the way for a layer: several products as fast as one, and patches to save."""
    return (
        isinstance(module, nn.Conv2d)
        and is_convolution(module)
        and module.groups == 1
        and module.weight.requires_grad
        and module.kernel_size[0] > 1
        and module.kernel_size[1] * module.in_channels >= tuning.row_patch_elements
    )


def weight_gradients_by_rows(
    module: Convolution, images: Tensor, g: Tensor, out: Tensor, cache: int = TUNING.row_patch_bytes
) -> None:
    """Write the gradients [n, R, O, kernel height · width · channels].

    Args:
        module: one for which `takes_rows`.
        images: the layer's input [n, channel, y, x].
        g: its output gradients [n, R, O, y, x].
        out: where they belong.
        cache: bytes of rows that are held at once, on a CPU.
    """
    window = window_of(module, images)
    high, (down, apart) = window.kernel[0], (window.stride[0], window.dilation[0])
    last = (window.outputs[0] - 1) * down + 1
    by_row = out.unflatten(3, (high, -1))
    at_once = _samples_at_once(images, window.kernel[1], cache)
    for some in range(0, len(images), at_once):
        block = slice(some, some + at_once)
        rows = rows_of_patches(module, images[block])
        left = g[block].flatten(1, 2).flatten(2).contiguous()
        for place in range(high):
            first = place * apart
            seen = rows[:, first : first + last : down].flatten(1, 2)
            batched_matmul_nt(left, seen.mT, by_row[block, :, :, place])


def _samples_at_once(images: Tensor, width: int, cache: int) -> int:
    if images.device.type != "cpu":
        return len(images)
    each = images[0].numel() * images.element_size() * width
    return max(1, cache // each)
