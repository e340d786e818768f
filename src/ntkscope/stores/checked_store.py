"""A Zarr store on the disk that knows what each of its files should be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from ntkscope.errors import StoreError, remake
from ntkscope.stores.manifest import METADATA, Journal, break_manifest, fingerprint


class CheckedStore(LocalStore):  # type: ignore[misc, unused-ignore]
    """A store whose files are compared with a manifest as they are read.

    Args:
        root: its folder.
        read_only: whether it is.
        manifest: file → fingerprint; None: nothing is known, and nothing compared.
        written: what is known of files written or looked at since; shared by copies.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        read_only: bool = False,
        manifest: Mapping[str, str] | None = None,
        written: dict[str, str] | None = None,
    ) -> None:
        super().__init__(root, read_only=read_only)
        self.manifest = manifest
        self.written = {} if written is None else written
        self._unsynced: set[str] = set()
        self._first = True
        self._journal = Journal(self.root)

    def with_read_only(self, read_only: bool = False) -> Self:
        """The same store, read only or not."""
        return type(self)(
            self.root, read_only=read_only, manifest=self.manifest, written=self.written
        )

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """A file's content, as the manifest says it is."""
        return self._checked(key, await super().get(key, prototype, byte_range), byte_range)

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """As `get`."""
        found = super().get_sync(key, prototype=prototype, byte_range=byte_range)
        return self._checked(key, found, byte_range)

    async def _set(self, key: str, value: Buffer, exclusive: bool = False) -> None:
        self._note(key, value)
        await super()._set(key, value, exclusive)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Write a file, after its fingerprint is in the journal."""
        self._note(key, value)
        super().set_sync(key, value)

    def sync(self) -> None:
        """What was written is on the disk after this, its journal too."""
        files = {self.root / key for key in self._unsynced}
        self._unsynced.clear()
        folders = {file.parent for file in files}
        for place in (*files, self._journal.path, *folders):
            if place.exists():
                handle = os.open(place, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    def _checked(
        self, key: str, found: Buffer | None, byte_range: ByteRequest | None
    ) -> Buffer | None:
        if self.manifest is None or byte_range is not None:
            return found
        expected = self.manifest.get(key)
        known = None if found is None else fingerprint(found.as_buffer_like())
        if known == expected:
            return found
        what = "is lost" if known is None else "is damaged"
        raise damaged(self.root, f"{key} {what if expected else 'is none of its files'}")

    def expect(self, key: str, known: str) -> None:
        """A chunk of this fingerprint is about to be in its place."""
        self.written[key] = known
        self._journal.add(key, known)

    def _note(self, key: str, value: Any) -> None:
        if self._first:
            break_manifest(self.root)
            self._first, self.manifest = False, None
        self._unsynced.add(key)
        if not key.endswith(METADATA):
            self.expect(key, fingerprint(value.as_buffer_like()))


def damaged(store: Path, what: str) -> StoreError:
    """The error of a store that is not as it was written."""
    return StoreError(
        f"the store is damaged: {what}",
        where=store,
        remedy=remake(store),
    )
