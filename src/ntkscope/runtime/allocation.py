"""How much freed memory the C library keeps for the next allocation, for the whole process."""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_REQUESTS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")

_kept = {"bytes": 0}  # so far


def retain_freed_memory(block: int, total: int) -> None:
    """Have glibc keep freed blocks, instead of giving them back to the system.

    Each pass allocates what the pass before has freed. Mapping it anew costs a page fault for every
    4 kB: glibc itself keeps blocks of up to 32 MB and 64 MB in all, and where a pass took a little
    more, convolutions took 1.5 times as long.

    It cannot be undone; it is never made less. Does nothing without glibc, or where the user has
    set glibc's own variables.

    Args:
        block: bytes of the largest blocks to keep.
        total: bytes to keep in all, about.
    """
    if total <= _kept["bytes"]:
        return
    _kept["bytes"] = total
    requested = any(name in os.environ for name in _REQUESTS)
    if requested or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, block)
    mallopt(_M_TRIM_THRESHOLD, total)
