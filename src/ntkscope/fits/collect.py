"""The metrics of an experiment's runs and their twins, side by side in one table.

A table of kind `experiment` has the sweep's axes as dimensions, in the order of the configuration,
then `arm` (shift, twin), `seed`, `snapshot` and, where a variable has them, `layer`, `seen` or
`rank`.
Its variables are those of the metrics tables, and:

* `present` (axes…, arm): whether there is such a run. Elsewhere floats are NaN, steps −1.
* `step` and `task`: coordinates of `snapshot` where all cells share their steps, else variables
  (axes…, snapshot), padded with −1 and 0.
* `boundary_step` (axes…, boundary): padded with −1.

The seeds of a point may be in several runs: cells of the same axes, which are joined along `seed`.

The attribute `axes` lists the sweep's dimensions, separated by spaces. An axis whose name is also a
metric's (`loss`) has `_axis` after it. `axes` says how their values are written. What is known of a
regime or a variant beside its name is a coordinate along it, such as `variant_role`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.errors import StoreError, replaced
from ntkscope.fits.axes import Axes, CellFiles, Index, axes_of, coordinate, facts_of, place_of
from ntkscope.fits.runs_table import write_runs
from ntkscope.stores import read_netcdf, write_netcdf

ARMS = ("shift", "twin")

_MUST_AGREE = ("dt", "kernel", "normalisation")
_PADDING = {"step": -1, "task": 0, "boundary_step": -1, "diverged_step": -1, "dead_step": -1}


def collect_metrics(
    cells: Sequence[CellFiles], output: Path, record: dict[str, Any], runs: Path | None = None
) -> None:
    """Write the metrics of all cells of a sweep as one table, and which runs they are of.

    Args:
        cells: for each point of the sweep, or each run of some of its seeds, `axes` (key → value),
            `run` (path of its metrics), `twin` (path of its twin's, or None) and, if anything is
            known, `facts` (`axes`).
        output: the NetCDF file.
        record: provenance.
        runs: the CSV file of `runs_table`; None: none.

    Raises:
        StoreError: a table is missing or damaged, or two of them cannot be compared: other seeds,
            another dt or kernel, a twin with other steps than its run, or runs of one point with
            other steps or another probe.
    """
    began = time.monotonic()
    paths = dict.fromkeys(str(c[arm]) for c in cells for arm in ("run", "twin") if c[arm])
    data = experiment_table(cells, {path: read_netcdf(path, "metrics") for path in paths})
    record = record | {"wall_seconds": time.monotonic() - began}
    write_netcdf(data, output, "experiment", record)
    if runs is not None:
        write_runs(cells, runs)


def experiment_table(cells: Sequence[CellFiles], tables: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """The metrics of all cells of a sweep as one table of kind `experiment`.

    Args:
        cells: as of `collect_metrics`; `run` and `twin` are keys of `tables`.
        tables: of kind `metrics`.

    Raises:
        StoreError: two of them cannot be compared.
    """
    axes = axes_of(cells)
    seeds = _seeds(cells, axes, tables)
    tables = _comparable(cells, tables)
    collected = _lay_out(cells, axes, tables, seeds)
    names = {name: f"{name}_axis" if name in collected else name for name in axes}
    data = xr.Dataset(
        {name: _renamed(variable, names) for name, variable in collected.items()},
        {names[name]: coordinate(values) for name, values in axes.items()}
        | facts_of(cells, axes)
        | _coords(tables, seeds),
    )
    first = next(iter(tables.values()))
    kept = {key: value for key, value in first.attrs.items() if key in (*_MUST_AGREE, "samples")}
    return _share_steps(data).assign_attrs(kept, axes=" ".join(names.values()))


def _seeds(
    cells: Sequence[CellFiles], axes: Axes, tables: Mapping[str, xr.Dataset]
) -> NDArray[np.int64]:
    """The seeds of every point, those of its runs one behind the other."""
    points: dict[Any, list[str]] = {}
    for cell in cells:
        for arm in ("run", "twin"):
            if cell[arm]:
                points.setdefault((place_of(cell, axes), arm), []).append(str(cell[arm]))
    found: NDArray[np.int64] | None = None
    for paths in points.values():
        runs = [tables[path] for path in paths]
        for run, path in zip(runs[1:], paths[1:], strict=True):
            _check_seeds(runs[0], run, path)
        seeds = np.concatenate([run["seed"].values for run in runs])
        found = seeds if found is None else found
        if not np.array_equal(seeds, found) or len(np.unique(seeds)) < len(seeds):
            raise _incomparable(["seeds"], paths[-1])
    assert found is not None
    return found


def _check_seeds(first: xr.Dataset, other: xr.Dataset, path: str) -> None:
    """Refuse a run that is not of other seeds of the same point."""
    keys = ("probe_digest", "precision", "samples")
    differing = [key for key in keys if first.attrs.get(key) != other.attrs.get(key)]
    if differing or not _same_steps(first, other):
        raise _incomparable(differing or ["steps"], path)


def _comparable(
    cells: Sequence[CellFiles], tables: Mapping[str, xr.Dataset]
) -> dict[str, xr.Dataset]:
    """The tables, all of the same dims."""
    first = next(iter(tables.values()))
    for path, table in tables.items():
        _check_comparable(first, table, path)
    for cell in cells:
        if cell["twin"]:
            _check_twin(tables[str(cell["run"])], tables[str(cell["twin"])], cell["twin"])
    return _of_one_shape(tables)


def _check_comparable(first: xr.Dataset, table: xr.Dataset, path: str) -> None:
    differing = [key for key in _MUST_AGREE if first.attrs.get(key) != table.attrs.get(key)]
    if differing:
        raise _incomparable(differing, path)


def _incomparable(differing: Sequence[str], path: str) -> StoreError:
    what = f"metrics of other {', '.join(differing)} cannot be compared"
    return StoreError(what, where=path, remedy=replaced(path))


def _check_twin(run: xr.Dataset, twin: xr.Dataset, path: Any) -> None:
    if not _same_steps(run, twin):
        raise StoreError("a twin has other steps than its run", where=path, remedy=replaced(path))


def _same_steps(first: xr.Dataset, other: xr.Dataset) -> bool:
    same = np.array_equal(first["step"].values, other["step"].values)
    return same and np.array_equal(_boundaries(first), _boundaries(other))


def _boundaries(table: xr.Dataset) -> NDArray[np.int64]:
    return np.atleast_1d(np.asarray(table.attrs["boundaries"], np.int64))


def _of_one_shape(tables: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """The tables padded to the longest stream, and to all layers, ranks and tasks seen."""
    layers = list(
        dict.fromkeys(n for t in tables.values() for n in t.get("layer", xr.DataArray([])).values)
    )
    longest = {
        "snapshot": np.arange(max(table.sizes["snapshot"] for table in tables.values())),
        "seen": np.arange(1, 1 + max(table.sizes["seen"] for table in tables.values())),
        "boundary": np.arange(1, 1 + max(len(_boundaries(table)) for table in tables.values())),
        "rank": np.arange(1, 1 + max(table.sizes.get("rank", 0) for table in tables.values())),
    } | ({"layer": np.asarray(layers)} if layers else {})
    return {path: _padded(table, longest) for path, table in tables.items()}


def _padded(table: xr.Dataset, indexes: dict[str, NDArray[Any]]) -> xr.Dataset:
    edges = _boundaries(table)
    whole = table.reset_coords(["step", "task"]).assign(boundary_step=("boundary", edges))
    own = {"snapshot": np.arange(table.sizes["snapshot"]), "boundary": np.arange(1, len(edges) + 1)}
    fill = {name: _PADDING.get(str(name), np.nan) for name in whole.data_vars}
    known = {name: index for name, index in indexes.items() if name in whole.dims}
    return whole.assign_coords(own).reindex(known, fill_value=fill)


def _lay_out(
    cells: Sequence[CellFiles],
    axes: Axes,
    tables: dict[str, xr.Dataset],
    seeds: NDArray[np.int64],
) -> dict[str, xr.Variable]:
    """Every variable over the sweep's axes, filled cell by cell."""
    shape = tuple(len(values) for values in axes.values())
    laid = {"present": xr.Variable((*axes, "arm"), np.zeros((*shape, len(ARMS)), bool))}
    for table in tables.values():
        for name, variable in table.data_vars.items():
            if name not in laid:
                laid[str(name)] = _empty(str(name), variable.variable, axes, shape, len(seeds))
    for cell in cells:
        place = place_of(cell, axes)
        for arm, path in enumerate((cell["run"], cell["twin"])):
            if path:
                _fill(laid, tables[str(path)], place, arm, seeds)
    return laid


def _empty(name: str, like: xr.Variable, axes: Axes, shape: Index, seeds: int) -> xr.Variable:
    """A variable over the axes and all seeds, and over both arms unless the arms share it."""
    padding = _PADDING.get(name, np.nan)
    arms = () if name in ("step", "task", "boundary_step") else (len(ARMS),)
    dims = (*axes, *(("arm",) if arms else ()), *like.dims)
    own = (seeds if dim == "seed" else size for dim, size in like.sizes.items())
    values = np.full((*shape, *arms, *own), padding, like.dtype)
    return xr.Variable(dims, values, like.attrs)


def _fill(
    laid: dict[str, xr.Variable],
    table: xr.Dataset,
    place: Index,
    arm: int,
    seeds: NDArray[np.int64],
) -> None:
    """Put in a run's variables, at its seeds."""
    first = int(np.flatnonzero(seeds == table["seed"].values[0])[0])
    mine = slice(first, first + table.sizes["seed"])
    for name, variable in table.data_vars.items():
        target = laid[str(name)]
        own = (mine if dim == "seed" else slice(None) for dim in variable.dims)
        target.values[(*place, *((arm,) if "arm" in target.dims else ()), *own)] = variable.values
    laid["present"].values[(*place, arm)] = True


def _renamed(variable: xr.Variable, names: Mapping[str, str]) -> xr.Variable:
    return variable._replace(dims=tuple(names.get(str(dim), str(dim)) for dim in variable.dims))


def _coords(tables: dict[str, xr.Dataset], seeds: NDArray[np.int64]) -> dict[str, Any]:
    first = next(iter(tables.values()))
    names = [name for name in ("boundary", "layer", "seen", "rank") if name in first.coords]
    return {"arm": np.asarray(ARMS), "seed": seeds} | {name: first[name].variable for name in names}


def _share_steps(data: xr.Dataset) -> xr.Dataset:
    """`step` and `task` as coordinates of the snapshots where no two cells differ in them."""
    shared = {}
    for name in ("step", "task"):
        rows = data[name].values.reshape(-1, data.sizes["snapshot"])
        rows = rows[data["present"].values.any(axis=-1).ravel()]
        if not (rows == rows[0]).all():
            return data
        shared[name] = ("snapshot", rows[0], data[name].attrs)
    return data.drop_vars(list(shared)).assign_coords(shared)
