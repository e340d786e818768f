"""A job that runs in a fork of a process that has imported torch already: see fork_server.

Importing torch takes a second of CPU time, most of a small job's. The job's own process waits for
the fork: it passes signals on to it, and ends as it does; where it is killed, so is the fork.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

FOLDER = "NTKSCOPE_FORK_SERVER"
"""The environment variable that names the server's folder."""
SOCKET = "jobs"
"""Where in it the server listens."""
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
PASSED_ON = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""Signals that a fork gets through the process that waits for it."""


def run_in_fork() -> None:
    """Run this script in a fork of the server, wait for it, and end as it does.

    Returns where there is no server, or none that could fork as this process is: with another
    environment, say. The script then goes on.
    """
    if FOLDER not in os.environ:
        return
    with socket.socket(socket.AF_UNIX) as server, server.makefile("rb") as answers:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        fork = _ask(server, answers)
        if fork is not None:
            _pass_signals_on(fork)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if fork is not None:
            _end_as(_status(answers))


def namespaces() -> list[str]:
    """What this process sees of the machine: another in a container."""
    return [str(Path("/proc/self/ns", name).readlink()) for name in ("mnt", "pid", "user")]


def _ask(server: socket.socket, answers: BinaryIO) -> int | None:
    """The process that runs this script; None: none does, and none will."""
    request = {
        "process": os.getpid(),
        "interpreter": sys.executable,
        "namespaces": namespaces(),
        "script": sys.argv,
        "folder": str(Path.cwd()),
        "umask": _umask(),
        "ignored": [each for each in PASSED_ON if signal.getsignal(each) == signal.SIG_IGN],
        "environment": dict(os.environ),
    }
    try:
        server.connect(str(Path(os.environ[FOLDER], SOCKET)))
        socket.send_fds(server, [b"\n"], [0, 1, 2])
        server.sendall(json.dumps(request).encode() + b"\n")
        return int(answers.readline()) or None
    except (OSError, ValueError):
        return None


def _pass_signals_on(fork: int) -> None:
    def pass_on(number: int, _: Any) -> None:
        with suppress(ProcessLookupError):
            os.kill(fork, number)

    for number in PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, pass_on)


def _status(answers: BinaryIO) -> int:
    """The exit status of the fork; of one that was killed, the signal, below 0."""
    try:
        return int(answers.readline())
    except (OSError, ValueError):  # who watched over the fork was killed, and the fork with it
        return -signal.SIGKILL


def _end_as(status: int) -> NoReturn:
    if status < 0:
        if -status in PASSED_ON:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(abs(status))


def _umask() -> int:
    mask = os.umask(0o77)
    os.umask(mask)
    return mask
