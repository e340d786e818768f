"""What a call without parameters does to positions, found out by calling it on probes.

A reshaping is called on the numbers of its input's elements, a pooling on a unit image for each
position; whatever its arguments mean, its own code says where everything goes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ntkscope.ntk.infinite.graph.signal import Signal

BATCH = 3
"""Samples of a batch, where a forward asks for its size."""


@dataclass(frozen=True)
class Moved:
    """Where channels and positions of a signal go.

    Attributes:
        shape: of a sample, afterwards.
        channel: its axis of channels; None: positions have become channels.
        matrix: over positions, float64 [P', P].
    """

    shape: tuple[int, ...]
    channel: int | None
    matrix: Tensor


class SampleCount(int):
    """The number of samples: for shapes alone, as no kernel of theirs changes with it.

    Its products and whole quotients are such counts too; what else is computed of it is refused.
    """

    def __mul__(self, other: Any) -> SampleCount:
        return SampleCount(int(self) * int(other))

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> SampleCount:
        return SampleCount(int(self) // int(other))

    def _refused(self, *_: Any) -> Any:
        raise TypeError("the number of samples is computed with")

    __add__ = __radd__ = __sub__ = __rsub__ = __truediv__ = __rtruediv__ = _refused
    __pow__ = __rpow__ = __rfloordiv__ = __neg__ = __float__ = _refused


def sizes(found: Any) -> Any:
    """A shape of samples [BATCH, …], or the size of one axis, its first a `SampleCount`."""
    if isinstance(found, torch.Size):
        return (SampleCount(found[0]), *found[1:]) if found else ()
    return found


def rearranged(call: Callable[[Tensor], Any], x: Signal) -> Moved | None:
    """Of a call that puts elements elsewhere, or leaves some out; None: of any other."""
    size = math.prod(x.shape)
    numbers = torch.arange(BATCH * size).view(BATCH, *x.shape)
    y = call(numbers)
    if not isinstance(y, Tensor) or y.dim() < 2 or len(y) != BATCH:
        return None
    first = y[0]
    if not torch.equal(y, first + size * torch.arange(BATCH).view(-1, *[1] * first.dim())):
        return None
    whole = first.dim() == 1 and torch.equal(first.sort().values, numbers[0].flatten())
    if whole and math.prod(x.positions) > 1:
        return Moved((size,), None, torch.empty(0))
    at = torch.arange(math.prod(x.positions)).view(x.positions).unsqueeze(x.channel)
    place = at.expand(x.shape).flatten()[first]
    shape = [1] * len(x.shape)
    shape[x.channel] = -1
    of_channel = torch.arange(x.shape[x.channel]).view(shape).expand(x.shape).flatten()[first]
    for axis in _candidates(tuple(first.shape), x):
        own = torch.arange(first.shape[axis]).view(-1, *[1] * (first.dim() - axis - 1))
        alike = torch.equal(place, place.select(axis, 0).unsqueeze(axis).expand(first.shape))
        if alike and torch.equal(of_channel, own.expand(first.shape)):
            seen = place.select(axis, 0).flatten()
            matrix = nn.functional.one_hot(seen, math.prod(x.positions)).double()
            return Moved(tuple(first.shape), axis, matrix)
    return None


def averaged(call: Callable[[Tensor], Any], x: Signal) -> Moved | None:
    """Of a call that is linear, the same for each channel; None: it is another."""
    places, channels = math.prod(x.positions), torch.tensor([1.0, 2.0]).double()
    units = torch.cat([torch.eye(places), torch.zeros(1, places)]).double()
    images = units.view(-1, *x.positions).unsqueeze(x.channel + 1)
    shape = [1] * images.dim()
    shape[x.channel + 1] = 2
    y = call(images * channels.view(shape))
    if not isinstance(y, Tensor) or y.dim() < 2 or len(y) != places + 1 or bool(y[-1].any()):
        return None
    for axis in _candidates(tuple(y.shape[1:]), x, channels=2):
        one, two = y[:-1].select(axis + 1, 0), y[:-1].select(axis + 1, 1)
        if torch.equal(2 * one, two):
            after = list(y.shape[1:])
            after[axis] = x.shape[x.channel]
            return Moved(tuple(after), axis, one.reshape(places, -1).T.contiguous())
    return None


def _candidates(shape: tuple[int, ...], x: Signal, channels: int | None = None) -> list[int]:
    """Axes that may be that of the channels, the same as before first."""
    wanted = x.shape[x.channel] if channels is None else channels
    found = [axis for axis, n in enumerate(shape) if n == wanted]
    if len(shape) == len(x.shape):
        found.sort(key=lambda axis: axis != x.channel)
    return found
