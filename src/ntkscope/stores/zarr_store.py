"""One Zarr store: allocated whole, written in any order, complete when its mask is all true."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from ntkscope.errors import StoreError, remake, replaced
from ntkscope.runtime.disk import check_space
from ntkscope.runtime.logs import log
from ntkscope.stores.atomic_write import atomic, beside, remove, remove_partial_files
from ntkscope.stores.checked_store import CheckedStore, damaged
from ntkscope.stores.chunks import lost_chunks
from ntkscope.stores.manifest import (
    MASK,
    METADATA,
    Journal,
    break_manifest,
    files_of,
    fingerprint_of,
    read_journals,
    read_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 1
WRITTEN = "chunks"
"""The attribute of stores of which every chunk is on the disk, also of what is undefined."""
DAMAGED = (LookupError, ValueError, TypeError, AttributeError, AssertionError, RuntimeError)
"""What Zarr raises of a damaged chunk, or of metadata that are none."""

_SHUFFLED_BYTES = 2**23  # of which the first bytes, the second bytes, … lie together


@dataclass(frozen=True)
class Array:
    """An array of a store before it has data.

    Attributes:
        dims: dimension names, one an axis.
        shape, dtype: as in NumPy. Floats start as NaN, integers as 0.
        chunks: one writer a chunk; None: one chunk.
        attrs: units, long_name, source, …
        compress: with Zstandard: `whole` (images, labels), or `shuffled`, the first bytes of all
            numbers first (weights, of several snapshots a chunk). Kernels do not compress.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: Any
    chunks: tuple[int, ...] | None = None
    attrs: dict[str, Any] = field(default_factory=dict)
    compress: Literal["whole", "shuffled"] | None = None

    @property
    def nbytes(self) -> int:
        """What it takes on the disk, unless it is compressed."""
        return int(math.prod(self.shape) * np.dtype(self.dtype).itemsize)


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
        going_on: bool = False,
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
            going_on: with a store that a killed job left there: all that is written now is written
                again, and the rest stays (`going_on.forget_damaged`).
        """
        if going_on and path.exists():
            try:
                with beside(path) as again:
                    _allocate(again, kind, arrays, coords, mask, attrs, groups)
                    _renew(path, again)
            except (NotADirectoryError, FileExistsError, IsADirectoryError):
                log.warning("%s is no store: it is begun anew", path)
                remove(path)
        if not path.exists():
            plain = (array for array in arrays.values() if array.compress != "whole")
            check_space(path, sum(array.nbytes for array in plain))
            with atomic(path, shared=shared) as partial:
                _allocate(partial, kind, arrays, coords, mask, attrs, groups)
        return cls.resume(path, kind)

    @classmethod
    def resume(cls, path: Path, kind: str) -> ZarrStore:
        """Open a partly written store to go on with it."""
        return cls(_open(path, kind, CheckedStore(path)), path)

    @classmethod
    def open(cls, path: Path, kind: str) -> ZarrStore:
        """Open a complete store to read it without xarray.

        What is read of it is compared with its manifest, if it has one: stores of versions before
        there was one have the CRC32C of their chunks alone.

        Raises:
            StoreError: no store, another kind or format, parts of it never written, or a file is
                gone since.
        """
        store = cls.open_part(path, kind)
        mask = store.mask
        if not mask.all():
            raise StoreError(
                f"the store is incomplete: {int(mask.sum())} of {mask.size} parts were written",
                where=path,
                remedy=f"call what writes it again, and it goes on; or {remake(path)}",
            )
        store.refuse_lost_chunks()
        return store

    @classmethod
    def open_part(cls, path: Path, kind: str) -> ZarrStore:
        """Open a store to read what is there of it: a finished part of another, or not complete."""
        if not path.exists():
            raise no_such(path, "store")
        files = CheckedStore(path, read_only=True, manifest=read_manifest(path))
        return cls(_open(path, kind, files), path)

    @staticmethod
    def kind_of(path: Path) -> str:
        """The kind of a store, from its attributes.

        Raises:
            StoreError: it has none, or there is no store.
        """
        if not path.exists():
            raise no_such(path, "store")
        try:
            about = json.loads((path / METADATA).read_text(encoding="utf-8"))
            return str(about["attributes"]["kind"])
        except (OSError, ValueError, LookupError, TypeError):
            raise damaged(path, f"{METADATA} is none of ntkscope's") from None

    @property
    def coordinates(self) -> list[str]:
        """Names of the coordinates, which are written as the store is allocated."""
        return str(self.group.attrs.get("coordinates", "")).split()

    def is_of_allocation(self, file: Path) -> bool:
        """Whether a file is of what is written as the store is allocated."""
        return file.name == METADATA or file.parts[0] in self.coordinates

    @property
    def files(self) -> CheckedStore:
        """The files of the store."""
        assert isinstance(self.group.store, CheckedStore)
        return self.group.store

    def refuse_lost_chunks(self) -> None:
        """Compare the files that are expected with those on the disk.

        Zarr reads a chunk without a file as fill values: NaN, or zeros. Stores of versions that
        left such chunks out on purpose are not looked at.

        Raises:
            StoreError: names the first file that is not there.
        """
        if self.group.attrs.get(WRITTEN) != "all":
            return
        files = {*files_of(self.path)}
        for name, array in self.arrays():
            if lost := lost_chunks(array, files):
                what = f"array {name!r} lacks {len(lost)} of its {array.nchunks} chunks"
                raise _lost(self.path, f"{what}: {lost[0]} is lost")
        if gone := sorted({*(self.files.manifest or ())} - files):
            raise _lost(self.path, f"{gone[0]} is lost")

    def arrays(self) -> Iterator[tuple[str, zarr.Array[Any]]]:
        """All arrays, by name, but those whose metadata are damaged: reading them will say so."""
        metadata = f"/{METADATA}"
        found = (file for file in files_of(self.path) if file.endswith(metadata))
        for name in sorted(file.removesuffix(metadata) for file in found):
            with suppress(*DAMAGED):
                if isinstance(array := self.group[name], zarr.Array):
                    yield name, array

    def array(self, name: str) -> zarr.Array[Any]:
        """One array, unread."""
        return _array(self.group, name)

    def is_sound(self, file: Path, known: Mapping[str, set[str]]) -> bool:
        """Whether a file of the store is as it was written.

        Args:
            file: relative to the store.
            known: of `manifest.read_journals`.
        """
        found = fingerprint_of(self.path / file)
        if found not in known.get(file.as_posix(), ()) and found != "lost":
            known = read_journals(self.path)  # another process may have written it since
        if is_sound := found in known.get(file.as_posix(), ()):
            self.files.written[file.as_posix()] = found
        return is_sound

    def seal(self, *, shared: bool = False) -> None:
        """Write the manifest: nothing more is written. Whoever writes to the store breaks it.

        Args:
            shared: others may write parts of it, and seal it, at the same time.

        Raises:
            StoreError: a chunk is not as it was written, or nobody noted that it was; or, of a
                complete store, it is gone.
        """
        remove_partial_files(self.path, shared=shared)
        if self.mask.all():
            self.refuse_lost_chunks()
        known, files = read_journals(self.path), self.files.written
        found = {f: files.get(f) or fingerprint_of(self.path / f) for f in files_of(self.path)}
        for file, now in found.items():
            if not file.endswith(METADATA) and now not in known.get(file, ()):
                raise damaged(self.path, f"{file} is not as it was written")
        write_manifest(self.path, found)

    def write(self, name: str, index: Any, values: Any) -> None:
        """Write whole chunks of one array, those of fill values too.

        Zarr would compare each chunk with the fill value, to leave it out if it is equal: that
        takes five times as long as all the rest of writing it.
        """
        _write(self.group, name, index, values)

    def undefined(self, name: str, index: Any) -> None:
        """Write that a part has no values: NaN, or 0 of integers. Its mask says why, not these."""
        self.write(name, index, self.array(name).fill_value)

    def add(self, name: str, array: Array, values: Any) -> None:
        """Create and write an array that was not there when the store was allocated."""
        remove(self.path / name)
        _create(self.group, name, array)
        self.write(name, ..., values)

    def read(self, name: str, index: Any = ...) -> np.ndarray:
        """One array, or a part of it. A damaged chunk raises: every chunk has a CRC32C.

        Raises:
            StoreError: no such array, or a damaged one.
        """
        with self._reading(name):
            return np.asarray(self.array(name)[index])

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """An array that is not there, or damaged, as an error that says where it is."""
        try:
            if name in self.group:
                yield
                return
        except DAMAGED as error:
            raise StoreError(
                f"array {name!r} cannot be read: {error}", where=self.path, remedy=remake(self.path)
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
                array = self.array(name)
                lacking = array.nchunks - array.nchunks_initialized
            if lacking:
                what = f"array {array.path!r} lacks {lacking} of its {array.nchunks} chunks"
                raise _lost(self.path, what)

    def chunks(self, name: str) -> tuple[int, ...]:
        """Sides of the chunks of an array."""
        return self.array(name).chunks

    def names(self, group: str) -> list[str]:
        """Names of the arrays in a group; none where there is no such group."""
        if group not in self.group:
            return []
        found = self.group[group]
        assert isinstance(found, zarr.Group)
        with _foreign_files_ignored():
            return sorted(name for name, _ in found.arrays())

    def done(self, index: Any, done: Any = True) -> None:
        """Mark a part as complete, after its data is written; or, again, as not complete."""
        self.array(MASK)[index] = done

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

    Example:
        >>> import tempfile, torch, ntkscope
        >>> model, x = torch.nn.Linear(4, 2), torch.randn(6, 4)
        >>> folder = tempfile.mkdtemp()
        >>> ntkscope.write_ntk(f"{folder}/kernel.zarr", model, x)
        True
        >>> kernels = ntkscope.read_store(f"{folder}/kernel.zarr", "kernels")
        >>> dict(kernels.ntk.sizes), kernels.attrs["kernel"]
        ({'sample': 6, 'sample2': 6}, 'trace')
    """
    import xarray as xr  # 0.4 s, not needed by jobs that train

    store = ZarrStore.open(Path(path), kind)
    try:
        if group is not None and group not in store.group:
            there = ", ".join(sorted(store.group.keys()))
            raise StoreError(f"no group {group!r}", where=path, remedy=f"the store has: {there}")
        with _foreign_files_ignored():
            data: xr.Dataset = xr.open_zarr(
                store.files, group=group, consolidated=False, chunks=None, zarr_format=3
            )
        coords = [c for c in str(store.group.attrs["coordinates"]).split() if c in data]
    except DAMAGED as error:
        raise StoreError(
            f"the store is damaged ({type(error).__name__}: {error})",
            where=path,
            remedy=remake(path),
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


def _open(path: Path, kind: str, files: CheckedStore) -> zarr.Group:
    if not path.exists():
        raise no_such(path, "store")
    try:
        root = zarr.open_group(files, mode="r" if files.read_only else "r+", zarr_format=3)
    except (FileNotFoundError, *DAMAGED) as error:
        if path.is_file() and path.suffix == ".nc":
            raise StoreError(
                "this is a table, and no Zarr store",
                where=path,
                remedy="open it with xarray.open_dataset",
            ) from None
        raise StoreError(
            f"this is no Zarr store, or a damaged one ({type(error).__name__})",
            where=path,
            remedy=f"check the path; if it is a damaged store, {remake(path)}",
        ) from None
    check_kind(path, "store", root.attrs.get("kind"), kind)
    check_place(path, "store", dict(root.attrs))
    if root.attrs.get("format") != FORMAT:
        raise StoreError(
            f"this store has format {root.attrs.get('format')}, "
            f"this version of ntkscope reads {FORMAT}",
            where=path,
            remedy="read it with the version that its attribute `provenance` names, or "
            f"{remake(path)}",
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
    journal = Journal(path)
    for file in files_of(path):
        journal.add(file, fingerprint_of(path / file))


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


def check_place(path: Path, what: str, attrs: Mapping[str, Any]) -> None:
    """Refuse a store or table in the folder of another run or experiment than its attributes name.

    Anywhere else it may lie.

    Raises:
        StoreError: names the run or experiment that it is of.
    """
    for key in ("run", "networks", "regression", "experiment"):
        place, of = path.stem if key == "regression" else path.parent.name, attrs.get(key)
        named = path.parent.parent.name == "experiments" if key == "experiment" else _is_id(place)
        if isinstance(of, str) and named and place != of:
            raise StoreError(f"this is a {what} of {of}", where=path, remedy=replaced(path))


def _is_id(name: str) -> bool:
    return re.fullmatch(r".+-[0-9a-f]{12}", name) is not None


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
        compressors=[*_compressors(array), Crc32cCodec()],
    )


def _compressors(array: Array) -> list[BloscCodec | ZstdCodec]:
    if array.compress == "shuffled":
        size = np.dtype(array.dtype).itemsize
        return [BloscCodec(typesize=size, cname="zstd", clevel=1, blocksize=_SHUFFLED_BYTES)]
    return [ZstdCodec(level=3)] if array.compress else []


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


def _lost(path: Path, what: str) -> StoreError:
    return StoreError(
        what,
        where=path,
        remedy=f"restore its files from a copy of the store, or {remake(path)}",
    )


def _renew(path: Path, again: Path) -> None:
    """Write metadata and coordinates of a store that was begun before again."""
    break_manifest(path)
    journal = Journal(path)
    for file in files_of(again):
        journal.add(file, fingerprint_of(again / file))
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (again / file).replace(path / file)


def _array(root: zarr.Group, name: str) -> zarr.Array[Any]:
    found = root[name]
    assert isinstance(found, zarr.Array)
    return found
