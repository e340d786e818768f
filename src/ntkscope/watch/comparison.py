"""`compare`: runs of one's own as one experiment, with the workflow's statistics and figures."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ntkscope.errors import NtkscopeError
from ntkscope.runtime.imports import need_extra

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NO_WIDTH = 1
"""The width of runs whose width nobody told."""

_MUST_AGREE = ("kernel", "normalisation", "dt", "probe_digest")


class ComparisonError(NtkscopeError, ValueError):
    """Runs that cannot be compared."""


@dataclass(frozen=True)
class Comparison:
    """Runs as one experiment.

    Attributes:
        metrics: table of kind `experiment`, axes `regime` (the names given) and `width`.
        fits: table of kind `fits`: effects of each boundary, paired with the twins, with intervals
            over seeds.
    """

    metrics: xr.Dataset
    fits: xr.Dataset

    def __repr__(self) -> str:
        about, fits = self.metrics.attrs, self.fits.attrs
        head = (
            f"Comparison({about['kernel']} NTK of {about['samples']} samples; {fits['window']} "
            f"steps around each boundary, intervals of {100 * fits['confidence']:g} %):"
        )
        points = [
            self.metrics.sel(regime=name, width=width)
            for name in self.metrics["regime"].values
            for width in self.metrics["width"].values
        ]
        return "\n".join([head, *(_point(each) for each in points if each["present"].any())])

    @property
    def table(self) -> pd.DataFrame:
        """A row for each point, boundary and quantity, then the exponents of width."""
        from ntkscope.fits import as_rows

        return as_rows(self.fits)

    def plot(self, path: str | Path | None = None, **style: Any) -> Figure:
        """The paper's figure, with the first boundary in the middle.

        Args:
            path: a file to write, `.pdf`, `.png` or `.svg`; None: none.
            style: of `FigureStyle`: `width_mm`, `palette`, `font_size`, `dpi`.
        """
        from ntkscope.figures.comparison import plot_comparison

        return plot_comparison(self.metrics, self.fits, path, **style)


def _point(cell: xr.Dataset) -> str:
    """A run or several of one name and width, in a line."""
    kernels = int((cell["step"] >= 0).sum())
    boundaries = int((cell["boundary_step"] >= 0).sum())
    twins = "twins" if bool(cell["present"].sel(arm="twin")) else "no twins"
    width = f", width {cell['width'].item()}" if cell["width"].item() != NO_WIDTH else ""
    return (
        f"  {cell['regime'].item()}{width}: seeds "
        f"{', '.join(map(str, cell['seed'].values))}; {kernels} kernels each; "
        f"boundaries: {boundaries}; {twins}"
    )


def compare(
    runs: Mapping[str, Any],
    twins: Mapping[str, Any] | None = None,
    *,
    window: int = 16,
    confidence: float = 0.95,
) -> Comparison:
    """Compare runs of one's own around their boundaries, over seeds.

    A run is a `Watch`, its `dataset()`, or the path of a table of kind `metrics`. Runs of one name
    that differ in their seeds are given as a list; runs of several widths as a mapping of width to
    those. A twin is the same run, seed by seed, whose task does not change: what it does is taken
    off. Only steps that all seeds of a run and its twin have are compared: watch them with
    `overhead=None`, and with `every=` where the loss of some jumps by itself.

    Args:
        runs: name → run, list of runs (one a seed), or width → these.
        twins: the same of the twins; None: effects that are paired with a twin are NaN.
        window: steps that count as just before and just after a boundary.
        confidence: of the intervals.

    Raises:
        ComparisonError: runs of other kernels, boundaries, seeds or widths, or without a boundary.
        SchemaError: a dataset that is no table of metrics; says what it lacks.
        MissingExtraError: the extra `workflow` is not installed.

    Example:
        >>> import torch, ntkscope
        >>> def watched(seed):
        ...     torch.manual_seed(seed)
        ...     model = torch.nn.Linear(3, 2)
        ...     x = torch.randn(12, 3)
        ...     watch = ntkscope.Watch(torch.nn.Sequential(model, torch.nn.Tanh()), x,
        ...                            (x[:, 0] > 0).long(), overhead=None)
        ...     for step in range(6):
        ...         with torch.no_grad():
        ...             model.weight += 0.1 * (step + 1)
        ...         watch.step(step)
        ...         if step == 2:
        ...             watch.boundary(step)
        ...     return watch
        >>> found = ntkscope.compare({"mine": [watched(seed) for seed in range(3)]}, window=2)
        >>> found.fits["n"].sel(quantity="log_velocity", boundary=1).item()
        3
    """
    need_extra("workflow", "ntkscope.compare", "pandas", "pydantic", "statsmodels")
    from ntkscope.fits import check_experiment, experiment_table, fit

    cells = list(_cells(runs, twins or {}))
    tables = {
        each[arm]: each["tables"][arm] for each in cells for arm in ("run", "twin") if each[arm]
    }
    _check_agree(tables)
    metrics = experiment_table(cells, tables)
    check_experiment(metrics)
    return Comparison(metrics, fit(metrics, window, confidence, "table", None))


def _cells(runs: Mapping[str, Any], twins: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Cells as `collect_metrics` has them, with their tables."""
    if not isinstance(runs, Mapping) or not runs:
        raise ComparisonError(
            "there are no runs to compare", where="runs", remedy="give name → run or list of runs"
        )
    strangers = [name for name in twins if name not in runs]
    if strangers:
        raise ComparisonError(
            f"there is no run {strangers[0]!r} for this twin",
            where="twins",
            remedy=f"name twins like their runs: {', '.join(runs)}",
        )
    widths = {name: _by_width(runs[name]) for name in runs}
    for name, those in widths.items():
        if not those:
            raise ComparisonError(
                "there are no runs to compare",
                where=name,
                remedy="give width → run or list of runs",
            )
        if set(those) != set(next(iter(widths.values()))):
            raise ComparisonError(
                f"{name!r} has the widths {sorted(those)}, others have other ones",
                where="runs",
                remedy="give every name runs of the same widths",
            )
        paired = _by_width(twins[name]) if name in twins else {}
        for width, run in those.items():
            label = f"{name}, width {width}" if width != NO_WIDTH else name
            yield _cell(name, width, label, run, paired.get(width))


