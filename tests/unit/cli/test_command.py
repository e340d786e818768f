"""The command line: help, mistakes, exit statuses, completion, and how fast it begins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ntkscope.cli import main
from ntkscope.cli.command import COMMANDS
from tests.unit.test_face import loaded


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: ntkscope {name}")
    assert f"\nexamples:\n  ntkscope {name}" in said


def test_all_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert all(f"\n    {name} " in said for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stat"], "no command 'stat'; did you mean 'status'?\n  to do: one of run, status"),
        (["xyz"], "no command 'xyz'\n  to do: one of run, status"),
    ],
)
def test_a_command_that_is_none(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["new"], "required: FOLDER\n  to do: ntkscope new --help"),
        (["open"], "required: EXPERIMENT\n  to do: ntkscope open --help"),
        (["verify", "--jobs", "two"], "'two' is no number from 1\n  to do: ntkscope verify --help"),
        (["run", "--cores", "0"], "'0' is neither a number from 1 nor all\n"),
        (
            ["run", "x", "--configfile", "a.yaml"],
            "no option --configfile; did you mean '--config'?",
        ),
        (["run", "x", "--cors=3"], "no option --cors; did you mean '--cores'?"),
        (["run", "x", "-c", "3"], "no option -c\n  to do: Snakemake's own options stand behind --"),
        (["run", "--dry-run"], "stand behind --: ntkscope run … -- --dry-run\n"),
        (["run", "x", "--preset", "fashion"], "to do: a preset stands before the figure's name"),
        (["run", "--why"], "no option --why\n  to do: ntkscope status can be told --why\n"),
        (["verify", "a", "b"], "ntkscope verify has no place for 'b'\n  to do: ntkscope verify -"),
        (["--verson"], "ntkscope has no option --verson; did you mean '--version'?"),
        (["status", "--", "-n"], "status hands nothing on but with --why: -n after --"),
        (["--completion", "fish"], "to do: ntkscope --help"),
        (["new", "mine", "--", "-n"], "new hands nothing on: -n after --"),
    ],
)
def test_a_mistake_in_the_command_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_an_error_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verify"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("there is no such folder, store or table\n  where: results\n  to do:")


@pytest.mark.parametrize("name", ["new", "verify"])
def test_what_the_system_refuses_is_told_without_a_traceback(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("results").mkdir()
    said = {"new": "Not a directory\n  where: file/mine", "verify": "did you mean 'results'?"}
    assert main([name, {"new": "file/mine", "verify": "result"}[name]]) == 1
    assert said[name] in capsys.readouterr().err


@pytest.mark.parametrize("words", [["verify"], ["open", "reactivation"], ["status"]])
def test_below_a_workflow_it_says_where_that_is(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["new", str(tmp_path / "mine")]) == 0
    for folder in ("results", "sub"):
        (tmp_path / "mine" / folder).mkdir()
    monkeypatch.chdir(tmp_path / "mine/sub")
    assert main(words) == 1
    assert f"to do: cd {tmp_path / 'mine'}\n" in capsys.readouterr().err


def test_help_is_a_word_too(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["help"], ["help", "run"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
    assert "usage: ntkscope run [FIGURE ...]" in capsys.readouterr().out


def test_it_begins_without_any_library() -> None:
    assert loaded("from ntkscope.cli.command import make_parser; make_parser()") == set()


def test_a_reader_that_has_seen_enough_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "ntkscope.cli", "--completion", "bash"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["ntkscope", "st"], "status"),
        (["ntkscope", "run", "--co"], "--cores --config"),
        (["ntkscope", "run", "rea"], "reactivation"),
        (["ntkscope", "run", "fashion/"], "fashion/reactivation"),
        (["ntkscope", "open", "sc"], "scaling"),
    ],
)
def test_completion_in_bash(
    line: list[str], found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("figures/reactivation.pdf", "figures/fashion/reactivation.pdf"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "results/experiments/scaling").mkdir(parents=True)
    assert main(["--completion", "bash"]) == 0
    words = " ".join(line)
    code = (
        f"{capsys.readouterr().out}\nCOMP_WORDS=({words}); COMP_CWORD={len(line) - 1}\n"
        '_ntkscope; echo "${COMPREPLY[*]}"'
    )
    done = subprocess.run(
        ["bash", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == found.split()
    assert done.stderr == ""
