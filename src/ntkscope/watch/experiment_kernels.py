"""`open_kernels`: from what a person knows of an experiment to the kernels of one of its runs."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntkscope.errors import NtkscopeError, StoreError
from ntkscope.stores.text import read_text

if TYPE_CHECKING:
    import xarray as xr

Row = dict[str, str]

OTHERS = ("arm", "task", "seeds", "run", "kernel", "kernels", "snapshots", "metrics")
"""Columns of `runs.csv` that are no axes of the sweep."""


NEEDED = ("arm", "task", "run", "kernels")
"""Columns without which there is nothing to open."""


class SelectionError(NtkscopeError, LookupError):
    """A selection that fits no run of an experiment, or several."""


def open_kernels(experiment: str | Path, results: str | Path = "results", **at: Any) -> xr.Dataset:
    """The kernels of one point of an experiment, over all its tasks, read when they are asked for.

    Args:
        experiment: its name, or the path of its `runs.csv`. One of another preset than the default:
            `"fashion/reactivation"`.
        results: the workflow's folder.
        at: values of the sweep's axes, such as `regime="lazy", width=256`, and of `arm` (`shift` or
            `twin`), as far as they are needed to tell one from all others; and if wanted `seed`
            and `task`, one or a list.

    Returns:
        `ntk` (seed, snapshot, sample, sample2) and `layer_ntk`, with the coordinates seed, step,
        task, label, layer; attributes: `boundaries`, the selection, and `run` (its id; a list of
        them where its seeds are in several runs).

    Raises:
        StoreError: no such experiment, or a store that is missing or damaged.
        SelectionError: no run or several fit; lists what there is to choose.

    Example:
        After `snakemake figures/reactivation.pdf`, where the workflow ran:

        >>> import ntkscope
        >>> kernels = ntkscope.open_kernels(  # doctest: +SKIP
        ...     "reactivation", regime="lazy", width=256, arm="shift")
        >>> kernels.ntk.isel(seed=0, snapshot=-1).plot()  # doctest: +SKIP

        Of a run of one's own, with a table of runs written by hand:

        >>> import pathlib, tempfile, torch
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> model, probe = torch.nn.Linear(4, 2), torch.randn(6, 4)
        >>> watch = ntkscope.Watch(model, probe, store=folder / "mine.zarr", overhead=None)
        >>> for step in range(3):
        ...     values = watch.step(step)
        >>> watch.flush()
        >>> rows = "width,arm,task,run,kernels", "4,shift,1,mine,mine.zarr"
        >>> size = (folder / "runs.csv").write_text(chr(10).join(rows))
        >>> kernels = ntkscope.open_kernels(folder / "runs.csv", width=4)
        >>> kernels.ntk.isel(snapshot=-1).dims
        ('seed', 'sample', 'sample2')
    """
    file = _file_of(experiment, Path(results))
    rows = list(csv.DictReader(io.StringIO(read_text(file), newline="")))
    at = dict(at)
    seeds, tasks = at.pop("seed", None), at.pop("task", None)
    chosen = _chosen(rows, at, file)
    for run in chosen:
        _check_tasks(run, rows, file)
    from ntkscope.metrics.joined import joined
    from ntkscope.metrics.lineage import open_lineage

    data = joined([open_lineage([_store(file, row) for row in run]) for run in chosen])
    facts = {key: value for key, value in chosen[0][-1].items() if key not in OTHERS[1:]}
    ids = [run[-1]["run"] for run in chosen]
    data = data.assign_attrs({**facts, "run": ids[0] if len(ids) == 1 else ids})
    if tasks is not None:
        known = _listed(tasks, data["task"].values, "task", file)
        data = data.isel(snapshot=data["task"].isin(known).values)
    if seeds is not None:
        data = data.sel(seed=_listed(seeds, data["seed"].values, "seed", file))
    return data


def _store(file: Path, row: Row) -> Path:
    """Where the kernels of a row lie, as short as messages and Snakemake need it.

    With a folder that is a link, `..` from behind it may lead elsewhere: then as it is.
    """
    path = file.parent / row["kernels"]
    short = Path(os.path.normpath(path))
    return path if path.exists() and not short.exists() else short


def _file_of(experiment: str | Path, results: Path) -> Path:
    path = Path(experiment)
    if path.suffix == ".csv" or path.is_dir():
        file = path / "runs.csv" if path.is_dir() else path
    else:
        file = results / path.parent / "experiments" / path.name / "runs.csv"
    if not file.exists():
        there = sorted(
            (each.parents[2].relative_to(results) / each.parent.name).as_posix()
            for each in results.glob("**/experiments/*/runs.csv")
        )
        raise StoreError(
            f"there is no table of runs of {str(experiment)!r}",
            where=file,
            remedy=f"there are: {', '.join(there)}"
            if there
            else "give results=, the workflow's folder; the rule collect_metrics writes it",
        )
    return file


def _chosen(rows: Sequence[Row], at: Mapping[str, Any], file: Path) -> list[list[Row]]:
    """Of one point the rows of each run of its seeds, a task each, in order."""
    _check_columns(rows, file)
    axes = [name for name in rows[0] if name not in OTHERS]
    unknown = [name for name in at if name not in (*axes, "arm")]
    if unknown:
        raise SelectionError(
            f"no axis {unknown[0]!r}", where=file, remedy=f"choose by {', '.join([*axes, 'arm'])}"
        )
    for axis, value in at.items():
        left = [row for row in rows if _same(row[axis], value)]
        if not left:
            raise SelectionError(
                f"no run with {axis} = {value!r}"
                + (f" and {_said(at, axis)}" if _said(at, axis) else ""),
                where=file,
                remedy=f"{axis} is one of {', '.join(_values(rows, axis))}",
            )
        rows = left
    several = {axis: _values(rows, axis) for axis in (*axes, "arm")}
    choices = {axis: values for axis, values in several.items() if len(values) > 1}
    if choices:
        options = "; ".join(f"{axis} = {', '.join(values)}" for axis, values in choices.items())
        raise SelectionError("several runs fit", where=file, remedy=f"choose {options}")
    runs: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: int(row["task"])):
        runs.setdefault(row.get("seeds", ""), []).append(row)
    return list(runs.values())


def _check_columns(rows: Sequence[Row], file: Path) -> None:
    """Refuse a table, written by hand maybe, in which runs cannot be looked for."""
    if not rows:
        raise StoreError(
            "the table of runs has no runs",
            where=file,
            remedy=f"give it a row for each task of a run, with at least {', '.join(NEEDED)}",
        )
    lacking = [name for name in NEEDED if name not in rows[0]]
    if lacking:
        raise StoreError(
            f"the table of runs has no column {', '.join(lacking)}",
            where=file,
            remedy="add it: arm is shift or twin, task counts from 1, kernels is the store's path "
            "from the folder of the table",
        )
    for line, row in enumerate(rows, 2):
        if None in row or None in row.values():
            what = f"line {line} has more or fewer cells than the table has columns"
        elif not row["task"].isdecimal():
            what = f"the task of line {line} is {row['task']!r}, no number"
        else:
            continue
        raise StoreError(what, where=file, remedy="mend the line")


def _check_tasks(run: Sequence[Row], rows: Sequence[Row], file: Path) -> None:
    """Refuse a run that has a task twice: other kernels would be joined behind its own."""
    for task in {int(row["task"]) for row in run}:
        same = [row for row in run if int(row["task"]) == task]
        if len(same) > 1:
            lines = [line for line, row in enumerate(rows, 2) if any(row is each for each in same)]
            raise StoreError(
                f"lines {', '.join(map(str, lines))} are all of task {task} of one run",
                where=file,
                remedy="give each task of a run one line; tell runs apart by a column: seeds, or "
                "an axis of the sweep",
            )


def _said(at: Mapping[str, Any], before: str) -> str:
    names = list(at)
    return ", ".join(f"{name} = {at[name]!r}" for name in names[: names.index(before)])


def _values(rows: Sequence[Row], axis: str) -> list[str]:
    return list(dict.fromkeys(row[axis] or "(none)" for row in rows))


def _same(written: str, value: Any) -> bool:
    """Whether a value is what was written, as a number or as text; None: nothing was."""
    if value is None or value == "(none)":
        return written == ""
    if isinstance(value, bool):
        return written == str(value).lower()
    try:
        return float(written) == float(value)
    except (TypeError, ValueError):
        return written == str(value)


def _listed(wanted: Any, there: Any, name: str, file: Path) -> list[Any]:
    """What is wanted, if all of it is there."""
    known = list(dict.fromkeys(there.tolist()))
    listed = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
    missing = [each for each in listed if each not in known]
    if missing:
        raise SelectionError(
            f"no {name} {missing[0]!r}",
            where=file,
            remedy=f"{name} is one of {', '.join(map(str, known))}",
        )
    return listed
