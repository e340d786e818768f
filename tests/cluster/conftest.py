"""A SLURM for the session; the finished workflow to compare with."""

from __future__ import annotations

from collections.abc import Iterator

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
