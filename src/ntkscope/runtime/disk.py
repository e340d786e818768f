"""A disk that is full or cannot be written to, as an error that says which, and what to do."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ntkscope.errors import DiskError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def disk_errors(place: Path, needed: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """Within it, what the disk refuses is a `DiskError`.

    Args:
        place: what is written.
        needed: tells, once there is an error, how many bytes more it takes; 0: unknown.

    Raises:
        DiskError: the disk is full, or reading or writing is not allowed.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _full(Path(error.filename or place), needed()) from error
        if error.errno in _CLOSED:
            raise _closed(Path(error.filename or place), error) from error
        raise


def check_space(place: Path, needed: int) -> None:
    """Refuse to begin what the disk has no room for.

    Args:
        place: what is to be made, of which nothing is there.
        needed: its bytes, at least.

    Raises:
        DiskError: the disk has less.
    """
    if shutil.disk_usage(existing(place)).free < needed:
        raise _full(place, needed)


def check_writable(places: Iterable[Path]) -> None:
    """Refuse to begin what could not be written.

    Args:
        places: folders to write to, which may not be there yet.

    Raises:
        DiskError: names the first one where nothing can be written.
    """
    for folder in dict.fromkeys(existing(place) for place in places):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _closed(folder, OSError(_why_closed(folder), ""))


def existing(path: Path) -> Path:
    """A path, or the first folder above it that is there."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())


def _full(place: Path, needed: int) -> DiskError:
    there = existing(place)
    free = shutil.disk_usage(there).free
    more = f"{_megabytes(needed)} are needed, " if needed else ""
    return DiskError(
        f"the disk is full: {more}{_megabytes(free)} are free on {_mount(there)}, "
        "unless a quota is used up",
        where=place,
        remedy="make room there, then give the same command: it goes on where this ended",
    )


def _closed(place: Path, error: OSError) -> DiskError:
    what = "nothing can be written here" if place.is_dir() else "this may not be read or written"
    return DiskError(
        f"{what}: {os.strerror(error.errno or 0).lower()}",
        where=place,
        remedy="allow it to yourself, or run the workflow where you may",
    )


def _why_closed(folder: Path) -> int:
    return errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES


def _mount(path: Path) -> Path:
    """The folder at which a path's disk begins."""
    path = path.resolve()
    return next(each for each in (path, *path.parents) if each.is_mount())


def _megabytes(size: int) -> str:
    return f"{-(-size // 10**6):,} MB" if size > 10**6 else f"{size / 1e6:.1f} MB"
