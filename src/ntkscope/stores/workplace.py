"""Where a job keeps what it needs to go on after it was killed: outside its declared output.

Snakemake deletes declared outputs before a rerun and after a failure. A job therefore builds its
store in a workplace, and moves it to the output, whole, in one rename.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from ntkscope.errors import BusyError
from ntkscope.identity import digest
from ntkscope.stores.zarr_store import tidy

STALE_SECONDS = 600.0


class Workplace:
    """The folder of one job, locked while the job lives.

    Args:
        folder: its place, e.g. `results/.state/runs/{run}`.
        identity: all that the result depends on (spec, source digest, …); what an earlier job with
            another identity left there is thrown away.

    Raises:
        BusyError: another living process has the folder.
    """

    def __init__(self, folder: str | Path, identity: Any) -> None:
        self.folder = Path(folder)
        self.identity = digest(identity, 64)
        self._lock = self.folder / "lock.json"

    def __enter__(self) -> Workplace:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._acquire()
        self._forget_others()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_mine():
            self._lock.unlink(missing_ok=True)

    @property
    def store(self) -> Path:
        """The store being built."""
        return self.folder / "store.zarr"

    def clear_store(self) -> None:
        """Remove a store begun by a job that was killed before its first checkpoint."""
        if self.store.exists():
            shutil.rmtree(self.store)

    def finish(self, output: str | Path) -> None:
        """Move the store, tidied, to its declared output and remove the workplace."""
        self.beat()
        tidy(self.store)
        output = Path(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.exists():
            shutil.rmtree(output)
        self.store.replace(output)
        shutil.rmtree(self.folder)

    def beat(self) -> None:
        """Show that this job lives, and make sure that no other has taken its place.

        Raises:
            BusyError: the lock is another's.
        """
        if not self._is_mine():
            raise BusyError(
                "another process has taken over this job", where=self.folder, remedy="let it finish"
            )
        os.utime(self._lock)

    def save(self, name: str, content: bytes) -> None:
        """Write a small file whole or not at all, and onto the disk."""
        partial = self.folder / f"{name}.partial"
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / name)

    def load(self, name: str) -> bytes | None:
        """A file saved before, or None."""
        file = self.folder / name
        return file.read_bytes() if file.exists() else None

    def _acquire(self) -> None:
        mine = _me()
        while True:
            try:
                handle = os.open(self._lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                self._break_lock_of_the_dead()
                continue
            with os.fdopen(handle, "w") as file:
                json.dump(mine, file)
            return

    def _break_lock_of_the_dead(self) -> None:
        try:
            owner = json.loads(self._lock.read_text())
            age = time.time() - self._lock.stat().st_mtime
        except FileNotFoundError:
            return
        except json.JSONDecodeError:
            owner, age = {}, time.time() - self._lock.stat().st_mtime
        if _alive(owner, age):
            raise BusyError(
                f"process {owner.get('pid')} on {owner.get('host')} is already writing this output",
                where=self.folder,
                remedy=f"let it finish or end it; if it is surely dead, delete {self._lock}",
            )
        self._lock.unlink(missing_ok=True)

    def _is_mine(self) -> bool:
        try:
            return bool(json.loads(self._lock.read_text()) == _me())
        except (FileNotFoundError, json.JSONDecodeError):
            return False

    def _forget_others(self) -> None:
        """Throw away what a job of another identity left; its identity last, in case of a kill."""
        known = self.folder / "identity"
        if known.exists() and known.read_text() == self.identity:
            return
        for entry in self.folder.iterdir():
            if entry not in (self._lock, known):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.save("identity", self.identity.encode())


def _me() -> dict[str, Any]:
    process = psutil.Process()
    return {"pid": process.pid, "host": socket.gethostname(), "started": process.create_time()}


def _alive(owner: dict[str, Any], age: float) -> bool:
    """Whether a lock's owner lives: exactly on this host, by its last sign of life on another."""
    if not owner:
        return age < 5.0
    if owner["host"] != socket.gethostname():
        return age < STALE_SECONDS
    try:
        return bool(abs(psutil.Process(owner["pid"]).create_time() - owner["started"]) < 1.0)
    except psutil.NoSuchProcess:
        return False
