"""Files dated in the future, by a clock that was wrong: no job that reads one ends well.

Snakemake refuses what a job has made, once it is done, where it is dated before an input.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from ntkscope.errors import StoreError

_STAMP = ".snakemake_timestamp"
"""Carries the date of a folder that a job has made."""


def check_dates(inputs: Iterable[Path], folder: Path = Path(".snakemake")) -> None:
    """Refuse to begin what would be refused at its end.

    Args:
        inputs: what jobs read, which may not be there yet.
        folder: of the same disk, to learn what date a new file has there.

    Raises:
        StoreError: names one that is dated after now.
    """
    dates = {path: date for path in inputs if (date := date_of(path))}
    with tempfile.TemporaryFile(dir=folder) as file:
        now = os.fstat(file.fileno()).st_mtime
    if late := [path for path, date in dates.items() if date > now]:
        many = f" (one of {len(late)})" if len(late) > 1 else ""
        raise StoreError(
            f"this is dated in the future, {datetime.fromtimestamp(dates[late[0]]):%F %T}{many}:"
            " what is made of it would be refused as older",
            where=late[0],
            remedy="if the clock is right now: find results/ -newermt now -exec touch {} +; then "
            "the same command, which makes again what is older than that. If surely no setting, "
            "code or file was changed since: that command with --touch before, and nothing is",
        )


def set_date(path: Path, date: float) -> None:
    """Have Snakemake take a file or folder for made then (s)."""
    for carrier in (path / _STAMP, path):
        if carrier.exists():
            os.utime(carrier, (date, date))


def date_of(path: Path) -> float:
    """When a file or folder was made, for Snakemake; 0 if it is not there."""
    for carrier in (path / _STAMP, path):
        if carrier.exists():
            return carrier.lstat().st_mtime
    return 0
