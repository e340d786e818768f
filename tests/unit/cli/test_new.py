"""A workflow folder of one's own, and where the workflow is that it imports."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import PackagePath
from pathlib import Path
from types import SimpleNamespace

import pytest

from ntkscope.cli import home, main, snakefile
from ntkscope.errors import NtkscopeError

ROOT = Path(__file__).parents[3]


def test_it_has_what_a_workflow_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine"
    assert main(["new", str(mine)]) == 0
    for name in (
        "config/config.yaml",
        "profiles/default/profile.yaml",
        "profiles/slurm/profile.yaml",
    ):
        assert (mine / name).read_bytes() == (ROOT / name).read_bytes()
    first, *_ = (mine / "config/config.yaml").read_text(encoding="utf-8").splitlines()
    schema = mine / "config" / first.partition("$schema=")[2]
    assert json.loads(schema.read_text(encoding="utf-8"))["title"] == "Config"
    assert f"next: cd {mine}" in capsys.readouterr().out
    assert main(["new", str(mine)]) == 1
    assert "there is something here already" in capsys.readouterr().err


def test_asked_for_nothing_it_makes_everything(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    assert main(["new", str(mine)]) == 0
    shutil.copy(ROOT / "config/test/mini.yaml", mine / "config/config.yaml")
    words = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run"]
    found = subprocess.run(words, cwd=mine, capture_output=True, text=True, check=True)
    assert "train_task" in found.stdout + found.stderr


def test_a_checkout_is_its_own_home() -> None:
    assert home.home() == ROOT
    assert snakefile() == str(ROOT / "workflow/Snakefile")


def test_elsewhere_it_is_what_was_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "_CHECKOUT", tmp_path)
    installed: list[PackagePath] = []
    monkeypatch.setattr(home, "distribution", lambda _: SimpleNamespace(files=installed))
    with pytest.raises(NtkscopeError, match=r"pip install 'ntkscope\[workflow\]'"):
        home.home()
    file = PackagePath("../../../share/ntkscope/Snakefile")
    site = tmp_path / "lib/python3/site-packages"
    file.dist = SimpleNamespace(locate_file=lambda path: site / path)
    installed.append(file)
    (tmp_path / "share/ntkscope/rules").mkdir(parents=True)
    assert home.home() == (tmp_path / "share/ntkscope").resolve()
