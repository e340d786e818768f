"""Files and folders that appear whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from ntkscope.runtime.owner import machine, started

PARTIAL = ".partial-"
"""How the name of what is being written begins."""

_AGAIN = f"{PARTIAL}again-"
_LONGEST_WRITE = 600.0  # seconds: what is written by `atomic` is small, or only allocated


@contextmanager
def atomic(path: str | Path, *, shared: bool = False) -> Iterator[Path]:
    """A path beside `path` to write a file or folder to; it is moved to `path` at the end.

    A file is on the disk before it is moved, and replaces one that is there. After an error
    nothing is moved, and nothing stays.

    Args:
        path: the place; its folder is made.
        shared: several processes may do this at once with the same folder: the first one's stays.

    Raises:
        OSError: `path` is a folder that is there already, and not shared.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_of_dead(path)
    # A process whose workflow was killed may live on, and write the same. (Its suffix stays, which
    # tells some writers a format.)
    partial = path.with_name(f"{PARTIAL}{_writer()}-{uuid.uuid4().hex}-{path.name}")
    try:
        yield partial
        _move(partial, path, shared)
    except BaseException:
        remove(partial)
        raise


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A path beside `path` for something that is gone at the end."""
    partial = path.with_name(f"{_AGAIN}{path.name}")
    remove(partial)
    try:
        yield partial
    finally:
        remove(partial)


def remove_partial_files(path: Path, *, shared: bool = False) -> None:
    """Remove what writers of a store that were killed left in it and beside it: call it at the end.

    Args:
        path: of the store.
        shared: others may write it at the same time, as no lock forbids.

    Zarr writes `0.{uuid}.partial` and renames it to `0`: a kill between the two leaves it there.
    What another living process of this machine writes by `atomic`, which may be at its end too, is
    left; of another machine's nobody here knows whether it lives. So of a shared store what
    another machine has begun in the last ten minutes is left too; so is that of another thread.
    """
    for chunk in path.rglob("*.partial"):
        chunk.unlink(missing_ok=True)
    for partial in (*path.rglob(f"{PARTIAL}*"), *_beside(path)):
        pid = _pid_here(partial)
        if pid is not None and pid != os.getpid():
            is_dead = started(pid) < 0
        else:
            is_dead = not shared or _age(partial) > _LONGEST_WRITE
        if is_dead or partial.name.startswith(_AGAIN):
            remove(partial)


def _age(file: Path) -> float:
    """Seconds since a file was written, by the clock of its disk; of one that has gone, 0."""
    now = file.with_name(f"{PARTIAL}{_writer()}-{uuid.uuid4().hex}-now")
    try:
        now.touch()
        return now.stat().st_mtime - file.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        now.unlink(missing_ok=True)


def _writer(pid: int | None = None) -> str:
    """This process, or another of this machine, in letters for a file's name."""
    who = os.getpid() if pid is None else pid
    return f"{sha256(machine().encode()).hexdigest()[:8]}-{who}"


def _remove_of_dead(path: Path) -> None:
    """Remove what writers of this file that were killed on this machine left beside it."""
    for partial in _beside(path):
        pid = _pid_here(partial)
        if pid is not None and started(pid) < 0:
            remove(partial)


def _beside(path: Path) -> list[Path]:
    """What is, or was, being written beside a path to be moved there, of `atomic` and `beside`."""
    found = path.parent.glob(f"{PARTIAL}*-{glob.escape(path.name)}")
    names = {f"{_AGAIN}{path.name}"}
    return [each for each in found if each.name in names or _name_of(each) == path.name]


def _name_of(partial: Path) -> str:
    """What a file of `atomic` is to be called; it may have dashes."""
    return (*partial.name.removeprefix(PARTIAL).split("-", 3), "", "", "")[3]


def _pid_here(partial: Path) -> int | None:
    """The process of this machine that writes, or wrote, a file; None: it is of another machine."""
    pid = (*partial.name.removeprefix(PARTIAL).split("-"), "")[1]
    is_here = pid.isdigit() and partial.name.startswith(f"{PARTIAL}{_writer(int(pid))}-")
    return int(pid) if is_here else None


def _move(partial: Path, path: Path, shared: bool) -> None:
    if partial.is_dir():
        try:
            partial.rename(path)
        except OSError:
            if not (shared and path.is_dir()):
                raise
            shutil.rmtree(partial)
        return
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
