"""The finished results of the mini preset, damaged file by file: refused by name, or harmless."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.damage import told, try_damages
from tests.workflow.project import _WHOLE, Project

DAMAGES = 400


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of both papers, made once."""
    project = Project.make(tmp_path_factory.mktemp("mini") / "project", _WHOLE)
    project.build()
    return project.root / "results"


@pytest.mark.faults
def test_no_damage_is_unnoticed(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tally = try_damages(results, random.Random(13), DAMAGES)
    with capsys.disabled():
        print(f"\n{told(tally)}")
    assert sum(tally.values()) == DAMAGES
    said = verified(results)
    assert said.returncode == 0, said.stdout
    assert ", 0 damaged" in said.stdout


def verified(folder: Path) -> subprocess.CompletedProcess[str]:
    """`verify`, as from the command line."""
    command = [sys.executable, "-m", "ntkscope.stores.verify", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
