"""One writer a folder: a lock whose owner may be on another host, and may be dead.

Whether an owner lives is certain on its own host (process id and start time) and where SLURM knows
its job; elsewhere a lock holds while its file is touched from time to time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ntkscope.errors import BusyError
from ntkscope.runtime.logs import log

STALE_SECONDS = 600.0
"""A lock whose owner cannot be asked for is free after so long without a sign of life."""

_LOOK_SECONDS = 5.0  # between two looks at a lock that is waited for
_WRITING_SECONDS = 5.0  # that a lock file may be without content


@dataclass(frozen=True)
class Lock:
    """A lock file.

    Args:
        path: of the file, in the folder that it is for.
    """

    path: Path

    def acquire(self) -> None:
        """Take the lock; wait where the owner's death is likely and not known.

        Raises:
            BusyError: the owner lives.
        """
        mine, told, first = me(), False, None
        while not self._create(mine):
            owner, touched = self._read()
            if touched is None:
                continue
            first = first or touched
            alive = is_alive(owner, time.time() - touched)
            if alive or (alive is None and touched > first):
                raise BusyError(
                    f"{_words(owner)} is already writing this output",
                    where=self.path.parent,
                    remedy=f"let it finish or end it; if it is surely dead, delete {self.path}",
                )
            if alive is None:
                told = told or self._tell(owner, touched)
                time.sleep(_LOOK_SECONDS)
                continue
            self._break(owner, touched)

    def release(self) -> None:
        """Remove the lock, if it is this process's."""
        if self.is_mine():
            self.path.unlink(missing_ok=True)

    def is_mine(self) -> bool:
        """Whether this process has the lock."""
        return self._read()[0] == me()

    def holder(self) -> str | None:
        """Who has the lock, in words; None: nobody, or a process that is dead."""
        owner, touched = self._read()
        alive = touched is not None and is_alive(owner, time.time() - touched)
        return None if alive is False else _words(owner) + ("" if alive else ", perhaps dead")

    def touch(self) -> None:
        """A sign of life."""
        os.utime(self.path)

    def _create(self, mine: dict[str, Any]) -> bool:
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w") as file:
            json.dump(mine, file)
        return True

    def _break(self, owner: dict[str, Any], touched: float) -> None:
        """Remove a dead owner's lock, unless another did: what is there now may be a living one's.

        Only who has locked the file itself may remove it, so it stays between look and removal.
        """
        try:
            file = self.path.open("r+b" if os.access(self.path, os.W_OK) else "rb")
        except FileNotFoundError:
            return
        with file:
            _alone(file.fileno())
            try:
                same = os.path.samestat(os.fstat(file.fileno()), self.path.stat())
            except FileNotFoundError:
                return
            if same and self._read() == (owner, touched):
                self.path.unlink(missing_ok=True)

    def _read(self) -> tuple[dict[str, Any], float | None]:
        """The owner ({} where the file does not say one, as yet), and its last sign of life."""
        try:
            touched = self.path.stat().st_mtime
            owner = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}, None
        except ValueError:  # no JSON, or no text
            return {}, touched
        return (owner if _is_owner(owner) else {}), touched

    def _tell(self, owner: dict[str, Any], touched: float) -> bool:
        sign, end = (time.strftime("%H:%M:%S", time.localtime(t)) for t in (
            touched, touched + STALE_SECONDS,
        ))  # fmt: skip
        log.info(
            "waiting for %s, which has the lock %s: last sign of life %s, taken for dead at %s",
            _words(owner),
            self.path,
            sign,
            end,
        )
        return True


def _is_owner(said: Any) -> bool:
    """Whether a lock file's content is as of `me`."""
    kinds: dict[str, Any] = {"pid": int, "host": str, "started": (int, float)}
    return isinstance(said, dict) and all(isinstance(said.get(k), t) for k, t in kinds.items())


def _alone(handle: int) -> None:
    """Wait to be the only one that has an open file locked; not where its disk cannot."""
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)


def me() -> dict[str, Any]:
    """This process, as a lock says it; with the SLURM job that it belongs to, if any."""
    process = psutil.Process()
    slurm = {
        key: os.environ[name]
        for key, name in (("slurm_job", "SLURM_JOB_ID"), ("slurm_restarts", "SLURM_RESTART_COUNT"))
        if name in os.environ
    }
    host, started = socket.gethostname(), process.create_time()
    return {"pid": process.pid, "host": host, "started": started, **slurm}


def is_alive(owner: dict[str, Any], age: float) -> bool | None:
    """Whether a lock's owner lives; None: nobody knows, it may.

    Args:
        owner: as of `me`.
        age: seconds since its last sign of life.
    """
    if not owner:
        return None if age < _WRITING_SECONDS else False
    if owner.get("host") == socket.gethostname():
        return _process_is_alive(owner)
    if "slurm_job" in owner:
        alive = _slurm_job_is_alive(owner)
        if alive is not None:
            return alive
    return None if age < STALE_SECONDS else False


def _process_is_alive(owner: dict[str, Any]) -> bool:
    try:
        return bool(abs(psutil.Process(owner["pid"]).create_time() - owner["started"]) < 1.0)
    except psutil.NoSuchProcess:
        return False


def _slurm_job_is_alive(owner: dict[str, Any]) -> bool | None:
    """Whether SLURM runs the owner's job; None: no SLURM here, no answer, or it is ending."""
    if owner["slurm_job"] == os.environ.get("SLURM_JOB_ID"):  # this very job, put back in the queue
        restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
        return None if owner.get("slurm_restarts", "0") == restarts else False
    squeue = shutil.which("squeue")
    if squeue is None:
        return None
    command = [squeue, "-h", "-o", "%T", "-j", str(owner["slurm_job"])]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if asked.returncode:
        return False if "Invalid job id" in asked.stderr else None
    states = set(asked.stdout.split())
    if states & {"RUNNING", "SUSPENDED", "STOPPED"}:
        return True
    return None if "COMPLETING" in states else False


def _words(owner: dict[str, Any]) -> str:
    job = f" (SLURM job {owner['slurm_job']})" if "slurm_job" in owner else ""
    return f"process {owner.get('pid')} on {owner.get('host')}{job}"
