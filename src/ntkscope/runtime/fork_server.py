"""The server of forked jobs: a process that imports torch once, and is forked for every job.

The head of a workflow starts it, and it ends when the head does. A fork has the environment,
folder, standard streams and script of the process that asked for it, and a process group of its
own, so that it gets each signal of a terminal once. On Linux only.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, TypeAlias

import psutil

from ntkscope.runtime.forked_job import FOLDER, PASSED_ON, SOCKET, has_streams, place
from ntkscope.runtime.planned_code import is_planned

Request: TypeAlias = dict[str, Any]
"""What a job's process says of itself (forked_job)."""

_THREADS = [f"{of}_NUM_THREADS" for of in ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")]
_THREADS += ["VECLIB_MAXIMUM_THREADS"]
_NOT_READ = {"_", "PWD", "OLDPWD", "SHLVL", "TMPDIR", "TMP", "TEMP", "TEMPDIR"}
"""Variables of the environment that nothing reads while it is imported; nor those of ntkscope."""
_STATUS: list[int] = []
_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def start_server(names: Sequence[str], threads: int) -> subprocess.Popen[bytes] | None:
    """Start the server for this process's jobs, which find it in their environment.

    Args:
        names: modules, or what they define, that it imports; a job may need others, too.
        threads: of the jobs that it can fork: libraries make theirs as they are imported.

    Returns:
        The server, which ends when its `stdin` is closed, as it is when this process ends. None
        where there can be none: on another system than Linux, with a standard stream closed, or
        where no temporary file can be made, or its path is too long for a socket.
    """
    if sys.platform != "linux" or not has_streams():
        return None
    folder = ""
    try:
        folder = tempfile.mkdtemp(prefix="ntkscope-")  # which nobody else may enter
        server = _start(folder, names, threads)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    os.environ[FOLDER] = folder
    return server


def _start(folder: str, names: Sequence[str], threads: int) -> subprocess.Popen[bytes]:
    with socket.socket(socket.AF_UNIX) as jobs, tempfile.TemporaryFile() as said:
        jobs.bind(str(Path(folder, SOCKET)))
        jobs.listen(128)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, folder, str(jobs.fileno()), *names],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            pass_fds=[jobs.fileno()],
            env=os.environ | dict.fromkeys(_THREADS, str(threads)),
        )


class ProcessWithFork(psutil.Process):  # type: ignore[misc, unused-ignore]
    """A process whose children include the forks that it or they wait for."""

    def children(self, recursive: bool = False) -> list[psutil.Process]:
        """As of psutil; a fork is the server's child, and what it makes is left out."""
        own: list[psutil.Process] = super().children(recursive)
        return [*own, *(fork for each in (self, *own) for fork in _forks_of(each.pid))]


def _forks_of(process: int) -> Iterator[psutil.Process]:
    with suppress(KeyError, OSError, ValueError, psutil.NoSuchProcess):
        yield psutil.Process(int(Path(os.environ[FOLDER], str(process)).read_text("ascii")))


def main(folder: Path, jobs: socket.socket, names: Sequence[str]) -> None:
    """Import names and fork for every job that asks; in a fork, run its script."""
    server, request = os.getpid(), None
    try:
        with jobs:
            if _imports(names):
                request = _serve(folder, jobs)
    finally:
        if os.getpid() == server:
            shutil.rmtree(folder, ignore_errors=True)
    if request is not None:
        _run(request)


def _imports(names: Sequence[str]) -> bool:
    """Import them; whether a fork of this process is then sound, and has the code of the plan.

    Raises:
        OSError, AttributeError: the system lacks what watching over a fork takes.
    """
    os.close(os.pidfd_open(os.getpid()))
    # A terminal sends these to all: the jobs obey. No fork misses one before it knows what to do.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    atexit.register(_leave)  # before any other: it is called as the last
    gc.disable()  # as in startup.uncollected_imports
    for name in names:
        resolve_name(name)
    gc.freeze()
    sys.stdout.flush()
    said = os.fstat(1).st_size  # in a fork, what is imported already would not warn again
    _, *threads = Path("/proc/self/task").iterdir()  # this one, and others: no fork has those
    return is_planned() and not said and not threads


