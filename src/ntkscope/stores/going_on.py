"""What of a half-made store is sound: a job that goes on trusts nothing else.

Chunks are compared with the journals of those who wrote them (`manifest`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ntkscope.runtime.logs import log
from ntkscope.stores.atomic_write import remove
from ntkscope.stores.checked_store import damaged
from ntkscope.stores.chunks import dims, file_of, places, spans
from ntkscope.stores.manifest import MASK, files_of, read_journals
from ntkscope.stores.zarr_store import ZarrStore

Known = Mapping[str, set[str]]
"""Fingerprints that the files of a store may have: of `manifest.read_journals`."""

Lacking = list[tuple[str, tuple[slice, ...]]]
"""Chunks that are not there: name of the array and place."""


def forget_damaged(store: ZarrStore) -> Lacking:
    """Remove the chunks that are not as this or an earlier process wrote them.

    Parts of which a chunk is lost or removed, by the dimensions that the mask shares with its
    array, are complete no more. A mask of which a chunk is, is made of what is there.

    Returns:
        Every chunk that is not there.
    """
    known, there, lacking, lost_mask = read_journals(store.path), {*files_of(store.path)}, [], False
    arrays = {name: each for name, each in store.arrays() if name not in store.coordinates}
    for name, array in arrays.items():
        for place in places(array):
            file = file_of(array, place).as_posix()
            is_nothing = file not in there and not (store.path / file).is_dir()
            if is_nothing or _is_lacking(store, Path(file), known):
                lacking.append((name, spans(array, place)))
                lost_mask |= name == MASK and file in known
    of_data = ((dims(arrays[name]), place) for name, place in lacking if name != MASK)
    _mark_again(store, of_data, not lost_mask)
    return lacking


def forget_damaged_mask(store: ZarrStore, known: Known) -> None:
    """Remove the chunks of the mask that are not as they were written: nothing is done there."""
    array = store.array(MASK)
    for place in places(array):
        _is_lacking(store, file_of(array, place), known)


def is_part_sound(store: ZarrStore, name: str, index: Sequence[Any], known: Known) -> bool:
    """Whether the chunks of a part of an array are there, and as they were written.

    Args:
        store, known: of it.
        name: of the array.
        index: a slice for each of its axes.
    """
    array = store.array(name)
    sides = zip(index, array.shape, array.chunks, strict=True)
    spanned = [(span.indices(size), chunk) for span, size, chunk in sides]
    within = product(*(range(a // chunk, -(-b // chunk)) for (a, b, _), chunk in spanned))
    return all(store.is_sound(file_of(array, place), known) for place in within)


def check_begun(store: ZarrStore, known: Known) -> None:
    """Refuse a store whose metadata or coordinates are not as they were allocated.

    Raises:
        StoreError: names the file.
    """
    for file in map(Path, files_of(store.path)):
        if store.is_of_allocation(file) and not store.is_sound(file, known):
            raise damaged(store.path, f"{file} is damaged")


def _is_lacking(store: ZarrStore, file: Path, known: Known) -> bool:
    """Whether a chunk is not there, or was not as it was written: then it is removed."""
    is_there = (store.path / file).exists()  # another process may be about to write it
    if store.is_sound(file, known):
        return False
    if is_there:
        log.warning("%s of %s is damaged: what is in it is made again", file, store.path)
        remove(store.path / file)
    return True


def _mark_again(
    store: ZarrStore, lacking: Iterable[tuple[tuple[str, ...], tuple[slice, ...]]], is_sound: bool
) -> None:
    """Mark what lacks a chunk; a mask that is not sound itself is true elsewhere.

    Args:
        store: whose mask.
        lacking: dimensions and place of each chunk that is not there.
        is_sound: whether the mask is.
    """
    array, before = store.array(MASK), store.mask
    if is_sound and not before.any():
        return
    axes, mask = dims(array), before.copy() if is_sound else np.ones_like(before)
    for names, place in lacking:
        of = dict(zip(names, place, strict=True))
        if {*of} & {*axes}:
            mask[tuple(of.get(axis, slice(None)) for axis in axes)] = False
    if lost := int((before & ~mask).sum()):
        log.warning("%d parts of %s are made again", lost, store.path)
    for span in (spans(array, place) for place in places(array)):
        if (mask[span] != before[span]).any():
            store.done(span, mask[span])
