"""One Zarr store: allocated whole, written in any order, complete when its mask is all true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from ntkscope.errors import StoreError

FORMAT = 1
MASK = "complete"


@dataclass(frozen=True)
class Array:
    """An array of a store before it has data.

    Attributes:
        dims: dimension names, one an axis.
        shape, dtype: as in NumPy. Floats start as NaN, integers as 0.
        chunks: one writer a chunk; None: one chunk.
        attrs: units, long_name, source, …
        compress: Zstandard (images, labels); weights do not compress and are left as they are.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: Any
    chunks: tuple[int, ...] | None = None
    attrs: dict[str, Any] = field(default_factory=dict)
    compress: bool = False


class ZarrStore:
    """A store being written. Array names may hold a `/`: `parameters/hidden1.weight` is in a group."""

    def __init__(self, group: zarr.Group, path: Path) -> None:
        self.group, self.path = group, path

    @classmethod
    def allocate(
        cls,
        path: Path,
        kind: str,
        arrays: dict[str, Array],
        *,
        coords: dict[str, tuple[tuple[str, ...], Any]],
        mask: tuple[str, ...],
        attrs: dict[str, Any],
        groups: tuple[str, ...] = (),
    ) -> ZarrStore:
        """Create the store with all its arrays, coordinates and an empty completion mask.

        Args:
            path: a folder that does not exist yet.
            kind: what it holds (`images`, `snapshots`, `kernels`); checked when it is opened.
            arrays: data, to be written later.
            coords: name → (dims, values), written now.
            mask: dims of the completion mask; a part is done when its element is true.
            attrs: provenance and description, JSON-able.
            groups: groups that exist even if nothing is ever added to them.
        """
        root = zarr.open_group(str(path), mode="w-", zarr_format=3)
        sizes = {d: n for a in arrays.values() for d, n in zip(a.dims, a.shape, strict=True)}
        for name, array in arrays.items():
            _create(root, name, array)
        for name, (dims, values) in coords.items():
            data = np.asarray(values)
            if data.dtype.kind == "U":
                data = data.astype(np.dtypes.StringDType())  # type: ignore[attr-defined]
            _create(root, name, Array(dims, data.shape, data.dtype))
            _array(root, name)[...] = data
        _create(root, MASK, Array(mask, tuple(sizes[d] for d in mask), np.dtype(bool)))
        for group in groups:
            root.require_group(group)
        root.attrs.update(
            {"kind": kind, "format": FORMAT, "coordinates": " ".join(coords), **attrs}
        )
        return cls(root, path)

    @classmethod
    def resume(cls, path: Path, kind: str) -> ZarrStore:
        """Open a partly written store to go on with it."""
        return cls(_open(path, kind, mode="r+"), path)

    def write(self, name: str, index: Any, values: Any) -> None:
        """Write whole chunks of one array."""
        _array(self.group, name)[index] = values

    def add(self, name: str, array: Array, values: Any) -> None:
        """Create and write an array that was not there when the store was allocated."""
        if name in self.group:
            del self.group[name]
        _create(self.group, name, array)
        self.write(name, ..., values)

    def read(self, name: str) -> np.ndarray:
        """All of one array."""
        return np.asarray(_array(self.group, name)[...])

    def done(self, index: Any) -> None:
        """Mark a part as complete, after its data is written."""
        _array(self.group, MASK)[index] = True

    @property
    def mask(self) -> np.ndarray:
        """Which parts are complete."""
        return self.read(MASK)

    def describe(self, **attrs: Any) -> None:
        """Add attributes, e.g. the wall time when all is written."""
        self.group.attrs.update(attrs)


def read_store(path: str | Path, kind: str, group: str | None = None) -> xr.Dataset:
    """A complete store, or one group of it, as a lazily read xarray dataset.

    A damaged chunk raises when it is read: every chunk has a CRC32C.

    Raises:
        StoreError: no store, another kind or format, or parts of it never written.
    """
    path = Path(path)
    root = _open(path, kind, mode="r")
    mask = np.asarray(_array(root, MASK)[...])
    if not mask.all():
        raise StoreError(
            f"the store is incomplete: {int(mask.sum())} of {mask.size} parts were written",
            where=path,
            remedy="delete it and run its rule again",
        )
    data = xr.open_zarr(str(path), group=group, consolidated=False, chunks=None)
    coords = [c for c in str(root.attrs["coordinates"]).split() if c in data]
    texts = {
        c: (data[c].dims, np.array(data[c].values.tolist(), dtype=str))
        for c in coords
        if data[c].dtype.kind == "T"
    }
    return data.assign(texts).set_coords(coords).drop_vars(MASK, errors="ignore")


def _open(path: Path, kind: str, mode: Any) -> zarr.Group:
    remedy = "delete it and run its rule again"
    try:
        root = zarr.open_group(str(path), mode=mode, zarr_format=3)
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise StoreError(
            f"no readable Zarr store is here ({type(error).__name__})", where=path, remedy=remedy
        ) from None
    found, version = root.attrs.get("kind"), root.attrs.get("format")
    if found != kind:
        raise StoreError(
            f"this is a store of {found!r}, not of {kind!r}", where=path, remedy=remedy
        )
    if version != FORMAT:
        raise StoreError(
            f"this store has format {version}, this version of ntkscope reads {FORMAT}",
            where=path,
            remedy=remedy,
        )
    return root


def _create(root: zarr.Group, name: str, array: Array) -> None:
    floating = np.issubdtype(array.dtype, np.floating)
    root.create_array(
        name,
        shape=array.shape,
        dtype=array.dtype,
        chunks=array.chunks or tuple(max(n, 1) for n in array.shape),
        fill_value=float("nan") if floating else 0,
        dimension_names=array.dims,
        attributes=array.attrs,
        compressors=[ZstdCodec(level=3), Crc32cCodec()] if array.compress else [Crc32cCodec()],
    )


def _array(root: zarr.Group, name: str) -> zarr.Array:
    found = root[name]
    assert isinstance(found, zarr.Array)
    return found


def check_dims(data: xr.Dataset, path: str | Path, dims: Sequence[str]) -> None:
    """Refuse a dataset that lacks a dimension its reader needs."""
    missing = [dim for dim in dims if dim not in data.dims]
    if missing:
        raise StoreError(
            f"the store has no dimension {', '.join(missing)} (it has {', '.join(map(str, data.dims))})",
            where=path,
            remedy="delete it and run its rule again",
        )
