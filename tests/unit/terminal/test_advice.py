"""Errors of Snakemake, in the words of this workflow."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ntkscope.runtime.head import sign_locks
from snakemake_logger_plugin_ntkscope.advice import explain, unreadable
from snakemake_logger_plugin_ntkscope.study import Figure, Study

STUDY = Study(
    preset="digits",
    figures={
        name: Figure([f"figures/{name}.pdf", f"figures/{name}.png"], f"{name}.csv", "reactivation")
        for name in ("reactivation", "frequency")
    },
    findings={"reactivation": "results/findings/reactivation.md"},
    targets=["all", "reactivation_paper"],
    stages={
        "compute_kernels": "results/runs/{run,[^/]+-[0-9a-f]{12}}/kernels-{kernel}.zarr",
        "draw": "figures/{experiment}.pdf",
    },
    presets={"digits": "config/config.yaml", "paper": "config/paper.yaml"},
)
MISSING = "No rule to produce {} (if you use input functions make sure that they don't raise)."


def missing(target: str) -> str:
    return explain(f"MissingRuleException:\n{MISSING.format(target)}", [target], STUDY)


def test_a_misspelt_figure_is_named_and_all_are_listed() -> None:
    said = missing("figures/reactivaton.pdf")
    assert said.splitlines()[0] == (
        "nothing makes figures/reactivaton.pdf; did you mean 'figures/reactivation.pdf'?"
    )
    assert "figures: figures/reactivation.pdf, figures/frequency.pdf" in said
    assert "by name: all, reactivation_paper" in said


def test_a_figure_without_its_folder_is_meant_by_its_suffix() -> None:
    assert missing("reactivation.pdf").startswith(
        "nothing makes reactivation.pdf; did you mean 'figures/reactivation.pdf'?"
    )


def test_a_figure_of_another_preset_says_its_file() -> None:
    said = missing("figures/paper/reactivation.pdf")
    assert "of the preset 'paper'" in said
    assert (
        "to do: snakemake --cores all figures/paper/reactivation.pdf --configfile config/paper.yaml"
    ) in said


def test_a_preset_that_is_none_is_told_with_those_that_are() -> None:
    said = missing("figures/papre/reactivation.pdf")
    assert "there is no preset 'papre'; did you mean 'paper'?" in said
    assert "paper (config/paper.yaml)" in said


@pytest.mark.parametrize("target", ["take_kernels", "compute_kernel"])
def test_a_misspelt_stage_says_how_it_is_meant(target: str) -> None:
    said = missing(target)
    assert "did you mean 'compute_kernels'?" in said
    assert "figures/reactivation.pdf --until compute_kernels" in said


def test_a_stage_by_name_says_how_it_is_meant() -> None:
    raw = "WorkflowError:\nTarget rules may not contain wildcards. Please specify concrete files"
    said = explain(raw, ["--cores", "2", "compute_kernels"], STUDY)
    assert said.startswith("compute_kernels is a stage")
    assert "ask for one of its files, results/runs/<run>/kernels-<kernel>.zarr" in said
    given = ["compute_kernels", "--configfile", "my.yaml", "--replace-workflow-config"]
    assert "--until compute_kernels --configfile my.yaml --replace-w" in explain(raw, given, STUDY)


def test_what_snakemake_puts_around_our_errors_is_left_out() -> None:
    raw = (
        'InputFunctionException in rule prepare_data in file "/x/data.smk", line 5:\nError:\n'
        "  WorkflowError:\n    this configuration has no dataset 'nope'\n      to do: ask\n"
        'Wildcards:\n  dataset=nope\nTraceback:\n  File "/x/data.smk", line 19, in <lambda>\n'
    )
    assert explain(raw, [], STUDY) == ("this configuration has no dataset 'nope'\n  to do: ask")
    raw = (
        'WorkflowError in file "/x/common.smk", line 27:\nno seeds\n  where: seeds\n  to do: give\n'
        '  File "/x/common.smk", line 27, in <module>'
    )
    assert explain(raw, [], STUDY) == "no seeds\n  where: seeds\n  to do: give"


def test_a_locked_folder_says_who_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").touch()
    message = "LockException:\nError: Directory cannot be locked. Please make sure …"
    assert "--unlock" in explain(message, [], STUDY)
    sign_locks()
    said = explain(message, [], STUDY)
    assert said.startswith(f"Snakemake runs here (process {os.getpid()} on ")
    assert "once it has ended" in said
    assert "--unlock" not in said


def test_an_error_that_is_not_known_is_left_as_it_is() -> None:
    assert explain("LockException:\nError: Directory cannot be locked.", [], STUDY).startswith(
        "Lock"
    )


def test_a_configuration_that_is_empty_or_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    message = "WorkflowError:\nConfig file must be given as JSON or YAML with keys at top level."
    said = explain(message, ["--configfile", "mine.yaml"], STUDY)
    assert said.startswith("a configuration is a mapping of keys to values; this file is empty")
    assert "where: mine.yaml, line 1" in said
    lost = "FileNotFoundError: [Errno 2] No such file or directory: 'nime.yaml'"
    said = explain(lost, ["--configfile", "nime.yaml"], STUDY)
    assert said.startswith(
        "there is no such configuration; did you mean 'mine.yaml'?\n  where: nime"
    )


def test_a_file_that_is_not_yaml_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("seeds: [0]\n", encoding="utf-8")
    bad.write_text("seeds: [0, 1\nother: x: y\n", encoding="utf-8")
    said = unreadable(["--configfile", str(good), str(bad)])
    assert re.search(r"where: .*bad\.yaml, line 2", said)
    assert "to do: indent with spaces, not tabs" in said
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("a: 1\n\tb: 2\n", encoding="utf-8")
    assert "config/config.yaml, line 2" in unreadable(["--cores", "2"])
