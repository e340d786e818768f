"""Why a job failed, by its log and by what Snakemake said."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakemake_logger_plugin_ntkscope.causes import Cause, cause_of

OURS = """2026-11-26 18:05:51,751 INFO begins
2026-11-26 18:05:51,751 ERROR Traceback (most recent call last):
  File "src/ntkscope/runtime/logs.py", line 49, in job_log
    yield
ntkscope.errors.DataError: missing: data_batch_1
  where: data/cifar
  to do: get it
"""
AGAIN = (
    "DataError: missing: data_batch_1\n  where: data/cifar\n  to do: get it\n  (not tried again)\n"
)
OTHERS = """2026-11-26 18:05:51,751 ERROR Traceback (most recent call last):
  File "x.py", line 1, in <module>
ValueError: a wrong value
"""
FULL = "DiskError: full\n  to do: make room"
CTRL_C = OTHERS.replace("ValueError: a wrong value", "KeyboardInterrupt")
WORDS = "DataError: missing: data_batch_1\n  where: data/cifar\n  to do: get it"


@pytest.mark.parametrize(
    ("log", "words", "of_user", "stopped"),
    [
        (OURS, WORDS, True, False),
        (AGAIN, WORDS, True, False),
        ("2026-11-26 18:05:51,751 ERROR DiskError: full\n  to do: make room\n", FULL, True, False),
        (OTHERS, "ValueError: a wrong value", False, False),
        (CTRL_C, "KeyboardInterrupt", False, True),
        ("one\ntwo\nthree\nfour\n", "two\nthree\nfour", False, False),
        ("", "its log is empty", False, False),
    ],
)
def test_the_last_error_of_a_log(
    tmp_path: Path, log: str, words: str, of_user: bool, stopped: bool
) -> None:
    file = tmp_path / "job.log"
    file.write_text(log, encoding="utf-8")
    cause = cause_of(file, "returned non-zero exit status 1.")
    assert (cause.words, cause.of_user, cause.stopped) == (words, of_user, stopped)


@pytest.mark.parametrize(
    "said",
    [
        "died with <Signals.SIGINT: 2>.",
        "died with <Signals.SIGTERM: 15>.",
        "non-zero exit status 143.",
    ],
)
def test_a_job_that_was_stopped_has_nothing_wrong(said: str) -> None:
    assert cause_of(None, said).stopped


def test_the_job_s_own_note_is_read_whatever_became_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    note = tmp_path / ".job.log.refused"
    note.write_text(f"12:3.5\n{WORDS}", encoding="utf-8")
    said = "CalledProcessError: returned non-zero exit status 1."
    assert cause_of(log, said) == Cause(WORDS, of_user=True)  # deleted: it is tried again
    assert not cause_of(log, said, note.stat().st_mtime + 1).of_user  # of an earlier run
    log.write_text(OURS.replace("ntkscope.errors", "ntkscope.ntk.outputs"), encoding="utf-8")
    assert cause_of(log, said) == Cause(WORDS, of_user=True)
    assert cause_of(log, "died with <Signals.SIGTERM: 15>.").stopped


def test_a_killed_job_says_by_what() -> None:
    cause = cause_of(None, "Command 'python x.py' died with <Signals.SIGKILL: 9>.")
    assert cause.words == "killed by SIGKILL: was there too little memory?"
    assert not cause.stopped


def test_a_job_of_slurm_that_did_not_come_to_its_log_says_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake/slurm_logs").mkdir(parents=True)
    (tmp_path / "empty.log").touch()
    for log in ("none.log", "empty.log"):
        assert cause_of(tmp_path / log, "").words.endswith(": see .snakemake/slurm_logs")


def test_a_job_without_a_log_says_what_snakemake_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = cause_of(tmp_path / "none.log", "it vanished").words
    assert words == "it vanished\nit left no log: is the disk full?"
