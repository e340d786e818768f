"""One writer a folder: a lock whose owner may be on another host, and may be dead.

Whether an owner lives is certain on its own machine (its process) and where SLURM knows its job.
Elsewhere, whatever the scheduler, a lock holds while its file is touched, which a thread of the
owner does. Nobody's clock is asked: who waits counts the looks between which nothing changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ntkscope.errors import BusyError, StoreError
from ntkscope.runtime.logs import log
from ntkscope.runtime.owner import Owner, is_alive, me, owner_of
from ntkscope.stores.atomic_write import PARTIAL

SILENT_SECONDS = 120.0
"""An owner that cannot be asked for is dead after being watched for so long without a sign."""

BREAKING = ".breaking-"
"""How the name of a claim to remove a dead owner's lock begins."""

BEAT_SECONDS = 10.0  # between two signs of life
_WRITING_SECONDS = 5.0  # that a lock file may be without an owner
_LOOK_SECONDS = 2.0  # between two looks at a lock that is waited for, at first
_LONGEST_LOOK = 15  # times as long, at last
_LONGEST = 4096  # bytes of a lock file


@dataclass
class Lock:
    """A lock file.

    Args:
        path: of the file, in the folder that it is for.
    """

    path: Path
    _token: str = field(default="", init=False)
    _ended: threading.Event = field(default_factory=threading.Event, init=False)

    def acquire(self, waiting: Callable[[], None] = lambda: None, *, patient: bool = True) -> None:
        """Take the lock; wait while another has it that lives, or may live.

        Args:
            waiting: called before every look at a lock that is another's.
            patient: whether to wait for an owner that surely lives. For a sign of life of one that
                cannot be asked for is always waited.

        Raises:
            BusyError: this very process has it; or, without patience, another one that lives.
            StoreError: what is there is no file.
            FileNotFoundError: there is no such folder, or no longer.
        """
        mine = me() | {"token": uuid.uuid4().hex}
        watched, told, pause = _Watch(), b"-", _LOOK_SECONDS
        while not self._create(mine):
            waiting()
            seen = self._read()
            if seen is None:
                continue
            silent, alive = watched.look(seen, pause), is_alive(seen.owner)
            certain = alive or watched.has_changed
            if alive is None:
                alive = silent < (SILENT_SECONDS if seen.owner else _WRITING_SECONDS)
            if not alive:
                self._break(seen)
                continue
            if seen.owner and (seen.owner.items() >= me().items() or (certain and not patient)):
                raise self._busy(seen.owner)
            if seen.content != told:
                log.warning("waiting for %s, which has the lock %s", _words(seen.owner), self.path)
                told, pause = seen.content, _LOOK_SECONDS
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_LOOK * _LOOK_SECONDS)

    def release(self) -> None:
        """Remove the lock, if it is this one's."""
        self._ended.set()
        if self.is_mine():
            self.path.unlink(missing_ok=True)

    def is_mine(self) -> bool:
        """Whether it is this lock that is there; of a forked process's copy it is not."""
        seen = self._read()
        if seen is None or seen.owner.get("pid") != os.getpid():
            return False
        return bool(seen.owner.get("token") == self._token)

    def holder(self) -> str | None:
        """Who has the lock, in words; None: nobody, or a process that is dead.

        Raises:
            StoreError: what is there is no file.
        """
        seen = self._read()
        alive = seen is not None and is_alive(seen.owner)
        if seen is None or alive is False:
            return None
        age = max(0.0, time.time() - seen.touched * 1e-9)
        return _words(seen.owner) + ("" if alive else f", last sign of life {age:.0f} s ago")

    def __reduce__(self) -> tuple[type[Lock], tuple[Path]]:
        """A copy holds nothing."""
        return Lock, (self.path,)

    def _create(self, mine: Owner) -> bool:
        """Put the lock there, whole, unless there is one; begin to give signs of life."""
        partial = self.path.with_name(f"{PARTIAL}{mine['token']}-{self.path.name}")
        try:
            partial.write_text(json.dumps(mine), encoding="utf-8")
            if not _move(partial, self.path):
                return False
        finally:
            partial.unlink(missing_ok=True)
        self._token, self._ended = str(mine["token"]), threading.Event()
        handle = os.open(self.path, os.O_RDONLY)  # this file, whatever comes to be at its path
        beat = threading.Thread(target=_give_signs, args=(handle, self._ended), daemon=True)
        try:
            beat.start()
        except RuntimeError:  # no thread begins while the interpreter ends, from Python 3.12 on
            os.close(handle)
            self.release()
            raise
        return True

    def _break(self, seen: _Seen) -> None:
        """Remove a dead owner's lock, unless another did: what is there now may be a living one's.

        Only who has locked the file itself may remove it, so it stays between look and removal.
        """
        try:
            file = self.path.open("r+b" if os.access(self.path, os.W_OK) else "rb")
        except FileNotFoundError:
            return
        with file:
            claim = self._claim(file.fileno(), seen)
            try:
                same = os.path.samestat(os.fstat(file.fileno()), self.path.lstat())
                if same and self._read() == seen:
                    self.path.unlink(missing_ok=True)
            except FileNotFoundError:
                return
            finally:
                if claim is not None:
                    claim.rmdir()

    def _claim(self, handle: int, seen: _Seen) -> Path | None:
        """Wait to be the only one to break this lock; where its disk locks no files, be the first.

        Raises:
            BusyError: another was the first, and perhaps was killed there.
        """
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            return None
        except OSError:
            claim = self.path.with_name(f"{BREAKING}{sha256(seen.content).hexdigest()[:16]}")
            try:
                claim.mkdir()
            except FileExistsError:
                raise self._busy(seen.owner) from None
            return claim

    def _read(self) -> _Seen | None:
        """What is there, or None.

        Raises:
            StoreError: it is no file.
        """
        try:
            status = self.path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(
                    "this should be a lock, which is a file",
                    where=self.path,
                    remedy="nothing of ntkscope's makes such a thing: move it away",
                )
            with self.path.open("rb") as file:  # which also has NFS ask for its time anew
                content, touched = file.read(_LONGEST), os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return None
        return _Seen(owner_of(content), content, touched)

    def _busy(self, owner: Owner) -> BusyError:
        return BusyError(
            f"{_words(owner)} is already writing this output",
            where=self.path.parent,
            remedy=f"let it finish or end it; if it is surely dead, delete {self.path}",
        )


