"""Where a job keeps what it needs to go on after it was killed: outside its declared output.

Snakemake deletes declared outputs before a rerun and after a failure. A job therefore builds its
store in a directory of its own, and moves it to the output, whole, in one rename.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from ntkscope.errors import BusyError
from ntkscope.identity import digest
from ntkscope.runtime.logs import log
from ntkscope.stores.atomic_write import atomic, remove
from ntkscope.stores.lock import Lock
from ntkscope.stores.seal import seal, unseal

_BEFORE = ".before"
"""After the name of what was saved before the last."""


class JobDirectory:
    """The folder of one job, locked while the job lives.

    Args:
        folder: its place, e.g. `results/runs/{run}/.snapshots.state`.
        identity: all that the result depends on (spec, source digest, …); what an earlier job with
            another identity left there is thrown away.

    Raises:
        BusyError: another living process has the folder.
    """

    def __init__(self, folder: str | Path, identity: Any) -> None:
        self.folder = Path(folder)
        self.identity = digest(identity, 64)
        self._lock = Lock(self.folder / "lock.json")

    def __enter__(self) -> JobDirectory:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        self._forget_others()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    @property
    def store(self) -> Path:
        """The store being built."""
        return self.folder / "store.zarr"

    def clear_store(self) -> None:
        """Remove a store begun by a job that was killed before its first checkpoint."""
        remove(self.store)

    def finish(self, output: str | Path) -> None:
        """Move the store, which is sealed, to its declared output; remove the directory."""
        self.heartbeat()
        output = Path(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        remove(output)
        self.store.replace(output)
        shutil.rmtree(self.folder)

    def heartbeat(self) -> None:
        """Show that this job lives, and make sure that no other has taken its place.

        Raises:
            BusyError: the lock is another's.
        """
        if not self._lock.is_mine():
            raise BusyError(
                "another process has taken over this job", where=self.folder, remedy="let it finish"
            )
        self._lock.touch()

    def save(self, name: str, content: bytes) -> None:
        """Write a small file whole or not at all, and onto the disk; the one before stays too."""
        file, before = self.folder / name, self.folder / f"{name}{_BEFORE}"
        with atomic(file) as partial:
            partial.write_bytes(seal(content, self.identity))
            if file.is_file():
                file.replace(before)

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

    def _forget_others(self) -> None:
        """Throw away what a job of another identity left; its identity last, in case of a kill."""
        known = self.folder / "identity"
        if known.is_file() and known.read_bytes() == self.identity.encode():
            return
        left = [entry for entry in self.folder.iterdir() if entry != self._lock.path]
        if left:
            log.warning("%s is of another job, or damaged: this job begins anew", self.folder)
        for entry in left:
            remove(entry)
        with atomic(known) as partial:
            partial.write_text(self.identity)
