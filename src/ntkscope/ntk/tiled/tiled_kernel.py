"""One model's kernel, computed tile by tile, and written with its mirror image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.engine import compute_kernels
from ntkscope.ntk.empirical.entries import check_entries
from ntkscope.ntk.empirical.plan import Plan
from ntkscope.ntk.tiled.device_to_host import Tensors, on_host
from ntkscope.ntk.tiled.grid import Tile, TileGrid, largest_side, lay_out
from ntkscope.ntk.tiled.store_layout import axes_of, transposed
from ntkscope.stores import ZarrStore
from ntkscope.stores.going_on import is_part_sound


@dataclass(frozen=True)
class Tiled:
    """What is needed to compute any tile.

    Attributes:
        model: as of `empirical_ntk`.
        x1, x2: inputs on the model's device; x2 None: x1.
        kind: `kinds.KINDS`.
        by_layer: whether layer NTKs are wanted too.
        plan: of this model and kind.
        memory: bytes in all: an eighth for a tile, a third for samples held and passes.
        grid: of tiles.
        verify: what of a tile is compared with brute force: `entries.VERIFY`.
    """

    model: nn.Module
    x1: Tensor
    x2: Tensor | None
    kind: str
    by_layer: bool
    plan: Plan
    memory: int
    grid: TileGrid
    verify: str = "off"

    def tiles(self, places: Iterable[Tile]) -> Iterator[tuple[Tile, Tensors]]:
        """Tiles on the model's device: `ntk` of `arrays.axes_of`, `layer_ntk` [layer, …]."""
        for place in places:
            yield place, self._tile(place)

    def _tile(self, place: Tile) -> Tensors:
        rows, columns = self.grid.samples(place)
        right = None
        if self.x2 is not None or self.grid.is_mirrored(place):
            right = (self.x1 if self.x2 is None else self.x2)[columns]
        found = compute_kernels(
            self.model,
            self.plan,
            self.x1[rows],
            right,
            by_layer=self.by_layer,
            memory=self.memory // 3,
        )
        if self.verify != "off":
            every = self.verify == "all"
            check_entries(self.model, self.plan, found, self.x1[rows], right, every=every)
        if not self.by_layer:
            return {"ntk": found[""]}
        layers = torch.stack(list(found.values()))
        return {"ntk": layers.sum(0), "layer_ntk": layers}


def grid_of(
    plan: Plan,
    kind: str,
    samples: tuple[int, int],
    symmetric: bool,
    layers: int,
    memory: int,
    tile: int | None,
) -> TileGrid:
    """The grid of tiles whose work fits into memory.

    Args:
        plan, kind: of the model.
        samples: N and M.
        symmetric: both are the same.
        layers: how many layer NTKs are wanted beside the whole.
        memory: bytes.
        tile: samples on a tile's side, about; None: chosen.
    """
    outputs = len(axes_of(kind)) - 2  # axes of them
    pair_bytes = plan.output_vectors.element_size() * len(plan.output_vectors) ** outputs
    held = max(1, memory // 3 // max(1, plan.gradient_bytes))
    all_arrays = 2 * (layers + 1) * pair_bytes  # twice: one is copied while another is made
    largest = tile or largest_side(max(samples), all_arrays, held, memory // 8)
    return lay_out(*samples, symmetric, pair_bytes, largest)


def write_tiles(
    tiled: Tiled, store: ZarrStore, places: Iterable[Tile], lead: tuple[int, ...] = ()
) -> Iterator[Tile]:
    """Compute and write tiles, each marked as complete after its data; yields those that are.

    Args:
        tiled: the kernel.
        store: with `ntk` and perhaps `layer_ntk`, and a mask that ends in (tile, tile2).
        places: which tiles.
        lead: the kernel's place on the store's leading axes.
    """
    for place, tile in on_host(tiled.tiles(places)):
        rows, columns = tiled.grid.samples(place)
        for name, tensor in tile.items():
            values = tensor.numpy()
            store.write(name, _index(name, tiled.kind, lead, rows, columns), values)
            if tiled.grid.is_mirrored(place):
                index = _index(name, tiled.kind, lead, columns, rows)
                store.write(name, index, _transpose(values, tiled.kind))
        store.done((*lead, *place))
        if tiled.grid.is_mirrored(place):
            store.done((*lead, place[1], place[0]))
        yield place


def is_sound(tiled: Tiled, store: ZarrStore, place: Tile, known: Mapping[str, set[str]]) -> bool:
    """Whether the chunks of a tile and of its mirror image are as they were written.

    Args:
        tiled, store, place: as of `write_tiles`.
        known: fingerprints of the store's files.
    """
    rows, columns = tiled.grid.samples(place)
    return all(
        is_part_sound(store, name, _index(name, tiled.kind, (), *sides), known)
        for name in ("ntk", "layer_ntk")
        if name in store.group
        for sides in ((rows, columns), (columns, rows))[: 1 + tiled.grid.is_mirrored(place)]
    )


def _index(
    name: str, kind: str, lead: tuple[int, ...], rows: slice, columns: slice
) -> tuple[int | slice, ...]:
    of = {"sample": rows, "sample2": columns}
    layers = (slice(None),) if name == "layer_ntk" else ()
    return (*lead, *layers, *(of.get(axis, slice(None)) for axis in axes_of(kind)))


def _transpose(values: np.ndarray, kind: str) -> np.ndarray:
    """A tile, or one of each layer, as it stands on the other side of the diagonal."""
    order = transposed(kind)
    first = values.ndim - len(order)
    return values.transpose(*range(first), *(first + axis for axis in order))
