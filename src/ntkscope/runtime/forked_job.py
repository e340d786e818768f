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
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTSTP", "SIGCONT")
PASSED_ON = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""Signals that a fork gets through the process that waits for it."""


def run_in_fork() -> None:
    """Run this script in a fork of the server, wait for it, and end as it does.

    Returns where there is no server, or none that could fork as this process is: with another
    environment, say. The script then goes on.
    """
    if FOLDER not in os.environ or not has_streams():
        return
    with socket.socket(socket.AF_UNIX) as server, server.makefile("rb") as answers:
        if not _is_answered(server):  # so far, signals end this process, and with it the fork
            return
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        fork = _number(answers, b"fork ")
        if fork:
            _pass_signals_on(fork)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if fork:
            status = _number(answers, b"ended ")  # None: who watched was killed, and the fork
            _end_as(-signal.SIGKILL if status is None else status)


def has_streams() -> bool:
    """Whether standard input, output and error are open: else their numbers are of other files."""
    return None not in (sys.__stdin__, sys.__stdout__, sys.__stderr__)


def place() -> list[Any]:
    """What the system lets this process see and have: other things in a container, or after nice.

    Raises:
        OSError: the system does not say.
    """
    own = Path("/proc/self")
    return [
        [str(each.readlink()) for each in sorted((own / "ns").iterdir())],
        [(own / each).read_text(encoding="utf-8") for each in ("limits", "cgroup")],
        sorted(os.sched_getaffinity(0)),
        os.getpriority(os.PRIO_PROCESS, 0),
    ]


def _is_answered(server: socket.socket) -> bool:
    """Ask for a fork; whether there is an answer: else no fork runs this script, and none will."""
    try:
        asked = json.dumps(_request()).encode()
        server.connect(str(Path(os.environ[FOLDER], SOCKET)))
        socket.send_fds(server, [b"\n"], [0, 1, 2])
        server.sendall(asked + b"\n")
        return bool(server.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def _request() -> dict[str, Any]:
    return {
        "process": os.getpid(),
        "interpreter": sys.executable,
        "place": place(),
        "script": sys.argv,
        "folder": str(Path.cwd()),
        "umask": _umask(),
        "ignored": [each for each in PASSED_ON if signal.getsignal(each) == signal.SIG_IGN],
        "blocked": [*signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "environment": dict(os.environ),
    }


def _pass_signals_on(fork: int) -> None:
    def pass_on(number: int, _: Any) -> None:
        with suppress(ProcessLookupError):
            os.kill(fork, number)
        if number == signal.SIGTSTP:  # Ctrl-Z: both stop
            os.kill(os.getpid(), signal.SIGSTOP)

    for number in PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, pass_on)


def _number(answers: BinaryIO, what: bytes) -> int | None:
    """The next answer: the process of the fork, 0 for none; then its exit status.

    Of a fork that was killed, the signal, below 0. None: there is no such answer.
    """
    try:
        return int(answers.readline().removeprefix(what))
    except (OSError, ValueError):
        return None


def _end_as(status: int) -> NoReturn:
    if status < 0:
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(abs(status))


def _umask() -> int:
    mask = os.umask(0o77)
    os.umask(mask)
    return mask