def _serve(folder: Path, jobs: socket.socket) -> Request | None:
    """Fork for every job; in a fork, its request; in the server, None when the head has ended."""
    while True:
        ready, _, _ = select.select([jobs, sys.stdin], [], [])
        if sys.stdin in ready:
            return None
        connection, _ = jobs.accept()
        if os.fork() == 0:
            jobs.close()
            return _attend(folder, connection)
        connection.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _attend(folder: Path, connection: socket.socket) -> Request:
    """In a fork for one job, its request; here watch over the fork, tell how it ends, and end.

    The connection ends with this process, and so does the fork: a job that is told no more runs
    alone.
    """
    watcher = os.getpid()
    try:
        _, streams, _, _ = socket.recv_fds(connection, 1, 3)
        with connection.makefile("rb") as lines:
            request: Request = json.loads(lines.readline())
        if _is_gone(connection):  # while the server imported
            os._exit(0)
        fork = os.fork() if _suits(request) else None
        if fork == 0:
            _become(request, streams, watcher)
            connection.sendall(b"fork %d\n" % os.getpid())  # the job runs here, and nowhere else
            connection.close()
            return request
        if fork is None:
            connection.sendall(b"fork 0\n")
        else:
            for stream in streams:
                os.close(stream)
            _watch(fork, connection, folder / str(request["process"]))
    finally:
        if os.getpid() == watcher:
            os._exit(0)
    raise AssertionError("this process has ended")


def _is_gone(connection: socket.socket) -> bool:
    look = select.poll()
    look.register(connection, 0)  # only of its end
    return bool(look.poll(0))


def _suits(request: Request) -> bool:
    """Whether a fork would be as a process that the job's own interpreter had started."""
    same = request["interpreter"] == sys.executable and request["place"] == place()
    here, there = _as_imported(os.environ), _as_imported(request["environment"])
    return bool(same and here == there)


def _as_imported(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name not in _NOT_READ and not name.startswith(("NTKSCOPE_", "SNAKEMAKE_"))
    }


def _watch(fork: int, connection: socket.socket, waiting: Path) -> None:
    """Tell how a fork ends: killed, if the process that waits for it was."""
    ended, look = os.pidfd_open(fork), select.poll()
    look.register(ended, select.POLLIN)
    look.register(connection, 0)  # only of its end
    with suppress(OSError):  # no space: it is not measured
        waiting.write_text(str(fork), encoding="ascii")
    if ended not in dict(look.poll()):
        os.kill(fork, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
    with suppress(OSError):
        waiting.unlink()
    connection.sendall(b"ended %d\n" % status)


def _become(request: Request, streams: Sequence[int], watcher: int) -> None:
    """Make of a fork what the job's own process would be; it ends with the process that watches."""
    failed = ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if failed or os.getppid() != watcher:
        os._exit(1)
    os.setpgid(0, 0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for number in PASSED_ON:
        signal.signal(number, signal.SIG_IGN if number in request["ignored"] else signal.SIG_DFL)
    for number in (signal.SIGTTOU, signal.SIGTTIN):  # a terminal may stop other groups' processes
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())
    os.chdir(request["folder"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["environment"])
    del os.environ[FOLDER]
    tempfile.tempdir = None
    gc.enable()


def _run(request: Request) -> None:
    """Run a job's script, and end this process as `python script` would, but for one thing.

    After all that is done at the end, what was imported is not taken apart: that would copy the
    memory that forks share.
    """
    sys.argv = request["script"]
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        _STATUS.append(0)
    except SystemExit as end:
        _STATUS.append(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # how it ends is decided
            signal.signal(number, signal.SIG_IGN)


def _leave() -> None:
    """End a fork whose script has ended with a status; other ends are Python's."""
    if _STATUS:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(_STATUS[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), sys.argv[3:])
