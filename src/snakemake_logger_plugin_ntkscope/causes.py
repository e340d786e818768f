"""Why a job failed, in as few words as its log allows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ERROR = re.compile(
    r"^([-\d]+ [:,\d]+ ERROR |ntkscope\.errors\.)?([\w.]*(?:Error|Exception|Interrupt))\b(?=:|$)"
)
_AGAIN = "(not tried again)"
_SIGNAL = re.compile(r"died with <Signals\.(SIG\w+)")
_STOPPED = ("SIGINT", "SIGTERM")
_STATUS_OF_STOPPED = re.compile(r"non-zero exit status (130|143)\b")


@dataclass(frozen=True)
class Cause:
    """Why a job failed.

    Attributes:
        words: the message.
        of_user: whether it is an error that the user can mend, and no second attempt.
        stopped: whether the job was stopped from outside (Ctrl-C, SIGTERM): then nothing is wrong.
    """

    words: str
    of_user: bool = False
    stopped: bool = False


_SLURM_LOGS = Path(".snakemake/slurm_logs")


def cause_of(log: Path | None, message: str, since: float = 0.0) -> Cause:
    """The cause of a job's failure.

    Args:
        log: of the job, if it has one.
        message: Snakemake's own message of how the job ended.
        since: when the job began; what is older is of another run.
    """
    found = _SIGNAL.search(message)
    if (found and found[1] in _STOPPED) or _STATUS_OF_STOPPED.search(message):
        return Cause("stopped from outside, not by this command", stopped=True)
    if found:
        hint = ": was there too little memory?" if found[1] == "SIGKILL" else ""
        return Cause(f"killed by {found[1]}{hint}")
    if refused := _refusal(log, since):
        return Cause(refused, of_user=True)
    if log is None or not log.is_file():
        where = _elsewhere() or ": is the disk full?"
        return Cause(f"{message.strip()}\nit left no log{where}".strip())
    return _last_error(log.read_text(encoding="utf-8", errors="replace").rstrip())


def _refusal(log: Path | None, since: float) -> str:
    """The error meant for the user that a job's last attempt ended with; empty: none.

    The job leaves it beside its log (ntkscope.runtime.logs), which Snakemake deletes when it tries
    again, maybe before the failure is told.
    """
    if log is None:
        return ""
    note = log.with_name(f".{log.name}.refused")
    try:
        words = note.read_text(encoding="utf-8") if note.stat().st_mtime >= since else ""
    except (OSError, UnicodeError):
        return ""
    return words.partition("\n")[2].rstrip()


def _last_error(text: str) -> Cause:
    """The last exception of a log, from the line that names it to the end."""
    lines = text.splitlines()
    again = bool(lines) and lines[-1].strip() == _AGAIN
    if again:
        lines.pop()
    for first in reversed(range(len(lines))):
        found = _ERROR.match(lines[first])
        if found:
            words = "\n".join([lines[first].removeprefix(found[1] or ""), *lines[first + 1 :]])
            stopped = found[2] == "KeyboardInterrupt"
            return Cause(words.rstrip(), of_user=again or bool(found[1]), stopped=stopped)
    return Cause("\n".join(lines[-3:]) or f"its log is empty{_elsewhere()}")


def _elsewhere() -> str:
    """Where a job of SLURM that did not come to its own log says why."""
    return f": see {_SLURM_LOGS}" if _SLURM_LOGS.is_dir() else ""
