"""Where an experiment's tables, figures and kernels lie, and what is in them.

ntkscope open reactivation
ntkscope open reactivation regime=lazy width=256 arm=shift seed=0
"""

from __future__ import annotations

import argparse
import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ntkscope.cli.home import check_results
from ntkscope.errors import NtkscopeError, StoreError
from ntkscope.runtime.nearest import did_you_mean

_WHOLE = ("seed", "task")
"""What is chosen by whole numbers."""


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("experiment", metavar="EXPERIMENT", help="NAME, or PRESET/NAME")
    parser.add_argument(
        "at",
        nargs="*",
        default=[],
        metavar="key=value",
        help="values of the sweep's axes, arm (shift or twin), seed, task: one run, whose kernels "
        "are shown",
    )
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER")


def run(args: argparse.Namespace, _: Sequence[str]) -> int:
    """Print paths, then the dataset as xarray shows it."""
    at = selection(args.at)
    check_results(args.results)
    folder = _folder_of(args.experiment, args.results)
    print("\n".join(f"{kind:8} {file}" for kind, file in _files(folder, args)))
    if at:
        from ntkscope.watch import open_kernels

        kernels = open_kernels(folder, args.results, **at)
        runs = kernels.attrs["run"]
        for each in [runs] if isinstance(runs, str) else runs:
            for store in _stores(folder, each, kernels.attrs["arm"]):
                print(f"{'kernels':8} {store}")
        print(f"\n{kernels}")
        return 0
    from ntkscope.stores.netcdf import read_any_netcdf

    for name in ("metrics.nc", "curves.nc"):
        if (folder / name).exists():
            print(f"\n{folder / name}:\n{read_any_netcdf(folder / name)}")
    return 0


def selection(words: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as arguments of `open_kernels`.

    Raises:
        NtkscopeError: a word without `=`, or a seed or task that is no whole number.
    """
    at: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key or (key in _WHOLE and not value.isdecimal()):
            raise NtkscopeError(
                f"{word!r} chooses nothing",
                remedy="write key=value, such as width=256 arm=shift seed=0",
            )
        at[key] = int(value) if key in _WHOLE else value
    return at


def _folder_of(experiment: str, results: Path) -> Path:
    path = Path(experiment)
    folder = results / path.parent / "experiments" / path.name
    if folder.is_dir():
        return folder
    there = sorted(
        f"{each.parent.parent.relative_to(results).as_posix()}/{each.name}".removeprefix("./")
        for pattern in ("experiments/*", "*/experiments/*")
        for each in results.glob(pattern)
    )
    raise StoreError(
        f"there are no tables of {experiment!r}{did_you_mean(experiment, there)}",
        where=folder,
        remedy=f"there are: {', '.join(there)}"
        if there
        else f"make them: ntkscope run {experiment}; or give --results FOLDER",
    )


def _files(folder: Path, args: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    yield from (("table", file) for file in sorted(folder.iterdir()) if file.name[0] != ".")
    figures = args.results.parent / "figures"
    for name in (args.experiment, f"{args.experiment}_mechanism"):
        yield from (
            ("figure", figures / f"{name}.{kind}")
            for kind in ("pdf", "png")
            if (figures / f"{name}.{kind}").exists()
        )


def _stores(folder: Path, run: str, arm: str) -> list[Path]:
    """The stores of kernels of a run, a task each."""
    from ntkscope.stores.text import read_text

    rows = list(csv.DictReader(io.StringIO(read_text(folder / "runs.csv"), newline="")))
    last = next(n for n, row in enumerate(rows) if (row["run"], row["arm"]) == (run, arm))
    first = last - int(rows[last]["task"]) + 1
    return [Path(os.path.normpath(folder / row["kernels"])) for row in rows[first : last + 1]]
