"""The finished workflow, built once a session (by whichever worker comes first), and copies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from tests.workflow.project import Project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny preset with everything made. Not to be changed: `project` is a copy."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    root, mark = shared / "finished", shared / "finished.said"
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists():
            said = Project.make(root).build()
            mark.write_text(said, encoding="utf-8")
    return Project(root)


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished workflow."""
    return finished.copy(tmp_path / "project")
