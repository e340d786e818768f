"""One Zarr store: allocated whole, written in any order, complete when its mask is all true."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from ntkscope.errors import StoreError
from ntkscope.runtime.disk import check_space
from ntkscope.stores.atomic_write import atomic

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 1
MASK = "complete"
WRITTEN = "chunks"
"""The attribute of stores of which every chunk is on the disk, also of what is undefined."""
DAMAGED = (KeyError, ValueError, TypeError)
"""What Zarr raises of a damaged chunk, or of metadata that are none."""

REMAKE = "delete it and make it again: run its rule, or the call that wrote it"


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
    """A store being written or read. `parameters/hidden1.weight` is an array in a group."""

    def __init__(self, group: zarr.Group, path: Path) -> None:
        self.group, self.path = group, path

    @classmethod
    def allocate(
        cls,
        path: Path,
        kind: str,
        arrays: dict[str, Array],
        *,
        coords: Mapping[str, tuple[tuple[str, ...], Any]],
        mask: tuple[str, ...] | Array,
        attrs: dict[str, Any],
        groups: tuple[str, ...] = (),
        shared: bool = False,
    ) -> ZarrStore:
        """Create the store, whole or not at all, with an empty completion mask.

        Args:
            path: a folder that does not exist yet.
            kind: what it holds (`images`, `snapshots`, `kernels`); checked when it is opened.
            arrays: data, to be written later.
            coords: name → (dims, values), written now.
            mask: dims of the completion mask; a part is done when its element is true. Or the mask
                itself, where several processes write: each its own chunks of it.
            attrs: provenance and description, JSON-able.
            groups: groups that exist even if nothing is ever added to them.
            shared: several processes may do this at once: the first one's store stays.
        """
        whole = (
            math.prod(a.shape) * np.dtype(a.dtype).itemsize
            for a in arrays.values()
            if not a.compress
        )
        check_space(path, sum(whole))
        with atomic(path, shared=shared) as partial:
            _allocate(partial, kind, arrays, coords, mask, attrs, groups)
        return cls.resume(path, kind)

    @classmethod
    def resume(cls, path: Path, kind: str) -> ZarrStore:
        """Open a partly written store to go on with it."""
        return cls(_open(path, kind, mode="r+"), path)

    @classmethod
    def open(cls, path: Path, kind: str) -> ZarrStore:
        """Open a complete store to read it without xarray.

        Raises:
            StoreError: no store, another kind or format, parts of it never written, or a chunk's
                file is gone since.
        """
        store = cls(_open(path, kind, mode="r"), path)
        mask = store.mask
        if not mask.all():
            raise StoreError(
                f"the store is incomplete: {int(mask.sum())} of {mask.size} parts were written",
                where=path,
                remedy="call what writes it again, and it goes on; or delete it and run its rule",
            )
        store.refuse_lost_chunks()
        return store

    def refuse_lost_chunks(self) -> None:
        """Compare the chunks that are expected with those on the disk, of every array.

        Zarr reads a chunk without a file as fill values: NaN, or zeros. Stores of versions that
        left such chunks out on purpose are not looked at.

        Raises:
            StoreError: names the first file that is not there.
        """
        if self.group.attrs.get(WRITTEN) != "all":
            return
        there = {file.relative_to(self.path) for file in self.path.rglob("*")}
        for name in sorted(str(file.parent) for file in there if file.name == "zarr.json"):
            with suppress(*DAMAGED):  # which reading it will say
                array = self.group if name == "." else self.group[name]
                if isinstance(array, zarr.Array) and (lost := _lost_chunks(array, there)):
                    raise _lacking(self.path, array, len(lost), lost[0])

    def write(self, name: str, index: Any, values: Any) -> None:
        """Write whole chunks of one array, those of fill values too.

        Zarr would compare each chunk with the fill value, to leave it out if it is equal: that
        takes five times as long as all the rest of writing it.
        """
        _write(self.group, name, index, values)

    def undefined(self, name: str, index: Any) -> None:
        """Write that a part has no values: NaN, or 0 of integers. Its mask says why, not these."""
        self.write(name, index, _array(self.group, name).fill_value)

    def add(self, name: str, array: Array, values: Any) -> None:
        """Create and write an array that was not there when the store was allocated."""
        if name in self.group:
            del self.group[name]
        _create(self.group, name, array)
        self.write(name, ..., values)

    def read(self, name: str, index: Any = ...) -> np.ndarray:
        """One array, or a part of it. A damaged chunk raises: every chunk has a CRC32C.

        Raises:
            StoreError: no such array, or a damaged one.
        """
        with self._reading(name):
            return np.asarray(_array(self.group, name)[index])

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """An array that is not there, or damaged, as an error that says where it is."""
        try:
            if name in self.group:
                yield
                return
        except DAMAGED as error:
            raise StoreError(
                f"array {name!r} cannot be read: {error}", where=self.path, remedy=REMAKE
            ) from None
        with _foreign_files_ignored():
            there = ", ".join(sorted(self.group.keys()))
        raise StoreError(f"no array {name!r}", where=self.path, remedy=f"it has: {there}")

    def check_whole(self, *names: str) -> None:
        """Refuse arrays of which a chunk is gone: it would be read as fill values, without a word.

        Of arrays that are written whole, fill values too, as `write` does. The files are listed,
        not read.

        Raises:
            StoreError: no such array, or one that lacks a chunk.
        """
        for name in names:
            with self._reading(name):
                array = _array(self.group, name)
                lacking = array.nchunks - array.nchunks_initialized
            if lacking:
                raise _lacking(self.path, array, lacking, None)

    def chunks(self, name: str) -> tuple[int, ...]:
        """Sides of the chunks of an array."""
        return _array(self.group, name).chunks

    def names(self, group: str) -> list[str]:
        """Names of the arrays in a group; none where there is no such group."""
        if group not in self.group:
            return []
        found = self.group[group]
        assert isinstance(found, zarr.Group)
        with _foreign_files_ignored():
            return sorted(name for name, _ in found.arrays())

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
    import xarray as xr  # 0.4 s, not needed by jobs that train

    store = ZarrStore.open(Path(path), kind)
    try:
        if group is not None and group not in store.group:
            there = ", ".join(sorted(store.group.keys()))
            raise StoreError(f"no group {group!r}", where=path, remedy=f"the store has: {there}")
        with _foreign_files_ignored():
            data: xr.Dataset = xr.open_zarr(str(path), group=group, consolidated=False, chunks=None)
        coords = [c for c in str(store.group.attrs["coordinates"]).split() if c in data]
    except DAMAGED as error:
        raise StoreError(
            f"the store is damaged ({type(error).__name__}: {error})", where=path, remedy=REMAKE
        ) from None
    texts = {
        c: (data[c].dims, np.array(data[c].values.tolist(), dtype=str))
        for c in coords
        if data[c].dtype.kind == "T"
    }
    data = data.assign(texts).set_coords(coords)
    return data.drop_vars(MASK, errors="ignore")


@contextmanager
def _foreign_files_ignored() -> Iterator[None]:
    """Snakemake leaves a time stamp inside directories that it made; zarr warns of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is not recognized as a component.*")
        yield


