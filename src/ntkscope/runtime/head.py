"""Which Snakemake has a working folder, so that the next one need not be told to unlock it.

Snakemake's own locks do not say whose they are: after a killed head each call wants `--unlock`.
Here each head signs the lock files that it made, and locks whose signers are all dead are removed.
Others stay: a living head's, and those of which nobody knows.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from ntkscope.runtime.owner import Owner, is_alive, me, owner_of

_SNAKEMAKE = Path(".snakemake")

_Signed: TypeAlias = dict[str, list[Owner]]
"""A lock file, as it is told from others of its name → who may have made it."""

Lock: TypeAlias = Callable[[], AbstractContextManager[None]]


def sign_locks(folder: Path = _SNAKEMAKE) -> None:
    """Sign Snakemake's locks as this process's: when it has made them, before the first job.

    Args:
        folder: Snakemake's own.
    """
    with _signed(folder) as signed:
        others = {
            name
            for name, owners in signed.items()
            if any(is_alive(each) is not False for each in owners)
        }
        for name in _locks(folder):
            if name not in others:
                signed[name] = [me()]
            elif me() not in signed[name]:
                signed[name].append(me())


def signing(lock: Lock, folder: Path = _SNAKEMAKE) -> Lock:
    """Snakemake's way to lock its folder, which signs as soon as there are locks.

    Args:
        lock: `lock` of its persistence; what it has instead makes no locks, and is given back.
        folder: Snakemake's own.
    """

    @contextmanager
    def signed() -> Iterator[None]:
        with lock():
            sign_locks(folder)
            yield

    return signed if lock.__name__ == "lock" else lock


def remove_dead_locks(folder: Path = _SNAKEMAKE) -> bool:
    """Remove Snakemake's locks whose makers are surely dead; whether there were any.

    Args:
        folder: Snakemake's own.
    """
    if not any(_locks(folder)):
        return False
    with _signed(folder) as signed:
        dead = [
            file
            for name, file in _locks(folder).items()
            if name in signed and all(is_alive(owner) is False for owner in signed[name])
        ]
        for file in dead:
            file.unlink(missing_ok=True)
    return bool(dead)


def interrupted_in_words() -> None:
    """From now on, Ctrl-C while there are no jobs yet ends this process without a traceback."""
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("interrupted: the same command goes on", file=sys.stderr)
        else:
            usual(kind, error, trace)

    sys.excepthook = hook


def head_in_words(folder: Path = _SNAKEMAKE) -> str:
    """Which Snakemake has the working folder, and whether it lives; nothing where none has.

    Args:
        folder: Snakemake's own.
    """
    locks = _locks(folder)
    if not locks:
        return ""
    signed = _known(_read(folder / "heads.json"))
    owners = [owner for name in locks for owner in signed.get(name, [{}])]
    known = {is_alive(owner): owner for owner in owners}
    if True in known:
        return f"Snakemake runs here ({_words(known[True])})"
    if None not in known:
        return "Snakemake was killed here, and the next command goes on from there"
    who = f" ({_words(known[None])})" if known[None] else ""
    return (
        f"Snakemake runs here or was killed{who}, which nobody here knows; "
        "if it does not run: snakemake --unlock"
    )


def _words(owner: Owner) -> str:
    return f"process {owner['pid']} on {owner['host']}"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _locks(folder: Path) -> dict[str, Path]:
    """Lock files, by what tells them from any other that has or had the same name."""
    found = {}
    for file in sorted((folder / "locks").glob("*.lock")):
        with suppress(FileNotFoundError):  # its Snakemake ends meanwhile
            status = file.stat()
            found[f"{file.name} {status.st_ino} {status.st_mtime_ns}"] = file
    return found


@contextmanager
def _signed(folder: Path) -> Iterator[_Signed]:
    """Who signed which locks: read, and written at the end, by one process at a time."""
    with (folder / "heads.json").open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        signed = _known(file.read())
        yield signed
        there = _locks(folder)
        file.truncate(0)
        json.dump({name: owners for name, owners in signed.items() if name in there}, file)
        file.flush()
        os.fsync(file.fileno())


def _known(text: str) -> _Signed:
    """The content of the file, as far as it is valid."""
    try:
        signed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(signed, dict) or not all(isinstance(each, list) for each in signed.values()):
        return {}
    return {name: [owner_of(json.dumps(each).encode()) for each in signed[name]] for name in signed}
