"""What a job reports: lines in its log file, a progress bar in a terminal."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import NoReturn, TypeVar

import psutil

from ntkscope.errors import BusyError, DiskError, MadeMeanwhileError, NtkscopeError
from ntkscope.runtime.disk import disk_errors

log = logging.getLogger("ntkscope")

T = TypeVar("T")
_in_job: ContextVar[bool] = ContextVar("in_job", default=False)
_LINE_SECONDS = 10.0
_TOLD_BY_OTHERS = "NTKSCOPE_ERRORS_IN_LOGS"


@contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Send logging, warnings and an uncaught exception to a job's log file.

    An error meant for the user ends the job with its message alone on stderr; any other also
    leaves its traceback there. The log has the traceback of both. Snakemake tries a failed job
    again; where the attempt before ended with an error meant for the user, which no attempt would
    mend, this one ends at once. (That another process is busy, it may mend.) Where the environment
    has NTKSCOPE_ERRORS_IN_LOGS, whoever started the job shows its errors: stderr then has none.
    Ctrl-C, which kills a script of the workflow before and after, raises KeyboardInterrupt inside.
    """
    file = Path(path)
    note = file.with_name(f".{file.name}.refused")  # Snakemake deletes the log itself
    refused = _refused(note)
    if refused is not None:
        _end_again(file, note, refused)
    handler = _log_to(file)
    token = _in_job.set(True)
    try:
        with disk_errors(file), _interrupts_raised():
            yield
    except MadeMeanwhileError as made:
        log.info("%s: nothing is left to do here", made.what)
    except NtkscopeError as error:
        kind = type(error).__name__
        known = isinstance(error, DiskError)  # where it was met says nothing more
        log.error("%s", f"{kind}: {error}" if known else traceback.format_exc())
        if not isinstance(error, BusyError):
            with suppress(OSError):
                note.write_text(f"{_attempt()[0]}\n{kind}: {error}", encoding="utf-8")
        _say(f"{kind}: {error}")
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        code = 130 if isinstance(end, KeyboardInterrupt) else end.code
        _say(f"ended early ({code}): what was saved is gone on with next time")
        sys.exit(code)
    except BaseException:
        log.error("%s", traceback.format_exc())
        if _TOLD_BY_OTHERS in os.environ:
            sys.exit(1)
        raise
    finally:
        _in_job.reset(token)
        with suppress(OSError):
            handler.flush()


@contextmanager
def _interrupts_raised() -> Iterator[None]:
    """Inside, Ctrl-C raises KeyboardInterrupt, as is usual in Python, where it would kill."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _log_to(file: Path) -> logging.Handler:
    """Logging to a file alone, or to nothing where none can be written.

    A full disk is told of by the job, once, and not for each line as well.
    """
    logging.raiseExceptions = False
    handler: logging.Handler
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, mode="w", encoding="utf-8")
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(_is_ours_or_serious)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    return handler


def _is_ours_or_serious(record: logging.LogRecord) -> bool:
    """Other libraries tell of every glyph that they draw."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] == log.name


def _refused(note: Path) -> str | None:
    """The error meant for the user that this job's attempt before ended with, or None.

    The note of it says which attempt that was.
    """
    if not note.is_file():
        return None
    before, _, error = note.read_text(encoding="utf-8").partition("\n")
    note.unlink()
    return error if before and before == _attempt()[1] else None


def _end_again(file: Path, note: Path, refused: str) -> NoReturn:
    """End this attempt with the error of the one before."""
    with suppress(OSError):
        file.write_text(f"{refused}\n  (not tried again)\n", encoding="utf-8")
        note.write_text(f"{_attempt()[0]}\n{refused}", encoding="utf-8")
    what, *_ = refused.splitlines()
    _say(f"{what}\n  (not tried again)")
    sys.exit(1)


def _say(error: str) -> None:
    if _TOLD_BY_OTHERS not in os.environ:
        print(error, file=sys.stderr)


def _attempt() -> tuple[str, str]:
    """This attempt and the one before, each with the Snakemake that made it; or nothing.

    On this host the same process makes all of them. Elsewhere a job is told its number, and the run
    of Snakemake that it is of: by a folder that this made for it, or as the SLURM job's name.
    """
    words, process = _snakemake()
    if "--attempt" not in words[:-1]:
        return process, process
    number = int(words[words.index("--attempt") + 1])
    folder = re.search(r"\.snakemake/tmp\.[^/\s]+", " ".join(words))
    run = folder.group() if folder else os.environ.get("SLURM_JOB_NAME", "")
    return f"{run} {number}", f"{run} {number - 1}" if number > 1 else ""


def _snakemake() -> tuple[list[str], str]:
    """The command of the Snakemake above this process, and which process it is; or nothing."""
    for process in psutil.Process().parents():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if any(Path(word).name == "snakemake" for word in words):
            return words, f"{process.pid}:{process.create_time()}"
    return [], ""


def progress(items: Iterable[T], total: int, what: str, done: int = 0) -> Iterator[T]:
    """Iterate with a progress bar in a terminal, or with a line now and then in a job's log."""
    if not _in_job.get() and sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=what, initial=done)
        return
    last = time.monotonic()
    for number, item in enumerate(items, start=done + 1):
        yield item
        if time.monotonic() - last > _LINE_SECONDS or number == total:
            last = time.monotonic()
            log.info("%s: %d of %d", what, number, total)