def _open(path: Path, kind: str, mode: Any) -> zarr.Group:
    if not path.exists():
        raise no_such(path, "store")
    try:
        root = zarr.open_group(str(path), mode=mode, zarr_format=3)
    except (FileNotFoundError, *DAMAGED) as error:
        raise StoreError(
            f"this is no Zarr store, or a damaged one ({type(error).__name__})",
            where=path,
            remedy=f"check the path; if it is a damaged store, {REMAKE}",
        ) from None
    check_kind(path, "store", root.attrs.get("kind"), kind)
    if root.attrs.get("format") != FORMAT:
        raise StoreError(
            f"this store has format {root.attrs.get('format')}, "
            f"this version of ntkscope reads {FORMAT}",
            where=path,
            remedy=f"read it with the version that its attribute `provenance` names, or {REMAKE}",
        )
    return root


def _allocate(
    path: Path,
    kind: str,
    arrays: dict[str, Array],
    coords: Mapping[str, tuple[tuple[str, ...], Any]],
    mask: tuple[str, ...] | Array,
    attrs: dict[str, Any],
    groups: tuple[str, ...],
) -> None:
    root = zarr.open_group(str(path), mode="w-", zarr_format=3)
    for name, array in arrays.items():
        _create(root, name, array)
    for name, (dims, values) in coords.items():
        data = np.asarray(values)
        if data.dtype.kind == "U":
            data = data.astype(np.dtypes.StringDType())
        _create(root, name, Array(dims, data.shape, data.dtype))
        _write(root, name, ..., data)
    if not isinstance(mask, Array):
        sizes = {d: n for a in arrays.values() for d, n in zip(a.dims, a.shape, strict=True)}
        mask = Array(mask, tuple(sizes[d] for d in mask), np.dtype(bool))
    _create(root, MASK, mask)
    for group in groups:
        root.require_group(group)
    root.attrs.update({"kind": kind, "format": FORMAT, "coordinates": " ".join(coords)})
    root.attrs.update({WRITTEN: "all", **attrs})


