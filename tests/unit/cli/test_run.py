"""`ntkscope run` becomes Snakemake, where there is a workflow."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ntkscope.cli import main, new
from ntkscope.cli.run import options
from ntkscope.errors import NtkscopeError

ROOT = Path(__file__).parents[3]


def given(figures: Sequence[str], config: Sequence[str] = (), **more: Any) -> argparse.Namespace:
    facts = {"figures": list(figures), "cores": "2", "config": list(config), "alone": False}
    return argparse.Namespace(**{**facts, **more})


def asked(*figures: str, config: tuple[str, ...] = (), **more: Any) -> list[str]:
    return options(given(figures, config, **more), ROOT)


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ("reactivation", ["figures/reactivation.pdf", "--cores", "2"]),
        ("reactivation_paper", ["reactivation_paper", "--cores", "2"]),
        ("figures/width.png", ["figures/width.png", "--cores", "2"]),
        ("results/data/digits.zarr", ["results/data/digits.zarr", "--cores", "2"]),
        (
            "fashion/reactivation",
            [
                *("figures/fashion/reactivation.pdf", "--cores", "2"),
                *("--configfile", "config/fashion.yaml"),
            ],
        ),
        (
            "figures/fashion/width.png",
            ["figures/fashion/width.png", "--cores", "2", "--configfile", "config/fashion.yaml"],
        ),
    ],
)
def test_what_snakemake_is_asked_for(figure: str, expected: list[str]) -> None:
    assert asked(figure) == expected


def test_configurations_that_are_given_stand_last() -> None:
    files = ("config/fashion.yaml", "config/gpu.yaml")
    expected = ["figures/mine/width.pdf", "--cores", "2", "--configfile", *files]
    assert asked("mine/width", config=files) == expected
    expected.insert(3, "--replace-workflow-config")
    assert asked("mine/width", config=files, alone=True) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["reactivation"], ["figures/mine/reactivation.pdf"]),
        (
            ["mine/reactivation", "width"],
            ["figures/mine/reactivation.pdf", "figures/mine/width.pdf"],
        ),
        (
            ["figures/mine/width", "mine/duration/"],
            ["figures/mine/width.pdf", "figures/mine/duration.pdf"],
        ),
        (["figures/mine/width.png", "own.pdf"], ["figures/mine/width.png", "own.pdf"]),
        (["write_exponents", "everything", "ours"], ["write_exponents", "everything", "ours"]),
        (["small/width"], ["figures/small/width.pdf", "--configfile", "config/tiny.yaml"]),
        (["tiny/width"], ["figures/small/width.pdf", "--configfile", "config/tiny.yaml"]),
    ],
)
def test_a_preset_is_found_by_what_configurations_say(
    names: list[str], expected: list[str], of_ones_own: Path
) -> None:
    args = given(names)
    (of_ones_own / "profiles/default").mkdir(parents=True)
    words = options(args, of_ones_own)
    assert [word for word in words if word not in ("--cores", "2")] == expected


@pytest.fixture
def of_ones_own(tmp_path: Path) -> Path:
    """A folder whose own configuration has the preset `mine`, and another `small`."""
    new.make(tmp_path / "own")
    snakefile = (tmp_path / "own/Snakefile").read_text(encoding="utf-8")
    (tmp_path / "own/Snakefile").write_text(snakefile + "rule ours:\n    input: []\n", "utf-8")
    for file, preset in (("config", "mine"), ("tiny", "small")):
        (tmp_path / f"own/config/{file}.yaml").write_text(f'preset: "{preset}"\n', "utf-8")
    shutil.rmtree(tmp_path / "own/profiles")
    return tmp_path / "own"


@pytest.mark.parametrize(
    ("names", "config", "said"),
    [
        (["mime/width"], [], "no preset 'mime'; did you mean 'mine'"),
        (["width", "small/width"], [], "of several presets are asked for: that of config"),
        (["width"], ["tiny.yaml"], "configuration; did you mean 'config/tiny.yaml'"),
        (["width"], ["preset=mine"], "'preset=mine' is none\n  to do: .* -- --config preset=mine"),
    ],
)
def test_what_cannot_be_one_run(
    names: list[str], config: list[str], said: str, of_ones_own: Path
) -> None:
    with pytest.raises(NtkscopeError, match=said):
        options(given(names, config), of_ones_own)


def test_where_there_is_no_profile_ours_is_taken(tmp_path: Path) -> None:
    assert options(given([]), tmp_path)[-1] == str(ROOT / "profiles/default")


def test_a_preset_or_file_that_is_none() -> None:
    with pytest.raises(NtkscopeError, match=r"'fashon'; did you mean 'fashion'\?\n.*\n.*cnn"):
        asked("fashon/reactivation")
    with pytest.raises(NtkscopeError, match=r"no such configuration\n  where: width\n.*before"):
        asked(config=("config/fashion.yaml", "width"))


def test_it_becomes_snakemake(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, words: called.append(words) or sys.exit(0))
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit):
        main(["run", "width", "--cores", "3", "--", "--dry-run", "--quiet"])
    with pytest.raises(SystemExit):
        main(["status", "--why", "width"])
    head = [sys.executable, "-m", "snakemake", "figures/width.pdf", "--cores"]
    assert called == [[*head, "3", "--dry-run", "--quiet"], [*head, "all", "--dry-run"]]


def test_elsewhere_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "width"]) == 1
    said = capsys.readouterr().err
    assert "there is no ntkscope workflow in this folder" in said
    assert "or make a folder of your own: ntkscope new mine" in said
    monkeypatch.chdir(ROOT / "config")
    assert main(["run", "width"]) == 1
    assert f"to do: cd {ROOT}\n" in capsys.readouterr().err