def _by_width(given: Any) -> dict[int, Any]:
    if isinstance(given, Mapping) and not isinstance(given, xr.Dataset):
        return {_width_of(width, given): run for width, run in given.items()}
    return {NO_WIDTH: given}


def _width_of(width: Any, given: Mapping[Any, Any]) -> int:
    """A width as a number, of a mapping of widths."""
    if isinstance(width, numbers.Integral) and not isinstance(width, bool) and int(width) > 0:
        return int(width)
    raise ComparisonError(
        f"{width!r} is no width",
        where=f"widths {', '.join(map(repr, given))}",
        remedy="give whole numbers from 1 → run or list of runs; names belong in the outer mapping",
    )


def _cell(name: str, width: int, label: str, run: Any, twin: Any) -> dict[str, Any]:
    given = {"run": run} | ({} if twin is None else {"twin": twin})
    seeds = {arm: _tables(each, f"{label} ({arm})") for arm, each in given.items()}
    if len({len(each) for each in seeds.values()}) > 1:
        raise ComparisonError(
            f"{len(seeds['run'])} runs have {len(seeds['twin'])} twins",
            where=label,
            remedy="give a twin for each run, in the same order",
        )
    _refuse_mixed_up(seeds, label)
    every = [table for each in seeds.values() for table in each]
    _refuse_repeated(every, label)
    steps = _common_steps(every, label)
    tables = {arm: _of_seeds(each, steps) for arm, each in seeds.items()}
    return {
        "axes": {"regime": name, "width": width},
        "run": f"{label} (run)",
        "twin": f"{label} (twin)" if twin is not None else None,
        "tables": tables,
    }


def _tables(given: Any, label: str) -> list[xr.Dataset]:
    """The tables of a run's seeds, each checked."""
    from ntkscope.fits import check_metrics
    from ntkscope.stores import read_netcdf

    several = given if isinstance(given, list | tuple) else [given]
    if not several:
        raise ComparisonError(
            "there are no runs to compare", where=label, remedy="give a run for each seed"
        )
    found = []
    for each in several:
        if isinstance(each, str | Path):
            table = read_netcdf(each, "metrics")
        else:
            table = each.dataset() if hasattr(each, "dataset") else each
        if not isinstance(table, xr.Dataset):
            raise ComparisonError(
                f"a run is a {type(each).__name__}",
                where=label,
                remedy="give a Watch, its dataset(), or the path of a table of metrics",
            )
        check_metrics(table, label)
        found.append(table)
    return found


