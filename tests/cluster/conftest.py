"""A SLURM for the session; the finished workflow to compare with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.cluster.slurm import missing, slurm
from tests.workflow.conftest import finished

__all__ = ["cluster", "finished"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables with which commands find the SLURM that runs while the tests do."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    if reason := missing():
        pytest.skip(reason)
    with slurm(tmp_path_factory.mktemp("slurm")) as variables:
        yield variables


@pytest.fixture(autouse=True)
def nothing_is_left(cluster: dict[str, str], tmp_path: Path) -> Iterator[None]:
    """End what a test left at work: jobs, heads of a failed test, jobs that lost their head."""
    yield
    subprocess.run(["scancel", "--user=root"], env={**os.environ, **cluster}, check=True)
    for process in psutil.process_iter(["cwd"]):
        if tmp_path in Path(process.info["cwd"] or "/").parents:
            with suppress(psutil.NoSuchProcess):
                process.kill()
