"""The patches of an image that a convolution multiplies its weight with."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

Convolution = nn.Conv1d | nn.Conv2d


def patches(module: Convolution, images: Tensor) -> Tensor:
    """[n, groups, S, D]: S output pixels, D = kernel height · width · channels of a group.

    Made from a copy with the channels last, of which a patch is a few contiguous runs: several
    times as fast as `F.unfold`.

    Args:
        module: its stride, padding (mode), dilation and groups are respected.
        images: [n, channel, y, x], or [n, channel, x] of a `Conv1d`.
    """
    padded = _pad(module, images)
    kernel, stride, dilation = (
        _two(size) for size in (module.kernel_size, module.stride, module.dilation)
    )
    last = padded.permute(0, 2, 3, 1).contiguous()
    n, height, width, channels = last.shape
    rows, columns = (
        (size - d * (k - 1) - 1) // s + 1
        for size, k, s, d in zip((height, width), kernel, stride, dilation, strict=True)
    )
    step = last.stride()
    view = last.as_strided(
        (n, rows, columns, *kernel, channels),
        (
            step[0],
            step[1] * stride[0],
            step[2] * stride[1],
            step[1] * dilation[0],
            step[2] * dilation[1],
            1,
        ),
    )
    if module.groups == 1:
        return view.reshape(n, 1, rows * columns, -1)
    grouped: Tensor = view.unflatten(5, (module.groups, -1)).permute(0, 5, 1, 2, 3, 4, 6)
    return grouped.reshape(n, module.groups, rows * columns, -1)


def as_weight(module: Convolution, gradients: Tensor) -> Tensor:
    """Gradients […, O, D] in the shape of the weight [..., O, channel, kernel]."""
    by_place: Tensor = gradients.unflatten(-1, (*module.kernel_size, -1))
    return by_place.movedim(-1, gradients.ndim - 1)


def _pad(module: Convolution, images: Tensor) -> Tensor:
    """[n, channel, y, x] with its padding."""
    sizes = module._reversed_padding_repeated_twice
    if any(sizes):
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        images = F.pad(images, sizes, mode=mode)
    return images.unsqueeze(2) if images.ndim == 3 else images


def _two(sizes: tuple[int, ...]) -> tuple[int, int]:
    return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])
