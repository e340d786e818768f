"""Make a damaged store or table again. If a store is what it was, all that was made of it stands.

ntkscope remake results/data/digits.zarr
ntkscope remake results/runs/mlp-w4-lr0.1-t1-0a3c/snapshots.zarr --config config/fashion.yaml
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ntkscope.cli import run as running
from ntkscope.cli.home import working_folder
from ntkscope.errors import NtkscopeError, StoreError
from ntkscope.runtime.dates import date_of, set_date

_TIMES = "_seconds/"
"""In the names of arrays that are never the same twice."""


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("path", type=Path, help="the store or table, below results/")
    running.how(parser)


def run(args: argparse.Namespace, passed_on: Sequence[str]) -> int:
    """Put it aside, have Snakemake make it, compare, and give it its date if it is the same."""
    from ntkscope.stores.atomic_write import remove

    path = _inside(args.path, working_folder())
    args.figures = [path.as_posix()]
    command = running.command(args, passed_on)
    aside = path.with_name(f".{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    was_there, before, date = path.exists(), _chunks(path), date_of(path)
    if was_there:
        path.rename(aside)
    status = _ended(command)
    if not path.exists():
        if was_there:
            aside.rename(path)
            print(f"{path} could not be made again: what was there is there as before")
        return status or 1
    if before and before == _chunks(path):
        set_date(path, date)
        remove(aside)
        print(f"{path} is the same to the bit: all that was made of it stands")
    elif was_there:
        print(
            f"{path} cannot be compared with what was there, or differs: what was made of it is "
            f"made again with the next figure\n  what was there: {aside} (nothing reads it)"
        )
    return status


def _ended(command: Sequence[str]) -> int:
    """The exit status of a command, to which Ctrl-C is left: what it has begun it ends or saves."""
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            with suppress(KeyboardInterrupt):
                process.wait()
        return process.returncode


def _inside(path: Path, folder: Path) -> Path:
    """The path as Snakemake knows it.

    Raises:
        NtkscopeError: it is not below results/.
    """
    absolute = Path(os.path.normpath(path.absolute()))  # links stay
    if absolute.is_relative_to(folder):
        inside = absolute.relative_to(folder)
        if "results" in inside.parts[:-1]:
            return inside
    raise NtkscopeError(
        "this is not below results/, so that no rule of the workflow makes it",
        where=path,
        remedy="call what wrote it again; or name a store or table below results/",
    )


def _chunks(path: Path) -> dict[str, str]:
    """File → fingerprint of a store's chunks, as its manifest says; none without a sound one."""
    from ntkscope.stores.manifest import METADATA, read_manifest

    try:
        found = read_manifest(path) or {}
    except StoreError:
        return {}
    return {
        file: known
        for file, known in found.items()
        if Path(file).name != METADATA and _TIMES not in file
    }
