"""Killed, locked and orphaned: nothing is lost, and nobody writes what another is writing."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ntkscope.config import expand, load_files
from tests.workflow.project import Project, kill

TRAINING = "results/runs/*/.snapshots.state/state.safetensors"
TAKING = "results/runs/*/.kernels-*.state/store.zarr/complete/c/*"
MOST_KILLS = 60


@pytest.fixture
def slower(project: Project) -> Project:
    """A task long enough to be caught at work, with a checkpoint after every step."""
    project.change("experiments.reactivation.model.width", [64])
    project.change("experiments.reactivation.stream.steps", 300)
    project.change("resources.checkpoint_seconds", 0)
    return project


def first_task(project: Project) -> tuple[str, str]:
    """Snapshots and kernels of the first task of a run: a job each."""
    cell = expand(load_files(project.root / "config/config.yaml"), "reactivation")[0]
    assert cell.run.parent
    folder = f"results/runs/{cell.run.parent.id}"
    return f"{folder}/snapshots.zarr", f"{folder}/kernels-{cell.kernel.id}.zarr"


def take(project: Project, store: str) -> dict[str, bytes]:
    """Removes a store; gives the bytes of its arrays (its provenance is never the same)."""
    folder = project.root / store
    files = [file for file in folder.rglob("c/**/*") if file.is_file()]
    found = {str(file.relative_to(folder)): file.read_bytes() for file in files}
    shutil.rmtree(folder)
    assert found
    return found


def kill_in(project: Project, sign: str, target: str) -> None:
    """SIGKILL of the head and its job in the middle of a job."""
    process = project.start(target)
    project.wait_for(sign, process)
    kill(process)
    assert not (project.root / target).exists()
    assert project.files(".snakemake/locks/*")


@pytest.mark.slow
def test_killed_while_it_trains_it_ends_with_the_same_bits(slower: Project) -> None:
    target, _ = first_task(slower)
    slower.build(target, "--config", "resources={checkpoint_seconds: 60, device: cpu}")
    whole = take(slower, target)
    kill_in(slower, TRAINING, target)
    slower.build(target)
    assert "going on from step" in slower.files("logs/train_task/*-w64-*")[0].read_text("utf-8")
    assert take(slower, target) == whole


@pytest.mark.slow
def test_killed_while_it_takes_kernels_it_ends_with_the_same_bits(slower: Project) -> None:
    slower.change("experiments.reactivation.model.width", [256])
    slower.change("experiments.reactivation.snapshots.around_boundary", 150)
    slower.change("experiments.reactivation.probe.samples", 100)
    _, target = first_task(slower)
    slower.build(target)
    whole = take(slower, target)
    kill_in(slower, TAKING, target)
    assert slower.plan(target) == {"compute_kernels": 1}
    slower.build(target)
    assert take(slower, target) == whole


@pytest.mark.slow
def test_ended_by_ctrl_c_it_goes_on_without_more_ado(slower: Project) -> None:
    slower.change("experiments.reactivation.stream.steps", 1500)
    target, _ = first_task(slower)
    process = slower.start(target)
    slower.wait_for(TRAINING, process)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()
    assert process.returncode != 0
    slower.build(target)
    assert "going on from step" in slower.files("logs/train_task/*-w64-*")[0].read_text("utf-8")


def test_a_second_head_is_refused_and_a_job_beside_an_orphan_waits(slower: Project) -> None:
    slower.change("experiments.reactivation.stream.steps", 30_000)
    target, _ = first_task(slower)
    head = slower.start(target)
    try:
        slower.wait_for("results/runs/*/.snapshots.state/identity", head)
        second = slower.snakemake(target)
        os.kill(head.pid, signal.SIGKILL)  # the head alone: its job lives on
        head.wait()
        third = slower.start(target)
        while not (waits := says(slower, f" on {socket.gethostname()}, which has the lock")):
            assert third.poll() is None
            time.sleep(0.1)
        kill(third)
    finally:
        kill(head)
    assert second.returncode != 0
    assert f"Snakemake runs here (process {head.pid} on {socket.gethostname()})" in second.stdout
    assert waits


def says(project: Project, words: str) -> bool:
    """Whether a training's log, which each attempt begins anew, has some words."""
    with suppress(FileNotFoundError):
        return any(words in log.read_text("utf-8") for log in project.files("logs/train_task/*"))
    return False


@pytest.mark.slow
def test_killed_again_and_again_it_draws_the_same_figure(finished: Project, tmp_path: Path) -> None:
    cut = Project.make(tmp_path / "cut", finished.config)
    cut.change("resources.checkpoint_seconds", 0)
    chance = random.Random(0)
    kills = list(takewhile(bool, (killed_at_work(cut, chance) for _ in range(MOST_KILLS))))
    assert 3 < len(kills) < MOST_KILLS
    assert cut.plan() == {}
    tables = [metrics_of(project) for project in (cut, finished)]
    for name in tables[0].data_vars:
        np.testing.assert_array_equal(tables[0][name], tables[1][name])
    figures = [(each.root / "figures/reactivation.pdf").read_bytes() for each in (cut, finished)]
    assert figures[0] == figures[1]


def killed_at_work(project: Project, chance: random.Random) -> bool:
    """Kill the workflow when its jobs have written something; False if it ended before."""
    before, process = written(project), project.start()
    while process.poll() is None and written(project) <= before:
        time.sleep(0.05)
    try:
        said, _ = process.communicate(timeout=chance.uniform(0, 3))
    except subprocess.TimeoutExpired:
        kill(process)
        return True
    assert process.returncode == 0, said
    return False


def written(project: Project) -> set[Path]:
    """What jobs have saved and finished."""
    patterns = ("results/runs/*/.*.state/state.safetensors", "results/benchmarks/*/*.tsv")
    deeper = "results/benchmarks/*/*/*.tsv"  # and never into stores, which come and go meanwhile
    return {file for pattern in (*patterns, deeper) for file in project.files(pattern)}


def metrics_of(project: Project) -> xr.Dataset:
    return xr.load_dataset(
        project.root / "results/experiments/reactivation/metrics.nc", engine="h5netcdf"
    )
