"""Which process has a lock, and whether it lives: as its machine or SLURM knows it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import psutil

Owner: TypeAlias = dict[str, Any]
"""As of `me`, perhaps with more; {}: nobody is named."""

_SLURM = {"slurm_job": "SLURM_JOB_ID", "slurm_restarts": "SLURM_RESTART_COUNT"}
_KINDS: dict[str, type] = {"pid": int, "host": str, "machine": str, "started": float}
_MAYBE = (*_SLURM, "slurm_cluster", "token")
_NO_CONTAINER = "pid:[4026531836]"  # what Linux calls the processes of a machine itself


def me() -> Owner:
    """This process, as a lock file names it; with the SLURM job that it belongs to, if any."""
    slurm = {key: os.environ[name] for key, name in _SLURM.items() if name in os.environ}
    if "slurm_job" in slurm:
        slurm |= {"slurm_cluster": _cluster()}
    pid, host = os.getpid(), socket.gethostname()
    return {"pid": pid, "host": host, "machine": machine(), "started": started(pid), **slurm}


def owner_of(content: bytes) -> Owner:
    """The owner that a lock file names, or {}."""
    try:
        owner = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(owner, dict):
        return {}
    kinds = _KINDS | {key: str for key in _MAYBE if key in owner}
    if any(type(owner.get(k)) is not t for k, t in kinds.items()):
        return {}
    texts = (owner[key] for key, kind in kinds.items() if kind is str)
    plain = all(re.fullmatch(r"[\w.,:/\[\]-]{0,300}", text) for text in texts)
    return owner if plain and 0 < owner["pid"] < 2**31 else {}


def is_alive(owner: Owner) -> bool | None:
    """Whether a lock's owner lives; None: nobody here knows."""
    if not owner:
        return None
    if owner["machine"] == machine():
        return bool(started(owner["pid"]) == owner["started"])
    if owner["host"] == socket.gethostname() and _is_before(owner["machine"]):
        return False
    return _slurm_job_is_alive(owner) if "slurm_job" in owner else None


@cache
def machine() -> str:
    """What has process IDs of its own: a host since it was started, or a container of it.

    Of Linux: the installation, its start, and the container if any.
    """
    files = (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"))
    try:
        known = [file.read_text(encoding="utf-8").strip() for file in files]
        return "/".join((*known, str(Path("/proc/self/ns/pid").readlink())))
    except OSError:
        return socket.gethostname()


def _is_before(other: str) -> bool:
    """Whether another's machine is this one before it was started again."""
    here, there = machine().split("/"), other.split("/")
    known = len(here) == len(there) == 3 and here[2] == there[2] == _NO_CONTAINER
    return known and here[0] == there[0] and here[1] != there[1]


def started(pid: int) -> float:
    """When a process started: on Linux by no clock that can be set.

    −1: there is none, or a dead one whose parent has not looked.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = status.rpartition(")")[2].split()
        return -1.0 if fields[0] in "ZXx" else float(fields[19])
    except (ProcessLookupError, FileNotFoundError):
        if Path("/proc/self/stat").exists():
            return -1.0
    try:
        process = psutil.Process(pid)
        dead = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return -1.0 if dead else float(process.create_time())
    except psutil.NoSuchProcess:
        return -1.0


def _slurm_job_is_alive(owner: Owner) -> bool | None:
    """Whether SLURM runs the owner's job; None: no SLURM here, no answer, or it is ending."""
    if owner["slurm_job"] == os.environ.get("SLURM_JOB_ID"):  # this very job, put back in the queue
        restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
        return None if owner.get("slurm_restarts", "0") == restarts else False
    if owner.get("slurm_cluster") != _cluster() or not _cluster():
        return None
    code, output, errors = _ask("squeue", "-h", "-o", "%T", "-j", owner["slurm_job"])
    if code:
        return False if "Invalid job id" in errors else None
    states = set(output.split())
    if states & {"RUNNING", "SUSPENDED", "STOPPED"}:
        return True
    return None if "COMPLETING" in states else False


@cache
def _cluster() -> str:
    """The cluster that SLURM's commands ask here, where several share a disk; or nothing."""
    if "SLURM_CLUSTER_NAME" in os.environ:
        return os.environ["SLURM_CLUSTER_NAME"]
    found = re.search(r"^ClusterName\s*=\s*(\S+)", _ask("scontrol", "show", "config")[1], re.M)
    return found[1] if found else ""


def _ask(program: str, *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of one of SLURM's commands."""
    found = shutil.which(program)
    if found is None:
        return 127, "", ""
    try:
        answer = subprocess.run(
            [found, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 1, "", ""
    return answer.returncode, answer.stdout, answer.stderr
