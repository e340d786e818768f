"""Jobs of every stage killed at random moments, again and again: the same bits at the end."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from ntkscope.config import expand, load_files
from ntkscope.config.curves import expand_curves
from ntkscope.data import prepare_data, prepare_task
from ntkscope.fits import collect_metrics, fit_experiment
from ntkscope.kernels import compute_kernels
from ntkscope.metrics import measure_kernels
from ntkscope.regression import regress_kernels
from ntkscope.runtime.logs import job_log
from ntkscope.stores.atomic_write import remove
from ntkscope.training import train_networks, train_task
from tests.workflow.caught import FIGURE, TRAINING, Caught
from tests.workflow.project import MINI, Project

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
TASK = "reactivation"

Job = Callable[[Path], None]
"""Makes an output, with its state beside it."""


def jobs_of_streams(made: Path) -> Iterator[tuple[str, Job]]:
    """The jobs of one run, in order; what the ones before made lies in `made`."""
    config = load_files(MINI)
    cell = expand(config, TASK)[0]
    runs = cell.run.lineage
    images = made / "prepare_data.zarr"
    data = partial(prepare_data, config.dataset, cell.run.dataset, identity={})
    yield "prepare_data.zarr", partial(_with_state, data)
    for number, run in enumerate(runs):
        parent = made / f"train_task-{number - 1}.zarr" if number else None
        train = partial(train_task, run, images, parent, stage="", checkpoint_seconds=0)
        yield f"train_task-{number}.zarr", partial(_with_state, train)
        snapshots = made / f"train_task-{number}.zarr"
        take = partial(compute_kernels, run, cell.kernel, images, snapshots, stage="")
        yield f"compute_kernels-{number}.zarr", partial(_with_state, take)
    kernels, snapshots_of_all = (
        [made / f"{stage}-{number}.zarr" for number in range(len(runs))]
        for stage in ("compute_kernels", "train_task")
    )
    boundaries = list(cell.run.boundaries)
    measure = partial(measure_kernels, kernels, snapshots_of_all, boundaries=boundaries)
    yield "measure_kernels.nc", partial(measure, dt=1, record={})


def jobs_of_curves(made: Path) -> Iterator[tuple[str, Job]]:
    """The jobs of one learning curve."""
    config = load_files(MINI)
    curve = expand_curves(config, next(iter(config.learning_curves)))[0]
    networks, regression = curve.networks, curve.regressions[-1]
    if networks.task.dataset:
        data = partial(prepare_data, curve.dataset, networks.task.dataset, identity={})
        yield "images.zarr", partial(_with_state, data)
    images = made / "images.zarr"
    for number, spec in enumerate((networks, regression)):
        samples = partial(prepare_task, spec.task, spec.counts, images, stage="")
        yield f"prepare_task-{number}.zarr", partial(_with_state, samples)
    train = partial(train_networks, networks, made / "prepare_task-0.zarr", stage="")
    yield "train_networks.zarr", partial(_with_state, partial(train, checkpoint_seconds=0))
    inputs = (made / "prepare_task-1.zarr", made / "train_networks.zarr")
    regress = partial(regress_kernels, regression, *inputs, stage="")
    yield "regress_kernels.zarr", partial(_with_state, regress)


def _with_state(job: Callable[..., object], output: Path) -> None:
    job(output=output, state=output.with_name(f".{output.stem}.state"))


def jobs_of_tables(made: Path) -> Iterator[tuple[str, Job]]:
    """From a run's metrics to a table of fits."""
    table = made / "measure_kernels.nc"
    cells: list[Any] = [{"axes": {"width": 4}, "facts": {}, "run": table, "twin": table}]
    yield "collect_metrics.nc", partial(_collect, cells)
    fit = partial(fit_experiment, made / "collect_metrics.nc", window=3, confidence=0.9, record={})
    yield "fit_experiment.nc", partial(_fit, fit)


def _collect(cells: Any, output: Path) -> None:
    collect_metrics(cells, output, record={})


def _fit(fit: Callable[[Path, Path], object], output: Path) -> None:
    fit(output, output.with_suffix(".csv"))


@dataclass
class Tally:
    """What was done to the jobs."""

    kills: int = 0
    ends: int = 0


SERVER = multiprocessing.get_context("forkserver")
"""Forks jobs where everything is imported, and autograd was never at work."""
SERVER.set_forkserver_preload([__name__])


def begin(job: Job, output: Path, said: Path) -> multiprocessing.context.ForkServerProcess:
    """A process that runs a job: everything is imported already."""
    process = SERVER.Process(target=_run, args=(job, output, said))
    process.start()
    return process


