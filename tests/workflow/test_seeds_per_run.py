"""Seeds in several runs: the same numbers as in one, and only what is new is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ntkscope import open_kernels
from ntkscope.config import Cell, expand, load_config
from ntkscope.config.specs import RunSpec
from ntkscope.data import prepare_data
from ntkscope.fits import collect_metrics
from ntkscope.kernels import compute_kernels
from ntkscope.metrics import measure_kernels
from ntkscope.stores import read_netcdf
from ntkscope.training import train_task
from tests.workflow.project import ALL_JOBS, TINY, Project

TABLES = "results/experiments/reactivation"
AT: dict[str, Any] = {"regime": "feature", "width": 8}
SEEDS = [3, 0, 2]
ONE_WIDTH = TINY | {
    "experiments": {
        "reactivation": TINY["experiments"]["reactivation"]
        | {"model": {"kind": "mlp", "depth": 2, "width": 8}}
    }
}

RTOL, ATOL = 1e-4, 1e-5
"""Rounding of float32 after 24 steps, as in the tests of training; other seeds differ by 0.003
and more."""


class Made:
    """The jobs of a configuration, each once, without Snakemake."""

    def __init__(self, root: Path, **changed: Any) -> None:
        root.mkdir()
        self.root, self.config = root, load_config(ONE_WIDTH | {"seeds": SEEDS} | changed)
        self.cells = expand(self.config, "reactivation")
        self.images = root / "images.zarr"
        spec = self.cells[0].run.dataset
        prepare_data(self.config.dataset, spec, self.images, state=root / ".images", identity={})

    def snapshots(self, run: RunSpec) -> Path:
        made = self.root / run.id / "snapshots.zarr"
        if not made.exists():
            parent = self.snapshots(run.parent) if run.parent else None
            train_task(run, self.images, parent, made, state=made.with_name(".state"), stage="")
        return made

    def kernels(self, run: RunSpec, cell: Cell) -> Path:
        made = self.root / run.id / f"kernels-{cell.kernel.id}.zarr"
        if not made.exists():
            snapshots, state = self.snapshots(run), made.with_name(".kernels")
            compute_kernels(run, cell.kernel, self.images, snapshots, made, state=state, stage="")
        return made

    def metrics(self, run: RunSpec, cell: Cell) -> Path:
        made = self.root / run.id / f"metrics-{cell.kernel.id}.nc"
        if not made.exists():
            kernels = [self.kernels(each, cell) for each in run.lineage]
            snapshots = [self.snapshots(each) for each in run.lineage]
            edges = list(run.boundaries)
            measure_kernels(kernels, snapshots, made, boundaries=edges, dt=1, record={})
        return made

    def row(self, cell: Cell) -> dict[str, Any]:
        """As rules/common.smk has it."""
        runs = {"run": cell.run, "twin": cell.twin}
        return {
            "axes": cell.axes,
            "facts": cell.facts,
            **{arm: self.metrics(run, cell) for arm, run in runs.items() if run},
            "lineage": {arm: [r.id for r in run.lineage] for arm, run in runs.items() if run},
            "seeds": list(cell.run.seeds),
        }

    def table(self) -> xr.Dataset:
        folder = self.root / "experiments"
        folder.mkdir(exist_ok=True)
        rows = [self.row(cell) for cell in self.cells]
        collect_metrics(rows, folder / "metrics.nc", {}, folder / "runs.csv")
        return read_netcdf(folder / "metrics.nc", "experiment")

    def ntk(self) -> xr.DataArray:
        return open_kernels(self.root / "experiments", **AT, arm="twin")["ntk"]


def test_seeds_in_two_runs_have_the_numbers_of_one(tmp_path: Path) -> None:
    one, two = Made(tmp_path / "one"), Made(tmp_path / "two", seeds_per_run=2)
    assert [cell.run.seeds for cell in one.cells] == [(3, 0, 2)]
    assert [cell.run.seeds for cell in two.cells] == [(3, 0), (2,)]
    first, second = one.table(), two.table()
    assert second["seed"].values.tolist() == SEEDS
    assert first.attrs.keys() == second.attrs.keys()
    assert list(first.variables) == list(second.variables)
    for name, variable in first.variables.items():
        other = second.variables[name]
        assert (other.dims, other.attrs) == (variable.dims, variable.attrs)
        if variable.dtype.kind == "f":
            np.testing.assert_allclose(other, variable, rtol=RTOL, atol=ATOL, err_msg=str(name))
        else:
            np.testing.assert_array_equal(other, variable, err_msg=str(name))
    assert two.ntk()["seed"].values.tolist() == SEEDS
    np.testing.assert_allclose(two.ntk(), one.ntk(), rtol=RTOL, atol=ATOL)


NEW = {rule: jobs for rule, jobs in ALL_JOBS.items() if rule != "prepare_data"}
"""Of one more run at each of two widths, with its twin."""


def test_what_a_seed_more_and_a_seed_less_run(project: Project) -> None:
    project.change("seeds_per_run", 2)
    assert project.plan() == {}
    project.change("seeds", [0, 1, 2])
    assert project.plan() == NEW
    project.change("seeds", [0, 1, 2, 3])
    assert project.plan() == NEW
    project.change("seeds", [0])
    assert project.plan() == NEW


@pytest.mark.slow
def test_a_seed_more_trains_itself_alone_and_going_back_trains_nothing(project: Project) -> None:
    first = read_netcdf(project.root / TABLES / "metrics.nc", "experiment")
    project.change("seeds_per_run", 2)
    project.change("seeds", [0, 1, 2])
    before = {file: file.stat().st_mtime_ns for file in project.files("results/runs/*/*")}
    project.build()
    assert {file: file.stat().st_mtime_ns for file in before} == before
    runs = project.files("results/runs/*")
    assert len(runs) == 12
    second = read_netcdf(project.root / TABLES / "metrics.nc", "experiment")
    assert second["seed"].values.tolist() == [0, 1, 2]
    xr.testing.assert_identical(second.isel(seed=slice(2)).drop_attrs(), first.drop_attrs())
    assert np.isfinite(second["trace"].sel(seed=2)).all()
    kernels = open_kernels("reactivation", project.root / "results", **AT, arm="shift")
    traces = np.trace(kernels["ntk"].values, axis1=-2, axis2=-1)
    np.testing.assert_allclose(traces, second["trace"].sel(AT | {"arm": "shift"}), rtol=1e-5)
    assert project.plan() == {}
    project.change("seeds", [0, 1])
    tables = {rule: jobs for rule, jobs in NEW.items() if jobs == 1}
    assert project.plan() == tables
