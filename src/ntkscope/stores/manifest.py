"""Fingerprints of a store's files: journals of one being written, the manifest of a finished one.

Both lie where Zarr does not look, in the folder of the completion mask.

A line is `{CRC-32} {bytes} {file}`. A chunk's is in a journal before the chunk is in its place, so
that a chunk without one, after a kill or a crash of the machine, is known not to be whole. A
manifest has a line for every file, metadata too, and ends in a seal.
"""

from __future__ import annotations

import errno
import os
import uuid
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ntkscope.errors import StoreError, remake
from ntkscope.stores.atomic_write import atomic, remove
from ntkscope.stores.seal import seal, unseal

MASK = "complete"
"""The array that says which parts of a store are complete."""

MANIFEST = Path(MASK, "manifest")
_JOURNAL = "journal-"
METADATA = "zarr.json"


def fingerprint(content: Any) -> str:
    """CRC-32 and number of bytes, of anything with a buffer."""
    view = memoryview(content)
    return f"{zlib.crc32(view):08x} {view.nbytes}"


def fingerprint_of(file: Path) -> str:
    """Of a file; of none that is lost."""
    try:
        return fingerprint(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return "lost"


def files_of(store: Path) -> Iterator[str]:
    """The files of a store, in order: metadata and chunks, relative to it."""
    root = f"{store}/"  # strings: stores have thousands of files, and each job lists them
    for folder, _, names in os.walk(root):
        inside = folder.removeprefix(root).replace(os.sep, "/")
        of_chunks = "c" in inside.split("/")
        for name in sorted(names):
            is_chunk = (of_chunks or name == "c") and not name.endswith(".partial")
            if name == METADATA or is_chunk:
                yield f"{inside}/{name}" if inside else name


def read_manifest(store: Path) -> dict[str, str] | None:
    """File → fingerprint, of a finished store; None: it has no manifest.

    Raises:
        StoreError: the manifest is damaged.
    """
    try:
        content = unseal((store / MANIFEST).read_bytes(), MANIFEST.as_posix())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        content = None
    if content is None:
        raise StoreError(
            f"{MANIFEST}, the list of the store's files, is damaged",
            where=store,
            remedy=remake(store),
        )
    return dict(_lines(content))


def write_manifest(store: Path, known: Mapping[str, str]) -> None:
    """Finish a store: its manifest, of these files, replaces its journals."""
    lines = [f"{found} {file}\n" for file, found in sorted(known.items())]
    with atomic(store / MANIFEST, shared=True) as partial:
        partial.write_bytes(seal("".join(lines).encode(), MANIFEST.as_posix()))
    for journal in (store / MASK).glob(f"{_JOURNAL}*"):
        remove(journal)


def break_manifest(store: Path) -> None:
    """Make a finished store one that is being written: its manifest becomes a journal."""
    if (store / MANIFEST).is_file():
        (store / MANIFEST).replace(store / MASK / f"{_JOURNAL}finished")
    remove(store / MANIFEST)


def read_journals(store: Path) -> dict[str, set[str]]:
    """File → the fingerprints that it may have, of a store being written, or of a finished one."""
    found: dict[str, set[str]] = {}
    for journal in (store / MASK).glob(f"{_JOURNAL}*"):
        for file, known in _lines(_content(journal)):
            found.setdefault(file, set()).add(known)
    for file, known in (read_manifest(store) or {}).items():  # last: who seals removes journals
        found.setdefault(file, set()).add(known)
    return found


def _content(journal: Path) -> bytes:
    """Of a journal; nothing of one that is none, or is gone."""
    try:
        return journal.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return b""


class Journal:
    """This process's journal of a store; opened when there is something to say."""

    def __init__(self, store: Path) -> None:
        self._begin(store / MASK)

    def _begin(self, folder: Path) -> None:
        self.path = folder / f"{_JOURNAL}{uuid.uuid4().hex}"

    def add(self, file: str, known: str) -> None:
        """A line, in one write.

        Raises:
            OSError: the disk had no room for all of it.
        """
        line = f"{known} {file}\n".encode()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            handle = os.open(self.path, flags, 0o666)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, flags, 0o666)
        try:
            if os.write(handle, line) != len(line):
                self._begin(self.path.parent)  # the next line would go on in this one
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path.parent))
        finally:
            os.close(handle)


def _lines(content: bytes) -> Iterator[tuple[str, str]]:
    """File and fingerprint of each line that is one; a kill may have cut the last."""
    for line in content.decode("utf-8", errors="replace").splitlines():
        crc, _, rest = line.partition(" ")
        size, _, file = rest.partition(" ")
        if file:
            yield file, f"{crc} {size}"
