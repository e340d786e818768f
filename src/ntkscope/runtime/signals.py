"""Being asked to end: by SIGTERM, as schedulers do before they kill, or by Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

import psutil

from ntkscope.runtime.logs import log

_HANDLERS = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
"""Signals that are kept, unless the program does something of its own at them."""

_SAME_SECONDS = 0.2
_SHELLS = {"sh", "bash", "dash"}


class Ending:
    """While it is entered, a first signal is kept until `obey`; a second one ends at once.

    One that follows within a fifth of a second is the first: who signals all processes of a job
    reaches a fork (forked_job) directly, and through the process that waits for it.

    In the main thread only: in others Python knows no signals, and nothing changes.
    """

    def __init__(self) -> None:
        self._asked, self._when = 0, 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Ending:
        if threading.current_thread() is threading.main_thread():
            mine = [number for number, usual in _HANDLERS.items() if _is(number, usual)]
            self._before = {number: signal.signal(number, self._ask) for number in mine}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @property
    def is_asked(self) -> bool:
        """Whether there was a signal."""
        return self._asked > 0

    def obey(self) -> None:
        """End if there was a signal: with exit status 143 after SIGTERM, as who is killed by it.

        Raises:
            SystemExit, KeyboardInterrupt: there was.
        """
        if self._asked:
            log.warning("%s: what was done is saved", signal.Signals(self._asked).name)
            self._end(self._asked)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if not self._asked:
            self._asked, self._when = number, time.monotonic()
        elif number != self._asked or time.monotonic() - self._when > _SAME_SECONDS:
            self._end(number)

    def _end(self, number: int) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)


def end_jobs_too(servers: Collection[int]) -> None:
    """From now on, SIGTERM reaches this process's jobs, too: they save what is done, and end.

    Snakemake alone waits until they have ended by themselves. In the main thread only.

    Args:
        servers: processes that are no jobs, nor are their children.
    """
    usual = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        return

    def end(number: int, frame: FrameType | None) -> None:
        usual(number, frame)
        for job in _jobs(servers):
            with suppress(psutil.NoSuchProcess):
                job.terminate()

    signal.signal(signal.SIGTERM, end)


def _jobs(servers: Collection[int]) -> Iterator[psutil.Process]:
    """The processes of this one's jobs, without the shells that wait for them."""
    left = psutil.Process().children()
    while left:
        process = left.pop()
        with suppress(psutil.NoSuchProcess):
            if process.pid not in servers:
                left += process.children()
                if process.name() not in _SHELLS:
                    yield process


def _is(number: int, handler: Any) -> bool:
    return bool(signal.getsignal(number) == handler)
