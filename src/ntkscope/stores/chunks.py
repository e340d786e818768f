"""Where the chunks of a Zarr array are: their places in it, and their files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import zarr


def places(array: zarr.Array[Any]) -> Iterator[tuple[int, ...]]:
    """Indices of all chunks of an array in its grid of chunks."""
    sides = zip(array.shape, array.chunks, strict=True)
    return product(*(range(-(-n // chunk)) for n, chunk in sides))


def file_of(array: zarr.Array[Any], place: tuple[int, ...]) -> Path:
    """The file of a chunk, relative to the store."""
    return Path(array.path, "c", *map(str, place))


def lost_chunks(array: zarr.Array[Any], there: set[str]) -> list[str]:
    """Files of chunks, relative to the store, that are expected and not there, in order."""
    files = ("/".join((array.path, "c", *map(str, place))) for place in places(array))
    return [file for file in files if file not in there]


def spans(array: zarr.Array[Any], place: tuple[int, ...]) -> tuple[slice, ...]:
    """What a chunk holds."""
    sides = zip(place, array.chunks, array.shape, strict=True)
    return tuple(slice(n * side, min((n + 1) * side, size)) for n, side, size in sides)


def dims(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Names of an array's dimensions."""
    return tuple(map(str, getattr(array.metadata, "dimension_names", None) or ()))
