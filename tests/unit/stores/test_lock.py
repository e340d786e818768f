"""Locks: who lives is not disturbed, who is dead is not waited for, wherever it was."""

import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import threading
import time

import pytest

from ntkscope.errors import BusyError
from ntkscope.stores import JobDirectory, lock

ELSEWHERE = {"pid": 1, "host": "elsewhere", "started": 0.0}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A job's directory; no SLURM; looks and waits are short."""
    monkeypatch.setattr(lock, "_LOOK_SECONDS", 0.02)
    monkeypatch.setenv("PATH", "")
    for name in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def lock_of(folder, **owner):
    (folder / "lock.json").write_text(json.dumps(ELSEWHERE | owner))
    return folder / "lock.json"


def squeue(tmp_path, monkeypatch, code):
    """A `squeue` that runs a line of shell."""
    (tmp_path / "bin").mkdir()
    file = tmp_path / "bin" / "squeue"
    file.write_text(f"#!/bin/sh\n{code}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")


def test_a_living_owner_is_not_disturbed(folder):
    with JobDirectory(folder, {}), pytest.raises(BusyError) as error:
        JobDirectory(folder, {}).__enter__()
    assert f"process {os.getpid()}" in str(error.value)


def test_the_lock_of_a_dead_process_is_broken(folder):
    code = (
        "import sys, os; from ntkscope.stores import JobDirectory\n"
        "JobDirectory(sys.argv[1], {}).__enter__(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert (folder / "lock.json").exists()
    with JobDirectory(folder, {}):
        pass


ROUNDS, PROCESSES = 20, 6


def enter_all(folder, begin, failures):
    """Take the lock of each round's folder, all processes at the same moment, slow to act."""
    judge = lock.is_alive

    def slowly(owner, age):
        alive = judge(owner, age)
        time.sleep(random.uniform(0, 0.01))
        return alive

    lock.is_alive, lock._LOOK_SECONDS = slowly, 0.002
    for number in range(ROUNDS):
        place = folder / str(number)
        begin.wait(60)
        while True:
            try:
                with JobDirectory(place, {}):
                    try:
                        os.close(os.open(place / "inside", os.O_CREAT | os.O_EXCL))
                    except FileExistsError:
                        failures.put(number)
                    time.sleep(0.002)
                    (place / "inside").unlink(missing_ok=True)
                break
            except BusyError:
                time.sleep(0.001)


def test_one_of_many_breaks_a_dead_lock(folder):
    for number in range(ROUNDS):
        (folder / str(number)).mkdir()
        (folder / str(number) / "identity").write_text(JobDirectory(folder, {}).identity)
        lock_of(folder / str(number), host=socket.gethostname())
    context = multiprocessing.get_context("spawn")
    begin, failures = context.Barrier(PROCESSES), context.Queue()
    asked = {"target": enter_all, "args": (folder, begin, failures)}
    processes = [context.Process(**asked) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert failures.empty()
    assert [process.exitcode for process in processes] == [0] * PROCESSES


@pytest.mark.parametrize(
    "content",
    [b"", b'{"pid": 1, "ho', b"null", b"[1]", b"3", b'"x"', b"\xff", b'{"host": "here"}'],
)
def test_a_lock_that_names_no_owner_is_waited_for(folder, monkeypatch, content):
    monkeypatch.setattr(lock, "_WRITING_SECONDS", 0.3)
    (folder / "lock.json").write_bytes(content)
    began = time.monotonic()
    with JobDirectory(folder, {}):
        assert time.monotonic() - began > 0.2


def test_an_owner_on_another_host_is_waited_for_until_its_lock_is_stale(
    folder, monkeypatch, caplog
):
    caplog.set_level("INFO")
    monkeypatch.setattr(lock, "STALE_SECONDS", 0.3)
    lock_of(folder)
    began = time.monotonic()
    with JobDirectory(folder, {}):
        assert time.monotonic() - began > 0.2
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("waiting for process 1 on elsewhere")
    assert "taken for dead at" in said


def test_an_owner_that_gives_a_sign_of_life_is_left_alone(folder):
    file = lock_of(folder)
    later = threading.Timer(0.1, os.utime, (file, (time.time() + 1, time.time() + 1)))
    later.start()
    with pytest.raises(BusyError, match="elsewhere is already writing"):
        JobDirectory(folder, {}).__enter__()
    later.join()


@pytest.mark.parametrize(
    ("code", "alive"),
    [
        ("echo RUNNING", True),
        ("echo COMPLETING", None),
        ("true", False),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", False),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", None),
        ('test "$*" = "-h -o %T -j 17" && echo RUNNING', True),
    ],
)
def test_slurm_is_asked_for_an_owner_elsewhere(folder, tmp_path, monkeypatch, code, alive):
    squeue(tmp_path, monkeypatch, code)
    assert lock.is_alive(ELSEWHERE | {"slurm_job": "17"}, age=1.0) is alive


def test_the_lock_of_a_dead_slurm_job_is_broken_at_once(folder, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    squeue(tmp_path, monkeypatch, "true")
    lock_of(folder, slurm_job="17")
    with JobDirectory(folder, {}):
        assert not caplog.records


def test_a_slurm_job_put_back_in_the_queue_does_not_wait_for_itself(folder, monkeypatch):
    owner = ELSEWHERE | {"slurm_job": "17"}
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert lock.is_alive(owner, age=1.0) is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert lock.is_alive(owner, age=1.0) is False


def test_a_lock_names_its_slurm_job(folder, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with JobDirectory(folder, {}):
        assert json.loads((folder / "lock.json").read_text())["slurm_job"] == "17"


def test_who_lost_the_lock_does_not_finish(folder):
    with JobDirectory(folder, {}) as place:
        place.store.mkdir()
        (folder / "lock.json").write_text("{}")
        with pytest.raises(BusyError, match="taken over"):
            place.finish(folder / "out.zarr")
    assert not (folder / "out.zarr").exists()
