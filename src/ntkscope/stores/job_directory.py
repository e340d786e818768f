"""Where a job keeps what it needs to go on after it was killed: outside its declared output.

Snakemake deletes declared outputs before a rerun and after a failure. A job therefore builds its
store in a directory of its own, and moves it to the output, whole, in one rename.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ntkscope.errors import BusyError, MadeMeanwhileError, StoreError
from ntkscope.identity import digest
from ntkscope.runtime.disk import disk_errors
from ntkscope.runtime.logs import log
from ntkscope.runtime.signals import Ending
from ntkscope.stores.atomic_write import PARTIAL, atomic, remove
from ntkscope.stores.lock import BREAKING, Lock
from ntkscope.stores.seal import seal, unseal
from ntkscope.stores.zarr_store import lacking_bytes

_BEFORE = ".before"
"""After the name of what was saved before the last."""

_STARTS_OF_NAMES = (PARTIAL, BREAKING)
"""Of files that a process which was killed may leave before there is an identity."""

_MOVED = "moved"  # the store goes to the output after this is here


class JobDirectory:
    """The folder of one job, locked while the job lives.

    Where another living process has the folder, `with` waits for it. Asked to end (SIGTERM,
    Ctrl-C), a job ends at its next sign of life, after what it saves there.

    Args:
        folder: its place, e.g. `results/runs/{run}/.snapshots.state`.
        identity: all that the result depends on (spec, source digest, …); what an earlier job with
            another identity left there is thrown away.

    Raises:
        BusyError: this process has the folder already.
        MadeMeanwhileError: the process that was waited for has made the same.
        StoreError: the folder is none of a job's, or nothing can be written there.
    """

    def __init__(self, folder: str | Path, identity: Any) -> None:
        self.folder = Path(folder)
        self.identity = digest(identity, 64)
        self._lock = Lock(self.folder / "lock.json")
        self._theirs = ""  # the identity of the job that is waited for
        self._ending = Ending()
        self._saved = time.monotonic()

    def __enter__(self) -> JobDirectory:
        with disk_errors(self.folder):
            self._take()
            try:
                self._forget_others()
            except BaseException:
                self._lock.release()
                raise
        self._ending.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.__exit__()
        self._lock.release()
        if isinstance(error, OSError):
            with disk_errors(self.store, lambda: lacking_bytes(self.store)):
                raise error

    @property
    def store(self) -> Path:
        """The store being built."""
        return self.folder / "store.zarr"

    def clear_store(self) -> None:
        """Remove a store begun by a job that was killed before its first checkpoint."""
        remove(self.store)

    def finish(self, output: str | Path) -> None:
        """Move the store, which is sealed, to its declared output; remove the directory."""
        self._check_lock()
        self.save(_MOVED, b"")
        output = Path(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        remove(output)
        self.store.replace(output)
        # At once, as who waits for the lock sees by it that the output is there.
        done = self.folder.with_name(f"{self.folder.name}.{uuid.uuid4().hex}.done")
        self.folder.replace(done)
        shutil.rmtree(done, ignore_errors=True)

    def heartbeat(self) -> None:
        """Make sure that no other has taken this job's place, and end if that was asked for.

        All that was done so far must be in the store, or saved.

        Raises:
            BusyError: the lock is another's.
            SystemExit, KeyboardInterrupt: that was asked for.
        """
        self._check_lock()
        self._ending.obey()

    def is_due(self, seconds: float) -> bool:
        """Whether to save: this was asked to end, or saved last so many seconds ago."""
        return self._ending.is_asked or time.monotonic() - self._saved >= seconds

    def save(self, name: str, content: bytes) -> None:
        """Write a small file whole or not at all, and onto the disk; the one before stays too.

        Raises:
            BusyError: the lock is another's.
        """
        self._check_lock()
        file, before = self.folder / name, self.folder / f"{name}{_BEFORE}"
        with atomic(file) as partial:
            partial.write_bytes(seal(content, self.identity))
            if file.is_file():
                file.replace(before)
        self._saved = time.monotonic()

    def saved(self, name: str) -> Iterator[bytes]:
        """What was saved, the last first; what is damaged, or another job's, is left out."""
        for file in (self.folder / name, self.folder / f"{name}{_BEFORE}"):
            if not file.is_file():
                continue
            content = unseal(file.read_bytes(), self.identity)
            if content is None:
                log.warning("%s is damaged: going on from what was saved before it", file)
            else:
                yield content

    def _take(self) -> None:
        """Get the lock; the folder of a job that is waited for goes when that is done."""
        if self.folder.is_symlink():
            raise StoreError(
                "a job's folder is a symbolic link; what it leads to may be anybody's",
                where=self.folder,
                remedy="remove the link: a job makes its folder itself",
            )
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                self._lock.acquire(self._look)
                return
            if self._theirs == self.identity:
                raise MadeMeanwhileError(
                    "another process has made the same meanwhile", where=self.folder.parent
                )

    def _look(self) -> None:
        with suppress(OSError):
            self._theirs = self._known.read_text("utf-8")

    def _check_lock(self) -> None:
        if not self._lock.is_mine():
            raise BusyError(
                "another process has taken over this job", where=self.folder, remedy="let it finish"
            )

    def _is_moved(self) -> bool:
        """Whether what is here belonged to a store that is no longer here."""
        moved = (self.folder / _MOVED).exists()
        if moved and self.store.is_dir():  # killed before it
            (self.folder / _MOVED).unlink()
            return False
        return moved

    @property
    def _known(self) -> Path:
        return self.folder / "identity"

    def _forget_others(self) -> None:
        """Throw away what a job of another identity left; its identity last, in case of a kill.

        Also what is left of a job that was killed after it had moved its store to the output.
        """
        found = [each for each in self.folder.iterdir() if each != self._lock.path]
        if self._known.is_file() and self._known.read_bytes() == self.identity.encode():
            if not self._is_moved():
                return
        elif not {self._known, self.store} & {*found}:
            for entry in found:
                if not entry.name.startswith(_STARTS_OF_NAMES):
                    raise _strange(entry)
        if found:
            log.warning("%s is of another job, or damaged: this job begins anew", self.folder)
        for entry in found:
            remove(entry)
        with atomic(self._known) as partial:
            partial.write_text(self.identity, encoding="utf-8")


def _strange(entry: Path) -> StoreError:
    return StoreError(
        f"this is no folder of a job: it has no store and no `identity`, but {entry.name!r}",
        where=entry.parent,
        remedy="give a folder that is empty or not there; a job's own that is damaged, delete",
    )
