"""What a convolution multiplies its weight with: patches of an image, and their inner products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

from torch import Tensor, nn
from torch.nn import functional as F

from ntkscope.models.network import ScaledConv2d
from ntkscope.runtime.matmul import matmul_nt

Convolution = nn.Conv1d | nn.Conv2d
Two = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Where a convolution looks, each attribute as (y, x).

    Attributes:
        image: size of what it looks at.
        before: rows and columns of zeros before the image.
        outputs: output pixels.
        kernel, stride, dilation: its own.
    """

    image: Two
    before: Two
    outputs: Two
    kernel: Two
    stride: Two
    dilation: Two

    @property
    def positions(self) -> int:
        """Output pixels."""
        return self.outputs[0] * self.outputs[1]

    def overlaps(self, axis: int) -> Iterator[tuple[slice, slice]]:
        """Of each place in the kernel, along an axis: outputs that see the image, and what."""
        stride, size, count = self.stride[axis], self.image[axis], self.outputs[axis]
        for place in range(self.kernel[axis]):
            start = place * self.dilation[axis] - self.before[axis]  # seen by output 0
            first = max(0, -(start // stride))
            last = min(count - 1, (size - 1 - start) // stride)
            if first <= last:
                seen = slice(start + first * stride, start + last * stride + 1, stride)
                yield slice(first, last + 1), seen


def is_convolution(module: nn.Module) -> TypeGuard[Convolution]:
    """Whether it is one of those that are known, exactly: a subclass may compute anything."""
    return type(module) in (nn.Conv1d, nn.Conv2d, ScaledConv2d)


def patches(module: Convolution, images: Tensor) -> Tensor:
    """[n, groups, S, D]: S output pixels, D = kernel height · width · channels of a group.

    Made from a copy with the channels last, of which a patch is a few contiguous runs: several
    times as fast as `F.unfold`.

    Args:
        module: its stride, padding (mode), dilation and groups are respected.
        images: [n, channel, y, x], or [n, channel, x] of a `Conv1d`.
    """
    window = window_of(module, images)
    last = _padded(module, images)
    n, channels, step = len(last), last.shape[3], last.stride()
    view = last.as_strided(
        (n, *window.outputs, *window.kernel, channels),
        (
            step[0],
            step[1] * window.stride[0],
            step[2] * window.stride[1],
            step[1] * window.dilation[0],
            step[2] * window.dilation[1],
            1,
        ),
    )
    if module.groups == 1:
        return view.reshape(n, 1, window.positions, -1)
    grouped: Tensor = view.unflatten(5, (module.groups, -1)).permute(0, 5, 1, 2, 3, 4, 6)
    return grouped.reshape(n, module.groups, window.positions, -1)


def rows_of_patches(module: Convolution, images: Tensor) -> Tensor:
    """[n, y, outputs along x, kernel width · channels]: each row of the padded image by itself.

    Of a kernel's rows each looks at other rows of the image, but at the same pixels of them; so
    these are all that a patch is made of, in a memory that is smaller by the kernel's height.

    Args:
        module: of one group.
        images: as for `patches`.
    """
    window = window_of(module, images)
    last = _padded(module, images)
    n, height, _, channels = last.shape
    steps, apart = last.stride(), last.stride(2)
    view = last.as_strided(
        (n, height, window.outputs[1], window.kernel[1], channels),
        (*steps[:2], apart * window.stride[1], apart * window.dilation[1], 1),
    )
    return view.reshape(n, height, window.outputs[1], -1)


def pixels(module: Convolution, images: Tensor) -> Tensor:
    """[n, groups, y·x, channels of a group]: what the patches are cut from, without zeros."""
    inner = _pad(module, images, zeros=False)
    found: Tensor = inner.flatten(2).unflatten(1, (module.groups, -1)).mT.contiguous()
    return found


def window_of(module: Convolution, images: Tensor) -> Window:
    """Where a convolution looks in images [n, channel, (y,) x]."""
    kernel, stride, dilation = (
        _two(size) for size in (module.kernel_size, module.stride, module.dilation)
    )
    inner = _pad(module, images, zeros=False).shape[2:]
    whole = _pad(module, images, zeros=True).shape[2:]
    outputs = tuple(
        (size - d * (k - 1) - 1) // s + 1
        for size, k, s, d in zip(whole, kernel, stride, dilation, strict=True)
    )
    left, _, top = (*module._reversed_padding_repeated_twice, 0)[:3]  # x first, then y if any
    before = (top, left) if module.padding_mode == "zeros" else (0, 0)
    return Window(tuple(inner), before, outputs, kernel, stride, dilation)  # type: ignore[arg-type]


def patch_products(left: Tensor, right: Tensor, window: Window) -> Tensor:
    """Inner products of the patches of two sets of images, from those of their pixels.

    ⟨u_s, u'_t⟩ is the sum over the kernel's places of the product of the two pixels there: kernel
    height + width sums of shifted matrices instead of a product kernel height · width as deep.

    Args:
        left, right: [n, y·x, C], [m, y·x, C] as `pixels` has them.
        window: where the convolution looks.

    Returns:
        [n, S, m, S].
    """
    n, m, (height, width), (rows, columns) = len(left), len(right), window.image, window.outputs
    pairs = matmul_nt(left.flatten(0, 1), right.flatten(0, 1)).view(
        n, height, width, m, height, width
    )
    tall = pairs.new_zeros(n, rows, width, m, rows, width)
    for at, seen in window.overlaps(0):
        tall[:, at, :, :, at] += pairs[:, seen, :, :, seen]
    found = pairs.new_zeros(n, rows, columns, m, rows, columns)
    for at, seen in window.overlaps(1):
        found[:, :, at, :, :, at] += tall[:, :, seen, :, :, seen]
    return found.view(n, rows * columns, m, rows * columns)


def as_weight(module: Convolution, gradients: Tensor) -> Tensor:
    """Gradients […, O, D] in the shape of the weight [..., O, channel, kernel]."""
    by_place: Tensor = gradients.unflatten(-1, (*module.kernel_size, -1))
    return by_place.movedim(-1, gradients.ndim - 1)


def _padded(module: Convolution, images: Tensor) -> Tensor:
    """[n, y, x, channel] with its padding, in order in memory."""
    return _pad(module, images, zeros=True).permute(0, 2, 3, 1).contiguous()


def _pad(module: Convolution, images: Tensor, zeros: bool) -> Tensor:
    """[n, channel, y, x] with its padding; `zeros`: also where that is of zeros."""
    sizes = module._reversed_padding_repeated_twice
    constant = module.padding_mode == "zeros"
    if any(sizes) and (zeros or not constant):
        images = F.pad(images, sizes, mode="constant" if constant else module.padding_mode)
    return images.unsqueeze(2) if images.ndim == 3 else images


def _two(sizes: tuple[int, ...]) -> Two:
    return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])
