"""A seal: the CRC-32 of all that is before it, at the end of a file."""

from __future__ import annotations

import zlib

_SEAL = b"\ncrc32 %08x\n"
_LENGTH = len(_SEAL % 0)


def seal(content: bytes, owner: str = "") -> bytes:
    """Content and its seal.

    Args:
        content: of a file.
        owner: whose file it is: with the seal of another's, it is not intact.
    """
    return content + _SEAL % zlib.crc32(content, zlib.crc32(owner.encode()))


def is_sealed(content: bytes) -> bool:
    """Whether there is a seal at the end, broken or not."""
    return content[-_LENGTH:][:7] == _SEAL[:7]


def unseal(content: bytes, owner: str = "") -> bytes | None:
    """The content before the seal; None: there is no seal, or it is broken."""
    inside = content[:-_LENGTH]
    return inside if seal(inside, owner) == content else None
