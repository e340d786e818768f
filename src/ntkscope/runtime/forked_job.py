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
from typing import Any, NoReturn

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
    with socket.socket(socket.AF_UNIX) as server:
        fork = _ask(server)
        if fork is not None:
            _end_as(_wait(server, fork))


def line_of(connection: socket.socket) -> bytes:
    """What comes up to the end of a line, or of the connection."""
    parts = [connection.recv(2**16)]
    while parts[-1] and not parts[-1].endswith(b"\n"):
        parts.append(connection.recv(2**16))
    return b"".join(parts)


def _ask(server: socket.socket) -> int | None:
    """The process that runs this script; None: none does, and none will."""
    request = {
        "process": os.getpid(),
        "interpreter": sys.executable,
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
        return int(line_of(server)) or None
    except (OSError, ValueError):
        return None


def _wait(server: socket.socket, fork: int) -> int:
    """The exit status of the fork; of one that was killed, the signal, below 0."""

    def pass_on(number: int, _: Any) -> None:
        with suppress(ProcessLookupError):
            os.kill(fork, number)

    for number in PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, pass_on)
    try:
        return int(line_of(server))
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