def _run(job: Job, output: Path, said: Path) -> None:
    with said.open("a") as file:
        os.dup2(file.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    with job_log(output.parent / f"{output.stem}.log"):
        job(output)


def content(output: Path) -> dict[str, bytes]:
    """All numbers of an output; its provenance and what it took are never the same."""
    if output.suffix == ".nc":
        with xr.open_dataset(output, engine="h5netcdf") as table:
            return {name: values.values.tobytes() for name, values in table.variables.items()}
    chunks = [file for file in output.rglob("c/**/*") if file.is_file()]
    files = [file for file in chunks if "_seconds/" not in str(file.relative_to(output))]
    return {str(file.relative_to(output)): file.read_bytes() for file in files}


def made_by(job: Job, output: Path) -> dict[str, bytes]:
    """What an uninterrupted job makes, or one that goes on."""
    said = output.with_suffix(".said")
    process = begin(job, output, said)
    process.join()
    assert process.exitcode == 0, said.read_text()
    said.unlink()
    made = content(output)
    assert made
    return made


def kill_until(job: Job, output: Path, kills: int, chance: random.Random, tally: Tally) -> None:
    """Kill a job at random moments of its work until it has been killed so often, and ends."""
    began = time.monotonic()
    whole = made_by(job, output)
    seconds = time.monotonic() - began
    least = tally.kills + kills
    while tally.kills < least:
        remove(output)
        while not output.exists():
            process = begin(job, output, output.parent / "said")
            process.join(chance.uniform(0, seconds))
            if process.exitcode is None:
                with suppress(ProcessLookupError):  # it has ended since
                    os.kill(process.pid or 0, chance.choice(SIGNALS))
                process.join()
            ended = process.exitcode
            assert ended in (0, 143, *(-number for number in SIGNALS)), ended
            tally.kills += ended != 0
        tally.ends += 1
        assert content(output) == whole
    assert not list(output.parent.glob(".*.state"))


ALL = (jobs_of_streams, jobs_of_tables, jobs_of_curves)


def kill_all(folder: Path, kills: int, seed: int, families: Any = ALL) -> dict[str, Tally]:
    """Jobs of stages, each killed so often."""
    folder.mkdir()
    chance, tallies = random.Random(seed), {}
    for jobs in families:
        for name, job in jobs(folder):
            stage = name.partition(".")[0]
            tallies[stage] = Tally()
            kill_until(job, folder / name, kills, chance, tallies[stage])
    return tallies


def show(tallies: dict[str, Tally]) -> None:
    kills = sum(tally.kills for tally in tallies.values())
    ends = sum(tally.ends for tally in tallies.values())
    stages = ", ".join(f"{stage} {tally.kills}" for stage, tally in tallies.items())
    print(f"\n{kills} kills of jobs ({stages}): {ends} ends, the same bits each")


def test_killed_once_a_stage(tmp_path: Path) -> None:
    show(kill_all(tmp_path / "made", kills=1, seed=0, families=[jobs_of_streams]))


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_random_moments(tmp_path: Path, seed: int) -> None:
    tallies = kill_all(tmp_path / "made", kills=3, seed=seed)
    show(tallies)
    assert sum(tally.kills for tally in tallies.values()) >= 30


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes."""
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("only root may mount a disk")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("no disk can be mounted")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@contextmanager
def filled(disk: Path, free: int) -> Iterator[None]:
    """A disk with so many bytes left."""
    file = disk / "filler"
    file.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - free)))
    yield
    file.unlink()


def fail_for_want_of_room(job: Job, output: Path, said: Path) -> bool:
    """Whether a job has no room: then it must say so, once, and nothing else."""
    said.unlink(missing_ok=True)
    process = begin(job, output, said)
    process.join()
    if process.exitcode == 0:
        return False
    told = said.read_text()
    assert process.exitcode == 1, (process.exitcode, told)
    assert told.startswith("DiskError: the disk is full: "), told
    assert "Traceback" not in told
    assert told.count("DiskError") == 1
    return True


@pytest.mark.faults
def test_a_full_disk_is_said_and_gone_on_from(small_disk: Path, tmp_path: Path) -> None:
    chance, counts = random.Random(0), {}
    for jobs in ALL:
        for name, job in jobs(small_disk):
            output, said = small_disk / name, tmp_path / "said"
            whole = made_by(job, output)
            size = sum(file.stat().st_size for file in [output, *output.rglob("*")])
            stage = name.partition(".")[0]
            counts[stage] = 0
            for share in (0.0, *(chance.uniform(0, 0.9) for _ in range(3))):
                remove(output)
                with filled(small_disk, int(share * size)):
                    for _ in range(2):  # as Snakemake tries again
                        counts[stage] += fail_for_want_of_room(job, output, said)
                assert made_by(job, output) == whole
            assert counts[stage]
    print(f"\n{sum(counts.values())} times no room ({counts}): said so, and then the same bits")


@pytest.mark.faults
@pytest.mark.parametrize("number", SIGNALS)
def test_a_workflow_killed_at_random_moments(
    finished: Project, tmp_path: Path, number: signal.Signals
) -> None:
    caught = Caught.of(finished, tmp_path / "project")
    chance, kills = random.Random(int(number)), 0
    while kills < 8:
        head = caught.start(FIGURE)
        try:
            head.communicate(timeout=chance.uniform(4, 25))
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, number)
            head.communicate()
            kills += 1
            continue
        assert caught.is_like(finished)
        remove(caught.root / "results/runs" / caught.run)
        remove(caught.root / "figures")
    assert caught.is_like(finished)
    print(f"\n{kills} kills of a workflow by {number.name}: the same figure")


@pytest.mark.slow
@pytest.mark.parametrize("forks", [True, False])
def test_a_head_that_is_asked_to_end_ends_its_jobs_too(
    finished: Project, tmp_path: Path, forks: bool
) -> None:
    caught = Caught.of(finished, tmp_path / "project")
    caught.change("resources.fork_jobs", forks)
    caught.slow(60)
    head = caught.start(FIGURE)
    state = caught.root / TRAINING.format(run=caught.run)
    end = time.monotonic() + 100
    while not state.exists() and time.monotonic() < end:
        time.sleep(0.1)
    os.kill(head.pid, signal.SIGTERM)
    said, _ = head.communicate(timeout=30)
    assert head.returncode == 1
    assert "failed" not in said
    assert "; the same command goes on: " in said
    assert state.exists()
    assert "SIGTERM: what was done is saved" in caught.log
    caught.slow(0)
    assert caught.is_like(finished)
    assert "going on from step" in caught.log
