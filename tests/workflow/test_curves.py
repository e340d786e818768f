"""Learning curves through the whole DAG, from digits to the figure, its exponents and verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

from tests.workflow.project import CURVES, Project

JOBS = {
    "prepare_data": 1,
    "prepare_task": 3,
    "train_networks": 1,
    "regress_kernels": 4,
    "collect_curves": 1,
    "fit_curves": 1,
    "write_exponents": 1,
    "write_findings": 1,
    "draw_curves": 1,
}
IN_TABLES = {key: 1 for key in list(JOBS)[4:]}
SCALING = "learning_curves.scaling"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.make(tmp_path_factory.mktemp("curves") / "built", CURVES)
    assert project.plan() == JOBS
    project.build()
    return project


@pytest.fixture
def curves(built: Project, tmp_path: Path) -> Project:
    """A copy of the finished workflow."""
    return built.copy(tmp_path / "project")


def test_everything_is_made_and_a_second_call_does_nothing(built: Project) -> None:
    for file in ("figures/scaling.pdf", "figures/scaling.png", "figures/scaling.rst"):
        assert (built.root / file).exists()
    for name in ("exponents", "findings/limitations"):
        assert all(
            (built.root / f"results/{name}.{kind}").exists() for kind in ("csv", "md", "tex")
        )
    folder = built.root / "results/experiments/scaling"
    with xr.open_dataset(folder / "curves.nc", engine="h5netcdf") as table:
        assert set(table["curve"].values) == {"network", "infinite", "initial", "after", "during"}
    assert built.files("results/**/.*.state") == []
    assert "Nothing to be done" in built.build()


def test_more_samples_retrain_and_leave_the_kernels_before_training(curves: Project) -> None:
    curves.change(f"{SCALING}.samples.network", [20, 40, 80, 160])
    again = {"prepare_task": 1, "train_networks": 1, "regress_kernels": 2}
    assert curves.plan() == {**again, **IN_TABLES}


def test_another_ridge_or_kernel_trains_nothing(curves: Project) -> None:
    curves.change(f"{SCALING}.kernels.during", [3])
    assert curves.plan() == {"regress_kernels": 1, **IN_TABLES}


def test_another_range_of_the_fits_regresses_nothing(curves: Project) -> None:
    curves.change(f"{SCALING}.fits.range", [20, 100])
    assert curves.plan() == {key: 1 for key in IN_TABLES if key != "collect_curves"}


def test_two_settings_that_are_exchanged_have_changed(curves: Project) -> None:
    """Though Snakemake looks at the values of params alone."""
    fits = "results/experiments/scaling/fits.nc"
    for error, confidence in ((0.9, 0.95), (0.95, 0.9)):
        settings = {"range": [20, 80], "error_at_most": error, "confidence": confidence}
        curves.change(f"{SCALING}.fits", settings)
        curves.build(fits)
        with xr.open_dataset(curves.root / fits, engine="h5netcdf") as table:
            assert table.attrs["confidence"] == confidence


def test_a_label_only_makes_tables_again(curves: Project) -> None:
    curves.change(f"{SCALING}.label", "another name")
    assert curves.plan() == IN_TABLES
