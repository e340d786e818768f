"""Tables as text, for readers: each with a hidden file beside it that has its fingerprint."""

from __future__ import annotations

from pathlib import Path

from ntkscope.errors import StoreError, remake
from ntkscope.stores.atomic_write import atomic
from ntkscope.stores.manifest import fingerprint, fingerprint_of


def write_text(text: str, path: Path) -> None:
    """Write a text file, whole or not at all, and what it is recognised by."""
    content = text.encode("utf-8")
    with atomic(path) as partial:
        partial.write_bytes(content)
    with atomic(_note(path)) as partial:
        partial.write_text(fingerprint(content), encoding="ascii")


def read_text(path: Path) -> str:
    """A text as it was written.

    Raises:
        StoreError: it was changed since.
    """
    if is_changed(path):
        raise StoreError(
            "the text was changed",
            where=path,
            remedy=f"copy it to a folder of yours if the change was yours; then {remake(path)}",
        )
    return path.read_text(encoding="utf-8")


def is_changed(path: Path) -> bool:
    """Whether a text is not as it was written; of one without a note nothing is known."""
    note = _note(path)
    return note.is_file() and note.read_bytes() != fingerprint_of(path).encode()


def is_noted(path: Path) -> bool:
    """Whether what it is recognised by is known."""
    return _note(path).is_file()


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.crc32")
