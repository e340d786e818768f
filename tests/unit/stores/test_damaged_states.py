"""A job killed half-way, and what it left damaged: the next one ends with the same bits."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ntkscope.config.curve_specs import SampleCounts, ScalarTaskSpec
from ntkscope.config.sections import Dataset
from ntkscope.config.specs import DatasetSpec, KernelSpec
from ntkscope.data import prepare, prepare_data, prepare_task
from ntkscope.data.tasks import write
from ntkscope.kernels import compute_kernels, snapshot_blocks
from ntkscope.regression import regress_kernels
from ntkscope.stores import ZarrStore
from ntkscope.training import snapshot_chunks, task, train_networks, train_task
from ntkscope.training.learning_curve.group import Group
from tests.damage import KINDS, copy, damage, files_in
from tests.unit.regression.conftest import NETWORKS, random_numbers, spec, task_at, write_networks
from tests.unit.training.learning_curve.conftest import make_networks
from tests.unit.training.learning_curve.conftest import write_task as write_curve_task

KERNEL = KernelSpec(samples=6, classes=(0, 1), labels=(0, 1), precision="float64")
SECONDS = ("kernel_seconds", "regression_seconds")


class Job(NamedTuple):
    """A job: called with its output and its state; and what is interrupted, at which call."""

    make: Callable[[Path, Path], None]
    owner: object
    name: str
    call: int


@pytest.fixture
def jobs(run, images_path, tmp_path, monkeypatch):
    """One job of each stage that goes on after a kill, of several chunks each."""
    monkeypatch.setattr(snapshot_chunks, "_SNAPSHOTS", 3)
    monkeypatch.setattr(snapshot_blocks, "block_size", lambda *_: 2)
    monkeypatch.setattr(prepare, "CHUNK", 256)
    monkeypatch.setattr(write, "CHUNK", 20)
    monkeypatch.setattr(write, "_BYTES", 1)
    made = tmp_path / "made"
    parent, curve = made / "parent.zarr", write_curve_task(made / "curve.zarr")
    train_task(run.parent, images_path, None, parent, state=made / "state", stage="")
    samples, nets = task_at(made / "task.zarr"), made / "nets.zarr"
    write_networks(nets, NETWORKS, random_numbers)
    after = spec("after", trained_on=(8, 16), fits=("own",), by_layer=True)
    networks = make_networks((0, 1), (12, 20), during=(1, 30))
    counts = SampleCounts(train=60, fresh=0, validation=0, test=40)
    digits, asked = Dataset(), DatasetSpec(name="digits", train_samples=600, test_samples=100)
    parity = ScalarTaskSpec(name="sparse_parity", seeds=(0, 1))

    def taken(output, state):
        compute_kernels(run.parent, KERNEL, images_path, parent, output, state=state, stage="")

    return {
        "train_task": Job(
            lambda output, state: train_task(
                run, images_path, parent, output, state=state, stage="", checkpoint_seconds=0
            ),
            *(task, "_update", 10),
        ),
        "train_networks": Job(
            lambda output, state: train_networks(
                networks, curve, output, state=state, stage="", checkpoint_seconds=0
            ),
            *(Group, "step", 45),
        ),
        "compute_kernels": Job(taken, ZarrStore, "done", 3),
        "regress_kernels": Job(
            lambda output, state: regress_kernels(
                after, samples, nets, output, state=state, stage=""
            ),
            *(ZarrStore, "done", 3),
        ),
        "prepare_data": Job(
            lambda output, state: prepare_data(digits, asked, output, state, {}),
            *(ZarrStore, "done", 2),
        ),
        "prepare_task": Job(
            lambda output, state: prepare_task(parity, counts, None, output, state=state, stage=""),
            *(ZarrStore, "done", 4),
        ),
    }


def contents(path):
    """All arrays of a store but seconds, by name."""
    kind = ZarrStore.open_part(path, ZarrStore.kind_of(path))
    return {name: kind.read(name).tobytes() for name, _ in kind.arrays() if name not in SECONDS}


def interrupt(job: Job, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a job and stop it half-way."""
    calls, go_on = [0], getattr(job.owner, job.name)

    def stopped(*arguments, **options):
        calls[0] += 1
        if calls[0] == job.call:
            raise KeyboardInterrupt
        return go_on(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(job.owner, job.name, stopped)
        job.make(state.parent / "never.zarr", state)


def damaged_and_resumed(job, folder, monkeypatch, seed, count):
    """So many damages to what a stopped job left; each time the result must be the same."""
    chance = random.Random(seed)
    job.make(folder / "whole.zarr", folder / "whole.state")
    whole = contents(folder / "whole.zarr")
    interrupt(job, folder / "begun", monkeypatch)
    begun = files_in(folder / "begun")
    kinds = [kind for kind in KINDS if kind != "longer"]
    for number in range(count):
        state = copy(folder / "begun", folder / "state")
        file = state / chance.choice(begun).relative_to(folder / "begun")
        kind = kinds[number % len(kinds)]
        damage(file, kind, chance, files_in(state))
        output = folder / "resumed.zarr"
        job.make(output, state)
        found = contents(output)
        assert found.keys() == whole.keys(), (file, kind)
        for name in whole:
            assert found[name] == whole[name], (file, kind, name)
    return count


NAMES = [
    "train_task", "train_networks", "compute_kernels", "regress_kernels", "prepare_data",
    "prepare_task",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES[:1])
def test_some_of_what_a_killed_job_left_is_not_trusted(jobs, name, tmp_path, monkeypatch):
    damaged_and_resumed(jobs[name], tmp_path, monkeypatch, seed=0, count=3)


@pytest.mark.faults
@pytest.mark.parametrize("name", NAMES)
def test_what_a_killed_job_left_is_not_trusted(jobs, name, tmp_path, monkeypatch, capsys):
    count = damaged_and_resumed(jobs[name], tmp_path, monkeypatch, seed=1, count=20)
    with capsys.disabled():
        print(f"\n{name}: {count} damages to a half-made store, each time the same bits")
