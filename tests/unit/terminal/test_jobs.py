"""Jobs of a run: counts, progress, and the time that is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakemake_logger_plugin_ntkscope.jobs import Job, Jobs, clock, mean_seconds
from snakemake_logger_plugin_ntkscope.reasons import Reasons


def job(stage: str, began: float, log: Path | None = None) -> Job:
    return Job(stage, "run", log, began)


def test_counts_follow_the_jobs() -> None:
    jobs = Jobs({"train": 3, "draw": 1})
    jobs.start(1, job("train", 0.0))
    jobs.start(2, job("train", 0.0))
    assert (jobs.total, jobs.left("train"), jobs.left("draw")) == (4, 1, 1)
    assert jobs.finish(1, 5.0) == (job("train", 0.0), 5.0)
    assert jobs.fail(2) == job("train", 0.0)
    assert (jobs.done["train"], list(jobs.failed)) == (1, [2])
    jobs.start(2, job("train", 6.0))  # again
    assert not jobs.failed
    assert jobs.finish(7, 8.0) is None


def test_time_left_is_of_earlier_jobs_until_there_are_three_of_this_run() -> None:
    jobs = Jobs({"train": 6, "draw": 2}, cores=2, earlier={"train": 10.0, "draw": 4.0})
    assert jobs.seconds_left(0.0) == (6 * 10 + 2 * 4) / 2
    jobs.start(0, job("train", 0.0))
    assert jobs.seconds_left(4.0) == (5 * 10 + 2 * 4 + 6) / 2
    jobs.finish(0, 4.0)
    for number in (1, 2):
        jobs.start(number, job("train", 0.0))
        jobs.finish(number, 4.0)
    assert jobs.seconds_left(4.0) == (3 * 4 + 2 * 4) / 2


def test_time_left_is_never_less_than_the_longest_running_job_has() -> None:
    jobs = Jobs({"train": 1}, cores=8, earlier={"train": 100.0})
    jobs.start(1, job("train", 0.0))
    assert jobs.seconds_left(1.0) == 99.0
    assert jobs.seconds_left(200.0) == 0.0


def test_no_more_jobs_run_beside_each_other_than_there_are() -> None:
    jobs = Jobs({"train": 3}, cores=2**63, earlier={"train": 10.0})  # a cluster without bounds
    assert jobs.seconds_left(0.0) == 10.0


def test_time_left_is_not_guessed() -> None:
    assert Jobs({"train": 1}).seconds_left(0.0) is None


def test_benchmarks_of_earlier_jobs(tmp_path: Path) -> None:
    for name, seconds in (("a", "1.5"), ("deep/b", "2.5"), ("half", "")):
        file = tmp_path / f"train/{name}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"s\tcpu_time\n{seconds}\t3\n", encoding="utf-8")
    assert mean_seconds(tmp_path, ["train", "draw"]) == {"train": 2.0}


def test_who_waits_for_a_lock_says_for_whom(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "INFO step: 3 of 9\n2 WARNING waiting for process 7 on b, which has the lock x\n"
    )
    assert Job("train", "r", log, 0.0).progress() == "waiting for process 7 on b"
    log.write_text(log.read_text() + "INFO step: 4 of 9\n")
    assert Job("train", "r", log, 0.0).progress() == "4 of 9"


def test_progress_is_what_the_log_says_last(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    assert job("train", 0.0, log).progress() == ""
    log.write_text("x INFO mlp-w4: 10 of 300\nx INFO mlp-w4: 20 of 300\nx INFO other\n", "utf-8")
    assert job("train", 0.0, log).progress() == "20 of 300"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (59, "59 s"), (60, "1 min"), (7500, "2 h 05 min")]
)
def test_a_clock(seconds: float, words: str) -> None:
    assert clock(seconds) == words


def test_reasons_are_few_words_counted_by_stage() -> None:
    reasons = Reasons()
    params = "Params have changed since last execution: Union of exclusive params before and now "
    for reason in (
        "Missing output files: a; Input files updated by another job: b",
        "Missing output files: c",
        f"{params}across all output: before: '6cbdc40f4cc1' now: '52c09e790e80' ",
        f"{params}across all output: before: 3 now: 2 ",
        f"{params}across all output: before: {{'a': 'very long value'}} now: {{'a': 'another'}} ",
    ):
        reasons.add("fit", reason)
    reasons.add("draw", "Input files updated by another job: b", known="file was deleted")
    reasons.add("draw", "Forced execution", known="file was deleted")
    reasons.add("draw", "Missing output files: a", known="not made yet with these settings")
    assert reasons.table() == [
        "stage  jobs  why",
        "-----  ----  ------------------------------",
        "fit       5  file is missing (2), its code has changed (1), a setting was 3, is 2 (1), "
        "its settings have changed (1)",
        "draw      3  an input is made again (1), file was deleted (1), not made yet with these "
        "settings (1)",
        "total     8",
    ]
