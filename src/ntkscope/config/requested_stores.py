"""Which stores of `results/` a configuration asks for, by experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ntkscope.config.curves import Curves, expand_curves
from ntkscope.config.expand import expand
from ntkscope.config.repeats import repeated_cells, repeated_curves
from ntkscope.config.sections import Config
from ntkscope.config.sweep_checks import Cell


def requested_stores(config: Config, repeats: bool = True) -> dict[str, set[str]]:
    """Experiment → its stores, relative to `results/`: data, runs, kernels, metrics, networks, ….

    Those of data sets that are absent here and, with `repeats`, of experiments with other rounding
    count as well, so that what is not among them is asked for in no case.
    """
    found = {}
    for name in config.experiments:
        cells = expand(config, name)
        every_cell = (*cells, *repeated_cells(cells)) if repeats else cells
        found[name] = {store for cell in every_cell for store in _of(cell)}
    for name in config.learning_curves:
        curves = expand_curves(config, name)
        every = (*curves, *repeated_curves(curves)) if repeats else curves
        found[name] = {store for each in every for store in _of_curves(each)}
    return found


def stores_of_table(record: Mapping[str, Any]) -> set[str]:
    """The metrics, or networks and regressions, that an experiment's table was made of.

    Args:
        record: the table's provenance.
    """
    cells, parts = record.get("cells", []), record.get("parts", [])
    runs = {cell.get(arm) for cell in cells for arm in ("run", "twin")} - {None}
    regressions = {each["regression"] for part in parts for each in part["regressions"]}
    return {
        *(f"runs/{run}.nc" for run in runs),
        *(f"networks/{part['networks']}/networks.zarr" for part in parts),
        *(f"regressions/{each}.zarr" for each in regressions),
    }


def _of(cell: Cell) -> Iterator[str]:
    for run in filter(None, (cell.run, cell.twin)):
        yield f"data/{run.dataset.id}.zarr"
        yield f"runs/{run.id}/metrics-{cell.kernel.id}.nc"
        for each in run.lineage:
            yield f"runs/{each.id}/snapshots.zarr"
            yield f"runs/{each.id}/kernels-{cell.kernel.id}.zarr"


def _of_curves(curves: Curves) -> Iterator[str]:
    if curves.task.dataset:
        yield f"data/{curves.task.dataset.id}.zarr"
    yield f"networks/{curves.networks.id}/networks.zarr"
    yield f"tasks/{curves.networks.counts.store_of(curves.networks.task)}.zarr"
    for spec in curves.regressions:
        yield f"tasks/{spec.counts.store_of(spec.task)}.zarr"
        yield f"regressions/{spec.id}.zarr"
