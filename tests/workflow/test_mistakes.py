"""What a user sees when something is wrong: one message, soon, with what to do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
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
    target, named = (str(file.relative_to(project.root)) for file in (metrics, kernels))
    done = project.snakemake(target)
    (log,) = project.files(f"logs/measure_kernels/{kernels.parent.name}/*.log")
    assert done.returncode != 0
    for said in (done.stdout, log.read_text(encoding="utf-8")):
        assert re.search(r"StoreError: .*\bntk\b.* is damaged", said)
        assert f"where: {named}" in said
        assert f"to do: make it again: ntkscope remake {named}\n" in said
    assert not metrics.exists()
    remade = subprocess.run(
        [sys.executable, "-m", "ntkscope.cli", "remake", named, "--cores", "2"],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{named} is the same to the bit: all that was made of it stands" in remade.stdout
    assert not project.files(f"{kernels.parent.relative_to(project.root)}/.*damaged*")
    assert project.plan(target) == {"measure_kernels": 1}


def test_a_job_with_an_error_for_the_user_is_told_once_and_not_done_again(
    project: Project,
) -> None:
    snapshots = project.files("results/runs/*-t1-*/snapshots.zarr")[0]
    shutil.rmtree(snapshots)
    target = str(snapshots.relative_to(project.root))
    options = ("--config", "resources={device: mps}", "--retries", "2")
    done = project.snakemake(target, *options)
    assert done.returncode != 0
    assert done.stdout.count("to do: use device: auto") == 1
    assert "Traceback" not in done.stdout
    assert "0 of 1 done; once that is mended, the same command goes on" in done.stdout
    (log,) = project.files(f"logs/train_task/{snapshots.parent.name}.log")
    assert "(not tried again)" in log.read_text(encoding="utf-8")
    assert len(done.stdout.splitlines()) < 15
    project.build(target)  # started anew, with what was wrong mended
    assert not project.files("logs/train_task/.*")


def test_without_the_plugin_a_job_tells_its_error_itself(project: Project) -> None:
    snapshots = project.files("results/runs/*-t1-*/snapshots.zarr")[0]
    shutil.rmtree(snapshots)
    target = str(snapshots.relative_to(project.root))
    options = ("--config", "resources={device: mps}", "--workflow-profile", "none")
    done = project.snakemake(target, "--cores", "1", *options)
    assert done.returncode != 0
    assert done.stdout.count("to do: use device: auto") == 1


def test_data_that_are_missing_are_told_of_before_any_job_runs(project: Project) -> None:
    target = ("figures/reactivation.pdf", "--config", "dataset={name: cifar10}")
    done = project.snakemake(*target)
    assert done.returncode != 0
    assert done.stdout.count("to do: set dataset.download: true") == 1
    assert "(nothing was run)" in done.stdout
    assert len(done.stdout.splitlines()) < 10
    assert not project.files("results/data/cifar10*")
    assert project.plan(*target)["prepare_data"] == 1  # a dry run may be for another machine


TARGETS = {
    "figures/reactivaton.pdf": "did you mean 'figures/reactivation.pdf'?",
    "figures/paper/reactivation.pdf": "--configfile config/paper.yaml",
    "results/data/nope.zarr": "no dataset 'nope'",
    "compute_kernels": "figures/reactivation.pdf --until compute_kernels",
    "take_kernels": "did you mean 'compute_kernels'?",
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_wrong_target_says_what_was_meant(project: Project, target: str) -> None:
    done = project.snakemake(target)
    assert done.returncode != 0
    assert TARGETS[target] in done.stdout
    assert "Traceback" not in done.stdout
    assert len(done.stdout.splitlines()) < 10


def test_what_is_not_yaml_is_named_with_its_line(project: Project) -> None:
    lines = len((project.root / "config/config.yaml").read_text(encoding="utf-8").splitlines())
    project.append("config/config.yaml", "seeds: [0, 1\n")
    project.append("other.yaml", "a: b: c\n")
    for options, where in (
        ((), f"config/config.yaml, line {lines + 2}"),
        (("--configfile", "other.yaml"), "other.yaml, line 1"),
    ):
        done = project.snakemake("--dry-run", *options)
        assert done.returncode != 0
        assert f"where: {where}" in done.stdout


def test_in_a_folder_inside_the_workflow_nothing_is_made(project: Project) -> None:
    inside = Project(project.root / "workflow", {"PYTHONPATH": str(project.root / "src")})
    for options in ((), ("--snakefile", "../Snakefile")):
        done = inside.snakemake("--dry-run", *options)
        assert done.returncode != 0
        assert f"to do: cd {project.root}" in done.stdout


def test_a_folder_that_snakemake_cannot_read_is_named(tmp_path: Path) -> None:
    """Braces in a path are names of wildcards, to it."""
    project = Project.make(tmp_path / "of {x}")
    done = project.snakemake("--dry-run")
    assert done.returncode != 0
    assert f"the workflow lies in {project.root}, and" in done.stdout
    assert "to do: rename that folder" in done.stdout
    assert "Traceback" not in done.stdout


def test_elsewhere_the_workflow_works_with_its_own_configuration(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Project(tmp_path / "elsewhere", {"PYTHONPATH": str(project.root / "src")})
    plan = elsewhere.plan("figures/reactivation.pdf", "-s", str(project.root / "Snakefile"))
    assert plan["train_task"] == 6


def test_files_of_the_future_are_named_before_any_job_and_mended_as_is_said(
    project: Project,
) -> None:
    later = time.time() + 86400
    for file in project.files("results/**/*"):
        os.utime(file, (later, later))
    figure = project.root / "figures/reactivation.pdf"
    figure.unlink()
    done = project.snakemake()
    assert done.returncode != 0
    assert done.stdout.count("is dated in the future") == 1
    assert "(nothing was run)" in done.stdout
    assert not figure.exists()
    remedy = re.search(r"find results/ .* \+", done.stdout)
    assert remedy
    subprocess.run(remedy[0], shell=True, cwd=project.root, check=True)
    project.build("--touch")
    assert project.plan() == {"draw": 1}
