"""What a job says: lines in its log file, a progress bar in a terminal."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

import psutil

from ntkscope.errors import NtkscopeError

log = logging.getLogger("ntkscope")

T = TypeVar("T")
_in_job: ContextVar[bool] = ContextVar("in_job", default=False)
_LINE_SECONDS = 10.0


@contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Send logging, warnings and an uncaught exception to a job's log file.

    An error meant for the user ends the job with its message alone on stderr; any other also
    leaves its traceback there. The log has the traceback of both. Snakemake tries a failed job
    again; where the attempt before ended with an error meant for the user, which no attempt would
    mend, this one ends at once.
    """
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    note = file.with_name(f".{file.name}.refused")  # Snakemake deletes the log itself
    refused = _refused(note)
    if refused is not None:
        file.write_text(f"{refused}\n  (not tried again)\n", encoding="utf-8")
        note.write_text(f"{_snakemake()[1]}\n{refused}", encoding="utf-8")
        what, *_ = refused.splitlines()
        print(f"{what}\n  (not tried again)", file=sys.stderr)
        sys.exit(1)
    handler = logging.FileHandler(file, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    token = _in_job.set(True)
    try:
        yield
    except NtkscopeError as error:
        log.error("%s", traceback.format_exc())
        kind = type(error).__name__
        note.write_text(f"{_snakemake()[1]}\n{kind}: {error}", encoding="utf-8")
        print(f"{kind}: {error}", file=sys.stderr)
        sys.exit(1)
    except BaseException:
        log.error("%s", traceback.format_exc())
        raise
    finally:
        _in_job.reset(token)
        handler.flush()


def _refused(note: Path) -> str | None:
    """The error meant for the user that this job's attempt before ended with, or None.

    The note of it has the Snakemake that made the attempt: on this host the same process makes the
    next one, elsewhere another is told which attempt it is.
    """
    if not note.is_file():
        return None
    before, _, error = note.read_text(encoding="utf-8").partition("\n")
    note.unlink()
    words, now = _snakemake()
    if "--attempt" in words[:-1]:
        return error if int(words[words.index("--attempt") + 1]) > 1 else None
    return error if now and now == before else None


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
