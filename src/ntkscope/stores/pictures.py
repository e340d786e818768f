"""Pictures: whether a PDF or PNG has its beginning and its end, as no emptied or cut one has."""

from __future__ import annotations

import os
from pathlib import Path

_ENDS = {
    ".pdf": (b"%PDF-", b"%%EOF"),
    ".png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
}
PICTURES = frozenset(_ENDS)
"""Suffixes of what is looked at."""


def is_whole(file: Path) -> bool:
    """Whether a picture begins and ends as one of its suffix does; True of other files."""
    if file.suffix not in _ENDS:
        return True
    first, last = _ENDS[file.suffix]
    with file.open("rb") as content:
        begins = content.read(len(first)) == first
        content.seek(max(0, file.stat().st_size - len(last) - 2), os.SEEK_SET)
        return begins and content.read().rstrip(b"\r\n").endswith(last)
