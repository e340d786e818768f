"""Whether what lies in results/, or another path, is as it was written; 1: something is damaged.

ntkscope verify
ntkscope verify results/runs --jobs 4
ntkscope verify mine.zarr
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ntkscope.cli.home import check_results


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "path", nargs="?", default="results", help="folder, store or table (default: results)"
    )
    parser.add_argument("--jobs", type=_jobs, metavar="N", help="processes (default: one a core)")


def _jobs(word: str) -> int:
    if not (word.isdecimal() and int(word)):
        raise argparse.ArgumentTypeError(f"{word!r} is no number from 1")
    return int(word)


def run(args: argparse.Namespace, _: Sequence[str]) -> int:
    """Every byte is read and compared with its fingerprint."""
    from ntkscope.stores.verify import main

    check_results(Path(args.path))
    jobs = [] if args.jobs is None else ["--jobs", str(args.jobs)]
    return main([args.path, *jobs])
