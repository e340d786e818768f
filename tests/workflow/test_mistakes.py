"""What a user sees when something is wrong: one message, soon, with what to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.workflow.project import Project

EXPERIMENT = "experiments.reactivation"

MISTAKES = {
    "an unknown key": (f"{EXPERIMENT}.training.batchsize", 16, "did you mean 'batch_size'?"),
    "an unknown regime": (f"{EXPERIMENT}.regimes", ["featur"], "there is no regime 'featur'"),
    "too many classes": (f"{EXPERIMENT}.stream.tasks", 3, "the dataset has 10"),
    "no such folder": ("dataset.root", "nowhere", "there is no folder 'nowhere'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_configuration_is_said_once(project: Project, mistake: str) -> None:
    key, value, words = MISTAKES[mistake]
    project.change(key, value)
    done = project.snakemake("--dry-run", limit=30)
    assert done.returncode != 0
    assert done.stdout.count(words) == 1
    assert key.rpartition(".")[0] in done.stdout
    assert "config/config.yaml" in done.stdout
    assert "Traceback" not in done.stdout
    assert len(done.stdout.splitlines()) < 15


def damage(store: Path, array: str) -> None:
    """Flip one bit in a chunk of an array."""
    chunk = next(file for file in (store / array / "c").rglob("*") if file.is_file())
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(bytes(content))


def test_a_damaged_store_is_named_in_the_terminal_and_in_the_log(project: Project) -> None:
    kernels = project.files("results/runs/*-t2-*/kernels-*.zarr")[0]
    damage(kernels, "ntk")
    metrics = kernels.with_name(kernels.name.replace("kernels", "metrics")).with_suffix(".nc")
    metrics.unlink()
    target = str(metrics.relative_to(project.root))
    done = project.snakemake(target)
    (log,) = project.files(f"logs/measure_kernels/{kernels.parent.name}/*.log")
    assert done.returncode != 0
    for said in (done.stdout, log.read_text(encoding="utf-8")):
        assert re.search(r"StoreError: .*\bntk\b.* cannot be read", said)
        assert f"where: {kernels.relative_to(project.root)}" in said
        assert "to do: delete the store and run its rule again" in said
    assert not metrics.exists()
    shutil.rmtree(kernels)  # as it says
    assert project.plan(target) == {"compute_kernels": 1, "measure_kernels": 1}


def test_a_job_with_an_error_for_the_user_is_not_done_again(project: Project) -> None:
    snapshots = project.files("results/runs/*-t1-*/snapshots.zarr")[0]
    shutil.rmtree(snapshots)
    target = str(snapshots.relative_to(project.root))
    options = ("--config", "resources={device: mps}", "--retries", "2")
    done = project.snakemake(target, *options)
    assert done.returncode != 0
    again = done.stdout.count("Trying to restart")
    assert again >= 1
    assert done.stdout.count("to do: use device: auto") == 2 + again  # once said, and in each log
    assert done.stdout.count("(not tried again)") == 2 * again
    project.build(target)  # started anew, with what was wrong mended
    assert not project.files("logs/train_task/.*")
