"""The handler, given Snakemake's records one by one."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_ntkscope import LogHandler, LogHandlerSettings
from snakemake_logger_plugin_ntkscope.handler import ERRORS_IN_LOGS

OURS = "2026 ERROR Traceback:\nntkscope.errors.DataError: missing\n  where: data\n  to do: get it\n"
FACTS = {
    "preset": "digits",
    "figures": {"a": {"files": ["figures/a.pdf"], "table": "a.csv", "paper": "p"}},
    "findings": {},
}
Tell = Callable[..., str]


class Screen(StringIO):
    """A stream that is a terminal, or is not."""

    terminal = False

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tell]:
    """Give a record to a handler; what it has said since."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "argv", ["snakemake", "--cores", "2", "figures/a.pdf"])
    screen = Screen()
    settings = {"stdout": False, "dryrun": False, "nocolor": False}
    made: list[LogHandler] = []

    def say(message: str = "", event: Any = None, **facts: Any) -> str:
        for key in set(facts) & {"terminal", "everything", "dryrun"}:
            settings[key] = facts.pop(key)
        if not made:
            screen.terminal = bool(settings.get("terminal"))
            monkeypatch.setattr(sys, "stderr", screen)
            options = LogHandlerSettings(everything=bool(settings.get("everything")))
            made.append(LogHandler(SimpleNamespace(**settings), options))
        before = len(screen.getvalue())
        record = logging.makeLogRecord({"msg": message, "event": event, **facts})
        made[0].emit(record)
        if message == "close":
            made[0].close()
            made[0].close()
        return screen.getvalue()[before:]

    yield say
    for handler in made:
        handler.close()


def start(tell: Tell, number: int = 1, **more: Any) -> None:
    facts = {
        "rule_name": "train",
        "wildcards": {"run": f"r{number}"},
        "reason": "Missing output files: a",
    }
    tell("", LogEvent.JOB_INFO, jobid=number, **facts, **more)


def begin(tell: Tell, jobs: int) -> None:
    tell("", None, study=FACTS)
    tell("", LogEvent.RESOURCES_INFO, cores=2)
    tell("", LogEvent.RUN_INFO, stats={"train": jobs, "total": jobs})


def test_a_finished_job_is_a_line(tell: Tell) -> None:
    begin(tell, 2)
    start(tell)
    said = tell("", LogEvent.JOB_FINISHED, job_id=1)
    assert said.count("\n") == 1
    assert "1/2  train r1" in said


def test_an_error_is_told_once_however_often_it_is_tried(tell: Tell, tmp_path: Path) -> None:
    begin(tell, 1)
    log = tmp_path / "train.log"
    said = ""
    for text in (OURS, "DataError: missing\n  where: data\n  to do: get it\n  (not tried again)\n"):
        start(tell, log=[str(log)])
        log.write_text(text, encoding="utf-8")
        said += tell("RuleException:\nreturned non-zero exit status 1.", LogEvent.ERROR)
        said += tell("Error in rule", LogEvent.JOB_ERROR, jobid=1, rule_name="train", log=[log])
        said += tell("Trying to restart job 1.")
    assert said == "failed: train r1\n  DataError: missing\n    where: data\n    to do: get it\n"
    said = tell("Elapsed time: 1") + tell("WorkflowError:\nAt least one job did", LogEvent.ERROR)
    assert said.splitlines() == [
        "1 failed, and what needs them was not run",
        "0 of 1 done; once that is mended, the same command goes on: "
        "snakemake --cores 2 figures/a.pdf",
    ]


def test_an_error_of_many_jobs_is_told_once(tell: Tell, tmp_path: Path) -> None:
    begin(tell, 2)
    log = tmp_path / "train.log"
    log.write_text(OURS, encoding="utf-8")
    said = ""
    for number in (1, 2):
        start(tell, number)
        facts = {"jobid": number, "rule_name": "train", "log": [log]}
        said += tell("Error in rule", LogEvent.JOB_ERROR, **facts)
    assert said.splitlines()[3:] == ["    to do: get it", "failed: train r2: the same error"]


def test_what_is_typed_again_is_quoted(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["snakemake", "--config", "seeds=[0, 1]"])
    begin(tell, 1)
    start(tell)
    assert tell("Elapsed time: 1").endswith("goes on: snakemake --config 'seeds=[0, 1]'\n")


