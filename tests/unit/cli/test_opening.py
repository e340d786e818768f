"""`ntkscope open`: where things lie and what is in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ntkscope.cli import main
from ntkscope.fits.runs_table import write_runs
from ntkscope.stores.netcdf import write_netcdf
from tests.unit.metrics.conftest import write_kernels


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment of two widths, with the kernels of one."""
    half = np.random.default_rng(0).standard_normal((2, 3, 5, 8))
    kernels = np.einsum("stik,stjk->stij", half, half).astype("f4")
    runs, mine = tmp_path / "results/runs", tmp_path / "results/experiments/mine"
    for task, steps in ((1, [0, 1, 2]), (2, [3, 5, 6])):
        write_kernels(runs / f"run{task}-4/kernels-k.zarr", kernels, steps, task)
    cells = [
        {
            "axes": {"regime": "lazy", "width": width},
            "run": runs / f"run2-{width}/metrics-k.nc",
            "twin": None,
            "lineage": {"run": [f"run1-{width}", f"run2-{width}"]},
            "seeds": [0, 1],
        }
        for width in (4, 64)
    ]
    mine.mkdir(parents=True)
    write_runs(cells, mine / "runs.csv")
    table = xr.Dataset({"velocity": ("step", np.zeros(3))})
    write_netcdf(table, mine / "metrics.nc", "experiment", {})
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/mine.pdf").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_tables_and_figures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["open", "mine"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "table    results/experiments/mine/metrics.nc",
        "table    results/experiments/mine/runs.csv",
        "figure   figures/mine.pdf",
    ]
    assert any("velocity" in line for line in lines)


def test_the_kernels_of_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["open", "mine", "width=4", "seed=1", "arm=shift"]) == 0
    said = capsys.readouterr().out
    for task in (1, 2):
        assert f"kernels  results/runs/run{task}-4/kernels-k.zarr\n" in said
    assert "(seed: 1, snapshot: 6, " in said.replace("Dimensions:  ", "").replace("  ", " ")


def test_the_kernels_of_seeds_in_two_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernels = np.einsum("stik,stjk->stij", *2 * [np.ones((1, 3, 5, 8))]).astype("f4")
    write_kernels(folder / "results/runs/more-4/kernels-k.zarr", kernels, [0, 1, 2], 1, seeds=[7])
    cells = [
        {
            "axes": {"width": 4},
            "run": folder / f"results/runs/{run}/metrics-k.nc",
            "twin": None,
            "lineage": {"run": [run]},
            "seeds": seeds,
        }
        for run, seeds in (("run1-4", [0, 1]), ("more-4", [7]))
    ]
    write_runs(cells, folder / "results/experiments/mine/runs.csv")
    assert main(["open", "mine", "width=4"]) == 0
    said = capsys.readouterr().out
    for run in ("run1-4", "more-4"):
        assert f"kernels  results/runs/{run}/kernels-k.zarr\n" in said
    assert "(seed: 3, snapshot: 3, " in said.replace("Dimensions:  ", "").replace("  ", " ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mime"], "no tables of 'mime'; did you mean 'mine'?"),
        (["mine", "width"], "'width' chooses nothing\n  to do: write key=value"),
        (["mine", "width=4", "seed=all"], "'seed=all' chooses nothing"),
        (["mine", "width=5"], "no run with width = '5'"),
        (["mine", "regime=lazy"], "several runs fit"),
    ],
)
def test_mistakes(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["open", *words]) == 1
    assert said in capsys.readouterr().err
