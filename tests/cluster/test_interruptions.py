"""What happens to jobs of a real SLURM, and each time the same figure, to the byte.

A run's training is caught at work; all else is there already.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster.test_slurm import OPTIONS, PATIENCE, scontrol
from tests.workflow.caught import KERNELS, TRAINING, Caught
from tests.workflow.project import Project, kill

pytestmark = pytest.mark.cluster


@pytest.fixture
def caught(finished: Project, cluster: dict[str, str], tmp_path: Path) -> Iterator[Caught]:
    caught = Caught.of(finished, tmp_path / "project", cluster)
    caught.slow()
    yield caught
    caught.slow(0)


def job_of(project: Project, rule: str = "train_task") -> str:
    """SLURM's number of the newest job of a rule that runs or waits."""
    jobs = re.findall(
        rf"^JobId=(\d+) .*JobState=(?:RUNNING|PENDING).*Comment=rule_{rule}_",
        scontrol(project, "show", "jobs", "-o"),
        re.MULTILINE,
    )
    return jobs[-1]


def job_of_limit(project: Project, megabytes: int) -> str | None:
    """SLURM's number of the training job that may have so much memory, if there is one."""
    jobs = scontrol(project, "show", "jobs", "-o")
    found = re.search(
        rf"^JobId=(\d+) .*MinMemoryNode={megabytes}M .*Comment=rule_train_task_", jobs, re.MULTILINE
    )
    return found and found[1]


def state_of(project: Project, job: str) -> str:
    found = re.search(r"JobState=(\w+)", scontrol(project, "show", "job", job))
    assert found
    return found[1]


def at_work(project: Caught) -> subprocess.Popen[str]:
    """A head whose training has saved something."""
    head = project.start(project.kernels, *OPTIONS)
    project.wait_for(TRAINING.format(run=project.run), head)
    return head


def ends_well(project: Caught, head: subprocess.Popen[str], finished: Project) -> str:
    """What the head said, which must have made the same figure."""
    project.slow(0)
    said, _ = head.communicate(timeout=PATIENCE)
    assert head.returncode == 0, said
    assert project.is_like(finished)
    return said


def cancel(project: Caught, job: str) -> None:
    subprocess.run(["scancel", job], env=project.environment, check=True)


def requeue(project: Caught, job: str) -> None:
    scontrol(project, "requeue", job)


def lose_node(project: Caught, _: str) -> None:
    node = os.uname().nodename.split(".")[0]
    scontrol(project, "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    time.sleep(2)
    with suppress(subprocess.CalledProcessError):  # it may have come back by itself
        scontrol(project, "update", f"NodeName={node}", "State=RESUME")


@pytest.mark.parametrize("happens", [cancel, requeue, lose_node])
def test_a_job_that_is_ended_goes_on(
    caught: Caught, finished: Project, happens: Callable[[Caught, str], None]
) -> None:
    head = at_work(caught)
    happens(caught, job_of(caught))
    said = ends_well(caught, head, finished)
    assert "going on from step" in caught.log
    assert "BusyError" not in said + caught.log


def test_a_job_over_its_time_saves_and_goes_on_with_more(caught: Caught, finished: Project) -> None:
    caught.change("resources.runtime_minutes", 2)  # of which the last one is for saving
    caught.slow(100)
    caught.change("resources.checkpoint_seconds", 86400)  # nothing is saved until it is asked to
    head = caught.start(caught.kernels, *OPTIONS)
    caught.wait_for(TRAINING.format(run=caught.run), head)
    ends_well(caught, head, finished)
    assert "going on from step" in caught.log
    assert re.search(r"TimeLimit=00:04:00", scontrol(caught, "show", "jobs", "-o"))


def test_a_job_over_its_memory_goes_on_with_more(caught: Caught, finished: Project) -> None:
    caught.change("resources.mem_mb", 400)  # less than a job at work has
    node = Path(caught.variables["SLURM_CONF"]).with_name("slurmd.log")
    head = caught.start(caught.kernels, *OPTIONS)
    while job_of_limit(caught, 800) is None:  # SLURM looks once a second: the first is slow
        assert head.poll() is None
        time.sleep(0.2)
    ends_well(caught, head, finished)
    killed, more = job_of_limit(caught, 400), job_of_limit(caught, 800)
    assert more and state_of(caught, more) == "COMPLETED"
    assert f"StepId={killed}.0 exceeded memory limit" in node.read_text("utf-8")


def test_a_killed_head_is_followed_by_the_plain_command(caught: Caught, finished: Project) -> None:
    head = at_work(caught)
    job = job_of(caught)
    kill(head)
    second = caught.start(caught.kernels, *OPTIONS)
    while job_of(caught) == job:  # the second head's own, beside the first one's
        assert second.poll() is None
        time.sleep(0.1)
    time.sleep(5)
    ends_well(caught, second, finished)
    assert state_of(caught, job) == "COMPLETED"
    assert len(re.findall("Comment=rule_train_task_", scontrol(caught, "show", "jobs", "-o"))) >= 2


def test_a_drained_node_ends_what_it_has_and_the_rest_waits(
    caught: Caught, finished: Project
) -> None:
    node = os.uname().nodename.split(".")[0]
    head = at_work(caught)
    job = job_of(caught)
    scontrol(caught, "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    caught.slow(0)
    try:
        while state_of(caught, job) != "COMPLETED" or not _pending(caught):
            assert head.poll() is None
            time.sleep(0.2)
        assert not caught.files(KERNELS.format(run=caught.run))
    finally:
        scontrol(caught, "update", f"NodeName={node}", "State=RESUME")
    ends_well(caught, head, finished)


def _pending(project: Project) -> bool:
    return "JobState=PENDING" in scontrol(project, "show", "jobs", "-o")


def test_purged_files_are_made_again(caught: Caught, finished: Project) -> None:
    head = at_work(caught)
    other = next(
        folder for folder in caught.files("results/runs/*") if folder.name != caught.run
        and (folder / "snapshots.zarr").is_dir()
    )  # fmt: skip
    for purged in other.iterdir():
        shutil.rmtree(purged) if purged.is_dir() else purged.unlink()
    caught.slow(0)
    head.communicate(timeout=PATIENCE)  # whether or not it needed them
    caught.build(caught.kernels, *OPTIONS, limit=PATIENCE)
    assert caught.is_like(finished)


def test_a_head_that_is_asked_to_end_leaves_what_the_next_one_needs(
    caught: Caught, finished: Project
) -> None:
    head = at_work(caught)
    os.kill(head.pid, signal.SIGTERM)
    caught.slow(0)
    head.communicate(timeout=PATIENCE)
    caught.build(caught.kernels, *OPTIONS, limit=PATIENCE)
    assert caught.is_like(finished)
