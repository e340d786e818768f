"""`runs.csv` of an experiment: which run is at which point of its sweep, and where its stores are.

A row for each point of the sweep, run of some of its seeds, arm and task: the axes (empty where a
variant lacks one), `arm`, `task` (from 1), `seeds` (separated by spaces), `run` and `kernel` (their
ids), and the paths, from the table's own folder, of the stores `kernels` and `snapshots` of that
task and of the table `metrics` of the whole run.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ntkscope.fits.axes import CellFiles, axes_of, coordinate
from ntkscope.stores import write_text


def write_runs(cells: Sequence[CellFiles], output: Path) -> None:
    """Write the table.

    Args:
        cells: as of `collect_metrics`, each with `lineage`, arm → ids of the runs of its tasks, and
            `seeds`.
        output: the CSV file.
    """
    axes = list(axes_of(cells))
    rows = [row for cell in cells for row in _rows(cell, axes, output.parent)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(text.getvalue(), output)


def _rows(cell: CellFiles, axes: Sequence[str], folder: Path) -> Iterator[dict[str, Any]]:
    at = {axis: _written(cell["axes"].get(axis)) for axis in axes}
    for arm, key in (("shift", "run"), ("twin", "twin")):
        if not cell[key]:
            continue
        metrics = Path(cell[key])
        kernel = metrics.stem.removeprefix("metrics-")
        for task, run in enumerate(cell["lineage"][key], start=1):
            here = metrics.parents[1] / run
            yield {
                **at,
                "arm": arm,
                "task": task,
                "seeds": " ".join(map(str, cell["seeds"])),
                "run": run,
                "kernel": kernel,
                "kernels": _from(folder, here / f"kernels-{kernel}.zarr"),
                "snapshots": _from(folder, here / "snapshots.zarr"),
                "metrics": _from(folder, metrics),
            }


def _written(value: Any) -> Any:
    return "" if value is None else coordinate([value])[0]


def _from(folder: Path, path: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