@dataclass(frozen=True)
class _Seen:
    """A lock file: its owner ({} where it does not say one), its bytes, its last sign of life."""

    owner: Owner
    content: bytes
    touched: int


class _Watch:
    """How long a lock has been watched without a change.

    By looks, each of which counts for little: a disk that did not answer, or a machine that slept,
    says nothing of the owner.
    """

    def __init__(self) -> None:
        self._seen: _Seen | None = None
        self._silent, self._last = 0.0, time.monotonic()
        self.has_changed = False

    def look(self, seen: _Seen, pause: float) -> float:
        """Seconds without a sign; `pause` is about what a look should have taken."""
        now = time.monotonic()
        if seen != self._seen:
            is_same = self._seen is not None and seen.content == self._seen.content
            self.has_changed = is_same and seen.owner != {}
            self._seen, self._silent = seen, 0.0
        else:
            self._silent += min(now - self._last, 2 * pause)
        self._last = now
        return self._silent


def _move(partial: Path, path: Path) -> bool:
    """Give a file another name, unless it is taken: by a link, for no rename refuses."""
    try:
        os.link(partial, path)
        return True
    except FileExistsError:
        return False
    except FileNotFoundError:
        raise
    except OSError:  # a disk without links
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(handle, "wb") as file:
            file.write(partial.read_bytes())
        return True


def _give_signs(handle: int, ended: threading.Event) -> None:
    """Touch a lock file until its owner is done, whatever else the owner does meanwhile."""
    try:
        while not ended.wait(BEAT_SECONDS):
            with suppress(OSError):
                os.utime(handle)
    finally:
        os.close(handle)


def _words(owner: Owner) -> str:
    if not owner:
        return "a process that it does not name"
    job = f" (SLURM job {owner['slurm_job']})" if "slurm_job" in owner else ""
    return f"process {owner['pid']} on {owner['host']}{job}"
