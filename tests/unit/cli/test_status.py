"""How far experiments are, by the stores that lie there; and which jobs live."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml

from ntkscope.cli import main
from ntkscope.cli.status import experiments
from ntkscope.config import expand, load_files
from ntkscope.config.curves import expand_curves
from ntkscope.config.requested_stores import requested_stores
from ntkscope.runtime import head
from ntkscope.runtime.owner import me
from ntkscope.stores.lock import Lock
from ntkscope.stores.netcdf import write_netcdf
from tests.workflow.project import CURVES, TINY


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workflow of which nothing is there."""
    (tmp_path / "Snakefile").write_text("module ntkscope:", encoding="utf-8")
    (tmp_path / "config").mkdir()
    text = yaml.safe_dump({**TINY, **CURVES})
    (tmp_path / "config/config.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stores(name: str) -> list[Path]:
    asked = requested_stores(load_files("config/config.yaml"), repeats=False)[name]
    return [Path("results") / each for each in sorted(asked)]


def test_what_is_there_counts(folder: Path) -> None:
    assert set(experiments([], Path("results"))["reactivation"].values()) == {
        *("0/1", "0/6", "0/4", "–")
    }
    for store in stores("reactivation"):
        if store.name != "snapshots.zarr":
            store.mkdir(parents=True)
    found = experiments([], Path("results"))["reactivation"]
    assert found["compute_kernels"] == found["train_task"] == "6/6"  # snapshots are used up
    assert (found["measure_kernels"], found["table"], found["figure"]) == ("4/4", "–", "–")
    next(s for s in stores("reactivation") if s.name.startswith("kernels-")).rmdir()
    found = experiments([], Path("results"))["reactivation"]
    assert found["compute_kernels"] == found["train_task"] == "5/6"
    for file in ("figures/reactivation.pdf", "results/experiments/reactivation/table.csv"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    found = experiments([], Path("results"))["reactivation"]
    assert (found["table"], found["figure"]) == ("?", "?")  # of what it was made is not there


def cells_of(experiment: str) -> dict[str, object]:
    cells = expand(load_files("config/config.yaml"), experiment)
    arms = [{"run": cell.run, "twin": cell.twin} for cell in cells]
    metrics = f"metrics-{cells[0].kernel.id}"
    return {
        "cells": [{arm: f"{of.id}/{metrics}" for arm, of in each.items() if of} for each in arms]
    }


def parts_of(experiment: str) -> dict[str, object]:
    parts = expand_curves(load_files("config/config.yaml"), experiment)
    regressions = [[{"regression": spec.id} for spec in each.regressions] for each in parts]
    each = zip(parts, regressions, strict=True)
    return {"parts": [{"networks": part.networks.id, "regressions": of} for part, of in each]}


@pytest.mark.parametrize(
    ("experiment", "file", "record"),
    [("reactivation", "metrics.nc", cells_of), ("scaling", "curves.nc", parts_of)],
)
def test_a_figure_of_other_settings_is_not_this_one(
    experiment: str,
    file: str,
    record: Callable[[str], dict[str, Any]],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = folder / f"results/experiments/{experiment}/{file}"
    write_netcdf(xr.Dataset(), table, "experiment", record(experiment))
    for drawn in (folder / f"figures/{experiment}.pdf", table.with_name("table.csv")):
        drawn.parent.mkdir(exist_ok=True)
        drawn.touch()
    assert main(["status", experiment]) == 0
    said = capsys.readouterr().out
    assert (said.splitlines()[1].split()[-2:], "other" in said) == (["yes", "yes"], False)
    config = yaml.safe_load((folder / "config/config.yaml").read_text(encoding="utf-8"))
    (folder / "config/config.yaml").write_text(yaml.safe_dump({**config, "seeds": [7, 8]}))
    assert main(["status", experiment]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[1].split()[-2:] == ["other", "other"]
    assert "\nother: there, and of runs with other settings than these\n" in said


def test_the_table_and_the_jobs_that_live(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = next(s for s in stores("reactivation") if s.name == "snapshots.zarr")
    state = store.with_name(".snapshots.state")
    state.mkdir(parents=True)
    assert main(["status"]) == 0
    assert "\nnothing runs here\n" in capsys.readouterr().out
    lock = Lock(state / "lock.json")
    lock.acquire()
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert f"running:\n  {store.with_suffix('')}: process {me()['pid']} on" in said
    top, row, *_ = said.splitlines()
    assert top.split()[:3] == ["experiment", "prepare_data", "train_task"]
    assert row.split() == ["reactivation", "0/1", "0/6", "0/6", "0/4", "–", "–"]
    elsewhere = {**me(), "host": "another", "machine": "another"}
    (state / "lock.json").write_text(json.dumps(elsewhere), encoding="utf-8")
    assert main(["status"]) == 0
    assert "on another, last sign of life 0 s ago" in capsys.readouterr().out
    lock.release()
    (state / "lock.json").unlink()
    assert main(["status"]) == 0
    assert "\nnothing runs here\n" in capsys.readouterr().out


def test_a_mistake_in_the_configuration_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "own.yaml").write_text("sedes: [1]", encoding="utf-8")
    assert main(["status", "--config", "own.yaml"]) == 1
    assert "did you mean 'seeds'?" in capsys.readouterr().err


def test_a_configuration_by_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = {**TINY, "preset": "mine", "experiments": {"mine": TINY["experiments"]["reactivation"]}}
    (folder / "own.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    for words, rows in ([], 4), (["--replace-workflow-config"], 2):
        assert main(["status", "--config", "own.yaml", *words]) == 0
        table, _, rest = capsys.readouterr().out.partition("\n\n")
        assert ("mine" in table, len(table.splitlines())) == (True, rows)
        assert rest.endswith(
            f": ntkscope status {' '.join(['--config own.yaml', *words, '--why'])}\n"
        )


def test_configurations_named_apart_are_all_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "one.yaml").write_text("sedes: [1]", encoding="utf-8")
    (folder / "two.yaml").write_text("preset: two", encoding="utf-8")
    assert main(["status", "--config", "one.yaml", "--config", "two.yaml"]) == 1
    assert "one.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("signer", "said"),
    [
        ({}, "Snakemake runs here (process PID on "),
        ({"started": -5.0}, "Snakemake was killed here, and the next command goes on from there"),
        (
            {"host": "another", "machine": "another"},
            "Snakemake runs here or was killed (process PID on another), which nobody",
        ),
        (None, "Snakemake runs here or was killed, which nobody here knows; if it does not run: "),
    ],
)
def test_whose_lock_it_is_and_whether_it_lives(
    signer: dict[str, object] | None,
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / ".snakemake/locks").mkdir(parents=True)
    (folder / ".snakemake/locks/0.input.lock").touch()
    if signer is not None:
        with monkeypatch.context() as patch:
            patch.setattr(head, "me", lambda: {**me(), **signer})
            head.sign_locks()
    assert main(["status"]) == 0
    line = capsys.readouterr().out.splitlines()[-2]
    assert line.startswith(said.replace("PID", str(os.getpid())))
    assert line.endswith("; no job writes a store just now")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reactivatoin"], "no experiment 'reactivatoin'; did you mean 'reactivation'?"),
        (["--results", "nowhere"], "there is no such folder\n  where: nowhere"),
        (
            ["--config", "seeds=[0]"],
            "--config names files, and 'seeds=[0]' is none\n  to do: write",
        ),
        (["--config", "config.yaml"], "did you mean 'config/config.yaml'?"),
    ],
)
def test_what_is_not_there(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", *words]) == 1
    assert said in capsys.readouterr().err


def test_one_experiment_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "scaling"]) == 0
    said = capsys.readouterr().out
    assert "\nscaling " in said
    assert "\nreactivation " not in said


def test_results_of_a_module_with_a_prefix_are_pointed_to(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "ntk" / "results").mkdir(parents=True)
    assert main(["status"]) == 0
    assert "ntkscope status --results ntk/results" in capsys.readouterr().out
    assert main(["status", "--results", "ntk/results"]) == 0
    assert "there is no results/ here" not in capsys.readouterr().out
