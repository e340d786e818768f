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

from ntkscope.errors import NtkscopeError

log = logging.getLogger("ntkscope")

T = TypeVar("T")
_in_job: ContextVar[bool] = ContextVar("in_job", default=False)
_LINE_SECONDS = 10.0


@contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Send logging, warnings and an uncaught exception to a job's log file.

    An error meant for the user ends the job with its message alone on stderr; any other also
    leaves its traceback there. The log has the traceback of both.
    """
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(file, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    token = _in_job.set(True)
    try:
        yield
    except NtkscopeError as error:
        log.error("%s", traceback.format_exc())
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
    except BaseException:
        log.error("%s", traceback.format_exc())
        raise
    finally:
        _in_job.reset(token)
        handler.flush()


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
