"""What a run shows: a table that stays in a terminal, a line a job elsewhere, and how it ends."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.workflow.project import Project

FIGURE = "figures/reactivation.pdf"


def in_a_terminal(project: Project, *options: str, interrupt_at: str = "") -> tuple[str, int]:
    """What `snakemake --cores 2 OPTIONS` shows in a terminal, with all its control characters, and
    its exit status; Ctrl-C is typed as soon as `interrupt_at` is shown."""
    process, screen = os.forkpty()
    if process == 0:
        os.chdir(project.root)
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *options]
        os.execve(sys.executable, command, {**project.environment, "TERM": "xterm"})
    said, end = "", time.monotonic() + 300
    while time.monotonic() < end:
        ready, _, _ = select.select([screen], [], [], 1)
        try:
            said += os.read(screen, 65536).decode("utf-8", "replace") if ready else ""
        except OSError:  # it has ended
            break
        if interrupt_at and interrupt_at in said:
            os.write(screen, b"\x03")
            interrupt_at = ""
    else:
        os.kill(process, signal.SIGKILL)
    return said, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def plain(said: str) -> str:
    """Without control characters."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said).replace("\r", "")


def test_elsewhere_a_job_is_a_line_and_the_end_says_where_the_figure_is(project: Project) -> None:
    (project.root / FIGURE).unlink()
    said = project.build(FIGURE)
    lines = [line for line in said.splitlines() if not line.startswith("Using workflow")]
    assert lines[0] == f"Deleted since, and made again, with what was made of it: {FIGURE}"
    del lines[:2]  # and how to have it otherwise
    assert re.fullmatch(r"1 job, about \d+ s", lines[0])
    assert re.fullmatch(r"\d\d:\d\d:\d\d  1/1  draw reactivation  [\d.]+ s", lines[1])
    assert lines[2] == f"figure:   {FIGURE}"
    assert lines[-3:-1] == [
        "numbers:  results/experiments/reactivation/table.csv",
        "findings: results/findings/reactivation.md",
    ]
    assert re.fullmatch(r"took:     \d+ s", lines[-1])
    assert max(map(len, lines)) <= 100
    assert project.files(".snakemake/log/*.log")  # all of it


def test_nothing_to_be_done_says_where_the_figure_is(project: Project) -> None:
    said = project.build(FIGURE)
    assert "Nothing to be done" in said
    assert f"figure:   {FIGURE}" in said


def test_a_dry_run_is_a_table_of_what_and_why(project: Project) -> None:
    (project.root / "figures/reactivation_mechanism.pdf").unlink()
    project.append("src/ntkscope/figures/style.py", "\n_X = 1\n")
    said = project.build("--dry-run", "reactivation_paper")
    assert re.search(r"^draw +1  its code has changed$", said, re.MULTILINE)
    assert re.search(r"^draw_mechanism +1  file was deleted$", said, re.MULTILINE)
    assert re.search(r"^reactivation_paper +1  an input is made again$", said, re.MULTILINE)
    assert re.search(r"^total +3$", said, re.MULTILINE)
    assert "Nothing was run" in said


def test_in_a_terminal_the_table_stays(project: Project) -> None:
    (project.root / FIGURE).unlink()
    shown, status = in_a_terminal(project, FIGURE)
    assert status == 0, shown
    assert "\x1b[1A" in shown  # drawn over itself
    last = plain(shown)[plain(shown).rindex("stage ") :]
    assert re.search(r"draw +1 +━+\n1 of 1 done · \d+ s gone\n", last), last
    assert f"figure:   {FIGURE}" in last


@pytest.mark.slow
def test_interrupted_it_says_how_to_go_on_without_a_traceback(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project")
    shown, status = in_a_terminal(project, FIGURE, interrupt_at="train_task mlp")
    assert status != 0
    assert "Traceback" not in shown
    assert "Error" not in shown
    last = plain(shown).strip().splitlines()[-1]
    assert re.fullmatch(
        rf"\d+ of 20 done; the same command goes on: snakemake --cores 2 {FIGURE}", last
    )
    project.build(FIGURE)
