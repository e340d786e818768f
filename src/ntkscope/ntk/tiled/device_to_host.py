"""Finished tiles from where they were computed to the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
Tensors = dict[str, Tensor]


def on_host(tiles: Iterable[tuple[T, Tensors]]) -> Iterator[tuple[T, Tensors]]:
    """Tiles with their tensors on the CPU, in order.

    Tiles of a GPU come one behind: each is copied into pinned memory on a stream of its own while
    the next is being computed.
    """
    waiting: tuple[T, Tensors, torch.cuda.Event] | None = None
    for place, tile in tiles:
        if not next(iter(tile.values())).is_cuda:
            yield place, {name: tensor.cpu() for name, tensor in tile.items()}
            continue
        copy, copied = _begin_copy(tile)
        if waiting is not None:
            yield _arrived(*waiting)
        waiting = place, copy, copied
    if waiting is not None:
        yield _arrived(*waiting)


def _begin_copy(tile: Tensors) -> tuple[Tensors, torch.cuda.Event]:
    device = next(iter(tile.values())).device
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))  # until the tile is computed
    copied = torch.cuda.Event()
    copy = {}
    with torch.cuda.stream(side):
        for name, tensor in tile.items():
            copy[name] = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            copy[name].copy_(tensor, non_blocking=True)
            tensor.record_stream(side)  # its memory is not given away before
        copied.record(side)
    return copy, copied


def _arrived(place: T, copy: Tensors, copied: torch.cuda.Event) -> tuple[T, Tensors]:
    copied.synchronize()
    return place, copy
