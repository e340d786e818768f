"""How a job starts: with the code that was planned, which is kept from the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from ntkscope.runtime.planned_code import check_code


@contextmanager
def uncollected_imports() -> Iterator[None]:
    """Import within it what a job needs: its objects stay, so they are never searched for garbage.

    Importing torch makes almost 200,000 objects. Searching them during the import and once more
    when the interpreter ends takes longer than half of the import itself (0.7 of 1.9 s for a job
    that does nothing else). What the job itself makes is collected as ever.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
    check_code()
