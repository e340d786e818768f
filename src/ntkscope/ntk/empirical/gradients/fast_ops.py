"""Some of torch's operations with the same values, and faster, for the passes on a CPU.

Average pooling in disjoint windows: torch spreads each number over its window one element at a
time; one broadcast copy takes a fifth of the time. Max pooling: torch compares one element at a
time, but all channels at once where they are the last axis in memory; ordering them so and back
takes less than half of the time in all. Linear layers: by `matmul.matmul_nt`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ntkscope.ntk.empirical.gradients.own_rows import is_cut, is_row_wise
from ntkscope.runtime.matmul import matmul_nt, takes_onednn

Two = int | tuple[int, int]
_Pair = tuple[int, int]
_CHANNELS = 8  # from which on their order in memory pays


class FasterBackward(TorchFunctionMode):
    """Inside, the operations of `_INSTEAD` are replaced. Parameters get no gradient from them.

    Args:
        samples: how many pass.

    Attributes:
        is_row_wise: every operation left each sample's rows in their place for sure.
        is_cut: values of samples were taken out of the graph.
    """

    def __init__(self, samples: int = 0) -> None:
        super().__init__()
        self._count, self.is_row_wise, self.is_cut = samples, True, False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call what stands for `func`, where it can."""
        self.is_row_wise = self.is_row_wise and is_row_wise(func, args, kwargs or {}, self._count)
        self.is_cut = self.is_cut or is_cut(func, args, kwargs or {})
        found = None
        if func in _INSTEAD:
            found = _INSTEAD[func](*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if found is None else found


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    if input.ndim < 2 or weight.ndim != 2 or not takes_onednn(input):
        return None
    found: Tensor = _Linear.apply(input.flatten(0, -2), weight, bias)
    return found.view(*input.shape[:-1], len(weight))


def _avg_pool2d(
    input: Tensor,
    kernel_size: Two,
    stride: Two | None = None,
    padding: Two = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor | None:
    high, wide = both_ways(kernel_size)
    disjoint = not stride or both_ways(stride) == (high, wide)
    plain = both_ways(padding) == (0, 0) and divisor_override is None and input.device.type == "cpu"
    if not (disjoint and plain and input.ndim == 4):
        return None
    if input.shape[2] % high or input.shape[3] % wide:
        return None
    found: Tensor = _Pooling.apply(input, (high, wide))
    return found


def _max_pool2d(
    input: Tensor,
    kernel_size: Two,
    stride: Two | None = None,
    padding: Two = 0,
    dilation: Two = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | None:
    plain = input.device.type == "cpu" and input.ndim == 4 and input.is_contiguous()
    if return_indices or not plain or input.shape[1] < _CHANNELS:
        return None
    sizes = (kernel_size, stride or kernel_size, padding, dilation)
    found: Tensor = _MaxPooling.apply(input, *(both_ways(size) for size in sizes), ceil_mode)
    return found


def both_ways(size: Two) -> tuple[int, int]:
    """(y, x) of a size that may be given once for both."""
    return (size, size) if isinstance(size, int) else (size[0], size[-1])


class _Linear(torch.autograd.Function):
    """x Wᵀ + b, whose gradient flows to x alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        found = matmul_nt(x, weight)
        return found if bias is None else found.add_(bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return matmul_nt(g, ctx.saved_tensors[0].T), None, None


class _Pooling(torch.autograd.Function):
    """Means over disjoint windows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: tuple[int, int]) -> Tensor:
        ctx.kernel = kernel
        return F.avg_pool2d(x, kernel)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (high, wide), (n, channels, rows, columns) = ctx.kernel, g.shape
        each = (g / (high * wide))[:, :, :, None, :, None]
        every = each.expand(n, channels, rows, high, columns, wide)
        return every.reshape(n, channels, rows * high, columns * wide), None


class _MaxPooling(torch.autograd.Function):
    """The largest of each window, and the same choice as torch's among equal ones."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: _Pair, stride: _Pair, padding: _Pair, dilation: _Pair, up: bool
    ) -> Tensor:
        ctx.how = kernel, stride, padding, dilation, up
        last = x.contiguous(memory_format=torch.channels_last)
        found, at = torch.ops.aten.max_pool2d_with_indices(last, *ctx.how)
        ctx.save_for_backward(x, at.contiguous())
        pooled: Tensor = found.contiguous()
        return pooled

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        x, at = ctx.saved_tensors
        back = torch.ops.aten.max_pool2d_with_indices_backward(g.contiguous(), x, *ctx.how, at)
        return back, None, None, None, None, None


_INSTEAD: dict[Any, Callable[..., Tensor | None]] = {
    F.linear: _linear,
    F.avg_pool2d: _avg_pool2d,
    F.max_pool2d: _max_pool2d,
}
OWN_DERIVATIVES = (_Linear, _Pooling, _MaxPooling)