def no_such(path: Path, what: str) -> StoreError:
    """The error of a store or table that is not there."""
    remedy = "check the path, or run the rule that makes it"
    return StoreError(f"there is no {what} here", where=path, remedy=remedy)


def check_kind(path: Path, what: str, found: Any, kind: str) -> None:
    """Refuse a store or table that is opened as another kind than it is: itself it is good.

    Raises:
        StoreError: says which kind it is.
    """
    if found is None:
        raise StoreError(
            f"this {what} has no attribute `kind`: ntkscope did not write it",
            where=path,
            remedy=f"give the path of a {what} of ntkscope, or open this one with xarray itself",
        )
    if found != kind:
        raise StoreError(
            f"this is a {what} of {found!r}, not of {kind!r}",
            where=path,
            remedy=f"open it as {found!r}, or give the path of a {what} of {kind!r}",
        )


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


def lacking_bytes(path: Path) -> int:
    """About how many bytes a store that was begun still takes; 0 where it cannot be told."""
    try:
        root = zarr.open_group(str(path), mode="r", zarr_format=3)
        with _foreign_files_ignored():
            whole = sum(
                item.nbytes for _, item in root.members(None) if isinstance(item, zarr.Array)
            )
    except (OSError, *DAMAGED):
        return 0
    return max(0, whole - sum(file.stat().st_size for file in path.rglob("*") if file.is_file()))


def _write(root: zarr.Group, name: str, index: Any, values: Any) -> None:
    _array(root, name).with_config({"write_empty_chunks": True})[index] = values


def _lost_chunks(array: zarr.Array[Any], there: set[Path]) -> list[Path]:
    """Files of chunks, relative to the store, that are expected and not there, in order."""
    folder = Path(array.path, "c")
    counts = [-(-n // chunk) for n, chunk in zip(array.shape, array.chunks, strict=True)]
    places = product(*(range(count) for count in counts))
    expected = (folder.joinpath(*(str(number) for number in place)) for place in places)
    return [file for file in expected if file not in there]


def _lacking(path: Path, array: zarr.Array[Any], lost: int, first: Path | None) -> StoreError:
    named = "" if first is None else f": {first} is lost"
    return StoreError(
        f"array {array.path!r} lacks {lost} of its {array.nchunks} chunks{named}",
        where=path,
        remedy=f"restore them from a copy of the store; without one, {REMAKE}",
    )


def _array(root: zarr.Group, name: str) -> zarr.Array[Any]:
    found = root[name]
    assert isinstance(found, zarr.Array)
    return found