def _refuse_mixed_up(tables: Mapping[str, Sequence[xr.Dataset]], label: str) -> None:
    """Refuse twins in another order than their runs, where both say of which seeds they are."""
    runs, *twins = ([int(s) for t in each for s in t["seed"].values] for each in tables.values())
    are_named = len(runs) > 1 and all(len({*each}) == len(each) for each in (runs, *twins))
    if are_named and twins and twins[0] != runs:
        raise ComparisonError(
            f"the twins are of the seeds {twins[0]}, the runs of {runs}",
            where=label,
            remedy="give the twin of each run at its place: what it does is taken off that run",
        )


def _refuse_repeated(tables: Sequence[xr.Dataset], label: str) -> None:
    """Refuse a run that is given twice, by whatever name: seeds would not be independent."""
    found: set[bytes] = set()
    for table in tables:
        curves = [table[name] for name in sorted(map(str, table.data_vars))]
        for seed in range(table.sizes["seed"]):
            own = b"".join(c.isel(seed=seed).values.tobytes() for c in curves if "seed" in c.dims)
            if own in found:
                raise ComparisonError(
                    "the same run is given twice, all its numbers are those of another",
                    where=label,
                    remedy="give each seed, and each twin, once; train seeds from different seeds",
                )
            found.add(own)


def _common_steps(tables: Sequence[xr.Dataset], label: str) -> np.ndarray[Any, Any]:
    """The steps that all have; their boundaries are among them."""
    edges = [np.atleast_1d(np.asarray(table.attrs["boundaries"], np.int64)) for table in tables]
    if not all(np.array_equal(each, edges[0]) for each in edges):
        raise ComparisonError(
            f"runs with boundaries at {', '.join(str(each.tolist()) for each in edges)}",
            where=label,
            remedy="call watch.boundary at the same steps in every seed, and in the twin",
        )
    if not edges[0].size:
        raise ComparisonError(
            "the runs have no boundary around which to compare them",
            where=label,
            remedy="call watch.boundary(step) where the task ends, in the twin too",
        )
    steps = reduce(np.intersect1d, [np.asarray(table["step"].values) for table in tables])
    if not np.isin(edges[0], steps).all() or len(steps) <= len(edges[0]):
        raise ComparisonError(
            "the runs have too few steps in common",
            where=label,
            remedy="watch each with overhead=None, or with the same every=",
        )
    return np.asarray(steps)


def _of_seeds(tables: Sequence[xr.Dataset], steps: np.ndarray[Any, Any]) -> xr.Dataset:
    """Tables of one or more seeds each as one, at some steps; seeds are numbered anew."""
    kept = [table.isel(snapshot=np.isin(table["step"].values, steps)) for table in tables]
    joined = xr.concat(
        kept, "seed", data_vars="minimal", coords="minimal", compat="override", join="outer"
    )
    tasks = 1 + len(np.atleast_1d(joined.attrs["boundaries"]))
    seen = np.arange(1, 1 + max(tasks, joined.sizes["seen"]))
    joined = joined.assign_coords(seen=seen[: joined.sizes["seen"]]).reindex(seen=seen)
    return joined.assign_coords(seed=np.arange(joined.sizes["seed"]))


def _check_agree(tables: Mapping[str, xr.Dataset]) -> None:
    first_name, first = next(iter(tables.items()))
    for name, table in tables.items():
        differing = [key for key in _MUST_AGREE if table.attrs.get(key) != first.attrs.get(key)]
        if differing == ["probe_digest"]:
            raise ComparisonError(
                f"{first_name} and {name} were watched on different probes",
                where=name,
                remedy="give every Watch the same probe and labels",
            )
        if table.sizes["seed"] != first.sizes["seed"]:
            differing.append("number of seeds")
        if differing:
            raise ComparisonError(
                f"{first_name} and {name} differ in {', '.join(differing)}",
                where=name,
                remedy="compare runs that were watched alike, as many seeds of each",
            )
