"""What one output of a convolution sees, axis by axis: sums over both samples' windows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """One axis of positions.

    Attributes:
        length: how many there are.
        padding: how many are added before and behind.
        wrapped: which position stands at each place after padding; None: the added ones are zero.
        size, stride, dilation: of the window.
    """

    length: int
    padding: tuple[int, int]
    wrapped: Tensor | None
    size: int
    stride: int
    dilation: int

    @property
    def outputs(self) -> int:
        """Windows along the axis."""
        padded = self.length + sum(self.padding)
        return (padded - self.dilation * (self.size - 1) - 1) // self.stride + 1

    def summed(self, M: Tensor, first: int, second: int) -> Tensor:
        """Σ_δ M[…, s·i + δ, …, s·j + δ, …], i and j on the axes `first` and `second`."""
        padded = self._padded(self._padded(M, first), second)
        total: Tensor | None = None
        for tap in range(self.size):
            start = tap * self.dilation
            end = start + self.stride * (self.outputs - 1) + 1
            where: list[slice] = [slice(None)] * M.dim()
            where[first] = where[second] = slice(start, end, self.stride)
            part = padded[tuple(where)]
            total = part.clone() if total is None else total.add_(part)
        assert total is not None
        return total

    def _padded(self, M: Tensor, axis: int) -> Tensor:
        if self.wrapped is not None:
            return M.index_select(axis, self.wrapped)
        if not any(self.padding):
            return M
        return F.pad(M, [*[0, 0] * (M.dim() - axis - 1), *self.padding])


@dataclass(frozen=True)
class Window:
    """All axes of a convolution's window."""

    axes: tuple[Axis, ...]

    @property
    def taps(self) -> int:
        """Positions in it."""
        return math.prod(axis.size for axis in self.axes)

    @property
    def outputs(self) -> tuple[int, ...]:
        """Positions afterwards."""
        return tuple(axis.outputs for axis in self.axes)

    def mean(self, M: Tensor) -> Tensor:
        """Over taps, of M [P, P, A, B]: [P', P', A, B]."""
        lengths = [axis.length for axis in self.axes]
        after = math.prod(self.outputs)
        found = M.reshape(*lengths, *lengths, *M.shape[2:])
        for number, axis in enumerate(self.axes):
            found = axis.summed(found, number, number + len(lengths))
        return found.div_(self.taps).reshape(after, after, *M.shape[2:])


def window_of(layer: Any, positions: tuple[int, ...], device: torch.device) -> Window:
    """That of a convolution module over positions of some shape."""
    pads = layer._reversed_padding_repeated_twice
    axes = []
    for number, length in enumerate(positions):
        at = 2 * (len(positions) - 1 - number)
        padding = (int(pads[at]), int(pads[at + 1]))
        wrapped = None
        if layer.padding_mode != "zeros" and any(padding):
            places = torch.arange(length, dtype=torch.float64).view(1, 1, -1)
            wrapped = F.pad(places, padding, layer.padding_mode).flatten().long().to(device)
        sizes = (layer.kernel_size[number], layer.stride[number], layer.dilation[number])
        axes.append(Axis(length, padding, wrapped, *sizes))
    return Window(tuple(axes))