def test_an_interruption_is_no_error(tell: Tell) -> None:
    begin(tell, 2)
    start(tell)
    said = tell("RuleException:\ndied with <Signals.SIGINT: 2>.", LogEvent.ERROR)
    said += tell("Error in rule", LogEvent.JOB_ERROR, jobid=1, rule_name="train", log=[])
    said += tell("Terminating processes on user request, this might take some time.")
    said += tell("Elapsed time: 1")
    assert said == "0 of 2 done; the same command goes on: snakemake --cores 2 figures/a.pdf\n"


def test_a_job_that_another_stopped_is_named_at_the_end(tell: Tell) -> None:
    begin(tell, 1)
    start(tell)
    tell("RuleException:\ndied with <Signals.SIGTERM: 15>.", LogEvent.ERROR)
    assert tell("Error in rule", LogEvent.JOB_ERROR, jobid=1, rule_name="train") == ""
    said = tell("Elapsed time: 1").splitlines()
    assert said[:2] == [
        "train r1: stopped from outside, not by this command",
        "1 failed, and what needs them was not run",
    ]
    assert said[2].startswith("0 of 1 done; the same command goes on")


def test_that_jobs_end_at_sigterm_is_no_failure(tell: Tell) -> None:
    begin(tell, 1)
    start(tell)
    tell("Will exit after finishing currently running jobs (scheduler).")
    tell("RuleException:\nreturned non-zero exit status 143.", LogEvent.ERROR)
    tell("Error in rule", LogEvent.JOB_ERROR, jobid=1, rule_name="train")
    assert tell("Elapsed time: 1").startswith("0 of 1 done; the same command goes on")


def test_what_a_job_waits_for_and_what_it_mends_is_told_once(tell: Tell, tmp_path: Path) -> None:
    begin(tell, 1)
    log = tmp_path / "train.log"
    lines = (
        "2026-11-27 10:00:00,000 WARNING waiting for process 7 on node17, which has the lock a",
        "2026-11-27 10:00:01,000 WARNING state is damaged: going on from what was saved before it",
        "2026-11-27 10:00:02,000 WARNING seed 3 diverged at step 5",
    )
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    start(tell, log=[str(log)])
    said = tell("", LogEvent.JOB_FINISHED, job_id=1).splitlines()
    assert said[:-1] == [
        "train r1: waiting for process 7 on node17, which has the lock a",
        "train r1: state is damaged: going on from what was saved before it",
    ]


def test_the_end_names_the_figure(tell: Tell, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/a.pdf").touch()
    begin(tell, 1)
    start(tell)
    tell("", LogEvent.JOB_FINISHED, job_id=1)
    assert tell("Elapsed time: 1").startswith("figure:   figures/a.pdf\n")
    assert tell("Elapsed time: 1").splitlines()[-1].startswith("took:  ")
    assert "figure:   figures/a.pdf" in tell("Nothing to be done (all requested files are there).")


def test_in_a_terminal_the_table_is_there_at_the_end(tell: Tell) -> None:
    tell("", None, terminal=True)
    begin(tell, 2)
    start(tell)
    tell("", LogEvent.JOB_FINISHED, job_id=1)
    assert "1 of 2 done" in tell("Elapsed time: 1")
    tell("close")


def test_a_dry_run_counts_jobs_and_reasons(tell: Tell) -> None:
    tell("", None, dryrun=True)
    begin(tell, 2)
    start(tell, 1)
    start(tell, 2)
    said = tell("This was a dry-run (flag -n).")
    assert said.splitlines()[2].split() == ["train", "2", "file", "is", "missing"]


def test_noise_is_left_out_and_news_is_not(tell: Tell) -> None:
    assert tell("Building DAG of jobs...") == ""
    assert tell("Some news.") == "Some news.\n"


def test_what_snakemake_says_again_is_said_once(tell: Tell) -> None:
    stopping = "Will exit after finishing currently running jobs (scheduler)."
    assert tell(stopping) == stopping + "\n"
    assert [tell(stopping), tell("news"), tell(stopping)] == ["", "news\n", ""]


def test_everything_is_said_as_it_is(tell: Tell) -> None:
    assert tell("Building DAG of jobs...", everything=True) == "Building DAG of jobs...\n"
    assert ERRORS_IN_LOGS not in os.environ  # then jobs tell their errors themselves


def test_jobs_leave_their_errors_to_the_handler_as_long_as_it_is_there(tell: Tell) -> None:
    tell("")
    assert os.environ[ERRORS_IN_LOGS]
    tell("close")
    assert ERRORS_IN_LOGS not in os.environ
