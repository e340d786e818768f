"""The tiny preset on a real SLURM through profiles/slurm: the same figure as here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.workflow.project import ALL_JOBS, ROOT, Project

pytestmark = pytest.mark.cluster

OPTIONS = (
    "--workflow-profile",
    "profiles/slurm",
    "--slurm-status-command",
    "squeue",
    "--slurm-no-account",
    "--slurm-init-seconds-before-status-checks",
    "2",
    "--latency-wait",
    "5",
)

PATIENCE = 1800
"""Seconds until a workflow counts as hanging: on a busy machine a job starts for half a minute."""

TOGETHER = ("collect_metrics", "fit_experiment", "draw", "draw_mechanism", "write_findings")
"""Of an experiment in one SLURM job, but for the findings, which are written by the head."""


def test_every_job_is_slurms_and_the_figure_is_the_same(
    finished: Project, cluster: dict[str, str], tmp_path: Path
) -> None:
    project = Project(Project.make(tmp_path / "project", finished.config).root, cluster)
    project.change("resources.gpu", 1)
    project.change("preset", "own")
    own = project.root / "config/config.yaml"
    own.rename(project.root / "own.yaml")
    shutil.copy2(ROOT / "config/config.yaml", own)
    replaced = ("--configfile", "own.yaml", "--replace-workflow-config")  # which jobs must know
    project.build(*OPTIONS, *replaced, limit=PATIENCE)
    shown = scontrol(project, "show", "jobs", "-o").splitlines()
    jobs = [job for job in shown if f"WorkDir={project.root} " in job]  # of this test alone
    of_rules = {rule: jobs_of(rule, jobs) for rule in ALL_JOBS}
    alone = {rule: len(found) for rule, found in of_rules.items() if found}
    assert alone == {rule: ALL_JOBS[rule] for rule in ALL_JOBS if rule not in TOGETHER}
    assert len([job for job in jobs if "/group_tables_" in job]) == 1
    with_gpu = {
        rule for rule, found in of_rules.items() if found and all("gpu:1" in job for job in found)
    }
    assert with_gpu == {"train_task", "compute_kernels"}
    here, there = finished.root / "figures", project.root / "figures/own"
    assert (there / "reactivation.pdf").read_bytes() == (here / "reactivation.pdf").read_bytes()


def jobs_of(rule: str, jobs: list[str]) -> list[str]:
    """Those that are the rule's, and not of another whose name begins alike."""
    comment = re.compile(rf"Comment=rule_{rule}(_wildcards_\S*)?(\s|$)")
    return [job for job in jobs if comment.search(job)]


def scontrol(project: Project, *arguments: str) -> str:
    command = [f"{project.variables['PATH'].split(':')[0]}/scontrol", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
