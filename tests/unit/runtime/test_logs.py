"""What a job says, and where."""

import logging
import signal
import subprocess
import sys

import pytest

from ntkscope.errors import BusyError, DataError
from ntkscope.runtime import logs
from ntkscope.runtime.logs import job_log, log, progress
from ntkscope.runtime.provenance import provenance


def test_an_error_for_the_user_is_its_message_on_stderr_and_all_of_it_in_the_log(tmp_path, capsys):
    with pytest.raises(SystemExit) as end, job_log(tmp_path / "deep" / "job.log"):
        raise DataError("the file is short", where="a.gz", remedy="get it again")
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said == "DataError: the file is short\n  where: a.gz\n  to do: get it again\n"
    assert "Traceback" in (tmp_path / "deep" / "job.log").read_text()


SNAKEMAKE = ["snakemake", "--cores", "1"]


def remote(number, run="a"):
    """The Snakemake above a job on a cluster."""
    told = ["--attempt", str(number), "--wait-for-files", f"/here/.snakemake/tmp.{run}", "x.zarr"]
    return [*SNAKEMAKE, *told], f"{number}:9.5"


@pytest.mark.parametrize(
    ("first", "second", "again"),
    [
        ((SNAKEMAKE, "1:0.5"), (SNAKEMAKE, "1:0.5"), False),  # its own second attempt
        ((SNAKEMAKE, "1:0.5"), (SNAKEMAKE, "2:9.5"), True),  # started again by the user
        (([*SNAKEMAKE, "--attempt", "1"], "1:0.5"), ([*SNAKEMAKE, "--attempt", "2"], "2:9"), False),
        (([*SNAKEMAKE, "--attempt", "1"], "1:0.5"), ([*SNAKEMAKE, "--attempt", "1"], "2:9"), True),
        (remote(1), remote(2), False),
        (remote(1), remote(3), True),  # the second died before it came here
        (remote(1, "a"), remote(2, "b"), True),  # the first of this run did
        (([], ""), ([], ""), True),  # without Snakemake
    ],
)
def test_an_error_for_the_user_is_met_once(tmp_path, capsys, monkeypatch, first, second, again):
    tried = []
    for above in (first, second):
        monkeypatch.setattr(logs, "_snakemake", lambda above=above: above)
        with pytest.raises(SystemExit), job_log(tmp_path / "job.log"):
            tried.append(1)
            raise DataError("the file is short", where="a.gz", remedy="get it again")
    full = "DataError: the file is short\n  where: a.gz\n  to do: get it again\n"
    short = "DataError: the file is short\n  (not tried again)\n"
    assert capsys.readouterr().err == full + (full if again else short)
    assert len(tried) == (2 if again else 1)
    in_log = (tmp_path / "job.log").read_text()
    assert ("Traceback" in in_log) is again
    assert "to do: get it again" in in_log


@pytest.mark.parametrize(("names", "tried"), [(("a", "a"), 1), (("a", "b"), 2)])
def test_a_slurm_job_is_of_the_run_that_it_is_named_after(tmp_path, monkeypatch, names, tried):
    met = []
    for number, name in enumerate(names, start=1):
        above = ([*SNAKEMAKE, "--attempt", str(number)], "")
        monkeypatch.setattr(logs, "_snakemake", lambda above=above: above)
        monkeypatch.setenv("SLURM_JOB_NAME", name)
        with pytest.raises(SystemExit), job_log(tmp_path / "job.log"):
            met.append(1)
            raise DataError("the file is short")
    assert len(met) == tried


def test_who_met_another_at_work_tries_again(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "_snakemake", lambda: (SNAKEMAKE, "1:0.5"))
    with pytest.raises(SystemExit), job_log(tmp_path / "job.log"):
        raise BusyError("process 1 is already writing this output")
    with job_log(tmp_path / "job.log"):
        log.info("hello")


def test_any_other_error_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "_snakemake", lambda: (SNAKEMAKE, "1:0.5"))
    with pytest.raises(MemoryError), job_log(tmp_path / "job.log"):
        raise MemoryError
    with job_log(tmp_path / "job.log"):
        log.info("hello")
    assert "hello" in (tmp_path / "job.log").read_text()


def test_any_other_error_goes_on_and_is_in_the_log(tmp_path):
    with pytest.raises(ZeroDivisionError), job_log(tmp_path / "job.log"):
        1 / 0  # noqa: B018
    assert "ZeroDivisionError" in (tmp_path / "job.log").read_text()


KILLED = "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n"
INTERRUPT = "os.kill(os.getpid(), signal.SIGINT)\n"


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        (f"{KILLED}{INTERRUPT}", -signal.SIGINT, ""),
        (f"{KILLED}{{job}}    {INTERRUPT}", 130, "ended early (130)"),
        (f"{KILLED}{{job}}    pass\n{INTERRUPT}", -signal.SIGINT, ""),
        ("import os, signal\n{job}    pass\n" + INTERRUPT, -signal.SIGINT, "KeyboardInterrupt"),
    ],
    ids=["before", "inside", "after", "where it is not killed"],
)
def test_ctrl_c_is_an_exception_inside_alone(tmp_path, code, status, said):
    inside = (
        f"from ntkscope.runtime.logs import job_log\nwith job_log({str(tmp_path / 'log')!r}):\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code.format(job=inside)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == status
    assert said in ended.stderr if said else not ended.stderr


def test_lines_are_in_the_log(tmp_path):
    with job_log(tmp_path / "job.log"):
        log.info("hello")
        logging.getLogger("ntkscope.training").info("from within")
        logging.getLogger("fontTools.subset").info("maxp pruned")
        logging.getLogger("fontTools.subset").warning("no such glyph")
        assert list(progress(range(3), 3, "steps")) == [0, 1, 2]
    logging.captureWarnings(False)
    text = (tmp_path / "job.log").read_text()
    assert all(word in text for word in ("hello", "from within", "no such glyph", "steps: 3 of 3"))
    assert "pruned" not in text


def test_provenance_says_who_made_it_with_what():
    record = provenance(seeds=[1, 2])
    assert record["seeds"] == [1, 2]
    assert {"python", "torch", "numpy", "zarr"} <= record["versions"].keys()
    assert record["started"].endswith("Z")
