"""Where a job keeps what it needs to go on after it was killed: outside its declared output.

Snakemake deletes declared outputs before a rerun and after a failure. A job therefore builds its
store in a directory of its own, and moves it to the output, whole, in one rename.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

from ntkscope.errors import BusyError
from ntkscope.identity import digest
from ntkscope.stores.atomic_write import atomic, remove_partial_files
from ntkscope.stores.lock import Lock


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
        if self.store.exists():
            shutil.rmtree(self.store)

    def finish(self, output: str | Path) -> None:
        """Move the store, without partial files, to its declared output; remove the directory."""
        self.heartbeat()
        remove_partial_files(self.store)
        output = Path(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.exists():
            shutil.rmtree(output)
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
        """Write a small file whole or not at all, and onto the disk."""
        with atomic(self.folder / name) as partial:
            partial.write_bytes(content)

    def load(self, name: str) -> bytes | None:
        """A file saved before, or None."""
        file = self.folder / name
        return file.read_bytes() if file.exists() else None

    def _forget_others(self) -> None:
        """Throw away what a job of another identity left; its identity last, in case of a kill."""
        known = self.folder / "identity"
        if known.exists() and known.read_text() == self.identity:
            return
        for entry in self.folder.iterdir():
            if entry not in (self._lock.path, known):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.save("identity", self.identity.encode())
