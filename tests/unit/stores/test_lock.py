"""Locks: who lives is not disturbed, who is dead is not waited for, wherever it was."""

import fcntl
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from ntkscope.errors import BusyError, MadeMeanwhileError, StoreError
from ntkscope.runtime import owner
from ntkscope.stores import JobDirectory, lock

ELSEWHERE = {"pid": 1, "host": "elsewhere", "machine": "another", "started": 0.0, "token": "a"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A job's directory; no SLURM; looks and waits are short."""
    monkeypatch.setattr(lock, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(lock, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(lock, "_WRITING_SECONDS", 0.3)
    monkeypatch.setenv("PATH", "")
    for name in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_CLUSTER_NAME"):
        monkeypatch.delenv(name, raising=False)
    owner._cluster.cache_clear()
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def lock_of(folder, **who):
    (folder / "lock.json").write_text(json.dumps(ELSEWHERE | who))
    return folder / "lock.json"


def slurm(tmp_path, monkeypatch, code):
    """A `squeue` that runs a line of shell, and a `scontrol` that names the cluster."""
    (tmp_path / "bin").mkdir()
    owner._cluster.cache_clear()
    for name, line in (("squeue", code), ("scontrol", "echo 'ClusterName   = here'")):
        file = tmp_path / "bin" / name
        file.write_text(f"#!/bin/sh\n{line}\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")


def another(folder, then, seconds=60):
    """Another process that has the folder, and what it does with it."""
    code = (
        "import sys, os, time; from ntkscope.stores import JobDirectory, lock\n"
        "lock.BEAT_SECONDS = 0.02\n"
        f"with JobDirectory(sys.argv[1], {{}}) as place:\n"
        f"  print('in', flush=True); time.sleep(0.3); {then}\n"
        f"  time.sleep({seconds})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, env=os.environ
    )
    assert process.stdout.readline() == b"in\n"
    return process


def test_who_has_it_does_not_wait_for_itself(folder):
    with JobDirectory(folder, {}), pytest.raises(BusyError) as error:
        JobDirectory(folder, {}).__enter__()
    assert f"process {os.getpid()}" in str(error.value)


def test_without_patience_nobody_waits_for_who_lives(folder):
    process = another(folder, "pass")
    with pytest.raises(BusyError, match=f"process {process.pid} on"):
        lock.Lock(folder / "lock.json").acquire(patient=False)
    process.kill()
    process.wait()
    mine = lock.Lock(folder / "lock.json")
    mine.acquire(patient=False)
    mine.release()
    file, ended = lock_of(folder), threading.Event()  # of whom nobody here knows whether it lives

    def give_signs():
        while not ended.wait(0.02):
            os.utime(file)

    beat = threading.Thread(target=give_signs)
    beat.start()
    with pytest.raises(BusyError, match="process 1 on elsewhere"):
        lock.Lock(file).acquire(patient=False)
    ended.set()
    beat.join()
    dead = lock.Lock(file)
    dead.acquire(patient=False)  # after it gave no sign for long
    assert dead.is_mine()


def test_who_waited_while_the_same_was_made_has_nothing_to_do(folder, caplog):
    process = another(folder, "place.store.mkdir(); place.finish(sys.argv[1] + '.out')", seconds=0)
    with pytest.raises(MadeMeanwhileError):
        JobDirectory(folder, {}).__enter__()
    assert not folder.exists()
    assert caplog.messages[0].startswith(f"waiting for process {process.pid} on ")
    assert process.wait() == 0


def test_who_waited_for_one_that_was_killed_goes_on(folder):
    process = another(folder, "place.store.mkdir(); place.save('state', b'5')")
    threading.Timer(0.6, process.kill).start()
    with JobDirectory(folder, {}) as place:
        assert [*place.saved("state")] == [b"5"]
    process.wait()


def test_the_lock_of_a_killed_process_is_broken_though_its_parent_has_not_looked(folder):
    process = another(folder, "pass")
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie
    began = time.monotonic()
    with JobDirectory(folder, {}):
        assert time.monotonic() - began < 0.2
    process.wait()


def test_a_job_gives_signs_of_life_whatever_it_does(folder):
    with JobDirectory(folder, {}):
        touched = (folder / "lock.json").stat().st_mtime_ns
        time.sleep(0.1)
        assert (folder / "lock.json").stat().st_mtime_ns > touched


PROCESSES = 4


def enter_all(folder, rounds, begin, failures, locks_files):
    """Take the lock of each round's folder, all processes at the same moment, slow to act."""
    judge = lock.is_alive

    def slowly(who):
        alive = judge(who)
        time.sleep(random.uniform(0, 0.01))
        return alive

    def refused(*_):
        raise OSError

    lock.is_alive, lock._LOOK_SECONDS = slowly, 0.001
    if not locks_files:
        fcntl.flock = refused
    for number in range(rounds):
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
            except BusyError:  # another was the first to break it
                time.sleep(0.001)


@pytest.mark.parametrize(
    ("locks_files", "rounds"),
    [(True, 8), (False, 8), *(pytest.param(each, 200, marks=pytest.mark.slow) for each in (1, 0))],
)
def test_one_of_many_breaks_a_dead_lock(folder, locks_files, rounds):
    for number in range(rounds):
        (folder / str(number) / "store.zarr").mkdir(parents=True)
        (folder / str(number) / "identity").write_text(JobDirectory(folder, {}).identity)
        lock_of(folder / str(number), machine=owner.me()["machine"])
    context = multiprocessing.get_context("spawn")
    begin, failures = context.Barrier(PROCESSES), context.Queue()
    asked = {"target": enter_all, "args": (folder, rounds, begin, failures, locks_files)}
    processes = [context.Process(**asked) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert failures.empty()
    assert [process.exitcode for process in processes] == [0] * PROCESSES


ODD = [
    b"",
    b'{"pid": 1, "ho',
    b"null",
    b"[1]",
    b"3",
    b'"x"',
    b"\xff\x00\x93",
    b"[" * 4096,
    b"x" * 10**7,
    b'{"host": "here"}',
    b'{"a": %s}' % (b"9" * 5000),
    *(json.dumps(ELSEWHERE | {key: value}).encode() for key, value in (
        ("pid", True), ("pid", 10**30), ("pid", "1"), ("host", ["a"]), ("started", None),
        ("host", "\x1b[2J"), ("token", 1), ("slurm_job", 17), ("slurm_job", {"a": 1}),
    )),
]  # fmt: skip


@pytest.mark.parametrize("content", ODD)
def test_a_lock_that_names_no_owner_is_waited_for(folder, monkeypatch, content):
    monkeypatch.setattr(lock, "_WRITING_SECONDS", 0.1)
    (folder / "lock.json").write_bytes(content)
    began = time.monotonic()
    with JobDirectory(folder, {}):
        assert time.monotonic() - began > 0.08


def test_what_is_no_file_is_no_lock(folder, tmp_path):
    (folder / "lock.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="should be a lock"):
        JobDirectory(folder, {}).__enter__()
    (folder / "lock.json").unlink()
    (folder / "lock.json").mkdir()
    with pytest.raises(StoreError, match="should be a lock"):
        JobDirectory(folder, {}).__enter__()


@pytest.mark.parametrize("clock", [-(10.0**6), 0.0, 10.0**6])
def test_an_owner_that_cannot_be_asked_is_watched_whatever_the_clocks_say(folder, caplog, clock):
    file = lock_of(folder)
    os.utime(file, (time.time() + clock,) * 2)
    began = time.monotonic()
    with JobDirectory(folder, {}):
        assert 0.2 < time.monotonic() - began < 2
    (said,) = caplog.messages
    assert said.startswith("waiting for process 1 on elsewhere")


def test_an_owner_that_gives_signs_of_life_is_waited_for(folder, caplog):
    file, began = lock_of(folder), time.monotonic()
    ended = threading.Event()
    asked = (os.open(file, os.O_RDONLY), ended)
    threading.Thread(target=lock._give_signs, args=asked).start()
    threading.Timer(1.0, ended.set).start()
    with JobDirectory(folder, {}):
        assert time.monotonic() - began > 1.1
    assert len(caplog.messages) == 1


def test_a_process_of_another_container_is_not_looked_for_here(folder):
    mine = owner.me()
    assert owner.is_alive(mine)
    assert owner.is_alive(mine | {"machine": "another"}) is None
    assert owner.is_alive(mine | {"started": 1.0}) is False


def test_a_machine_that_was_started_again_has_none_of_its_processes(folder, monkeypatch):
    mine = owner.me()
    now = f"installation/now/{owner._NO_CONTAINER}"
    monkeypatch.setattr(owner, "machine", lambda: now)
    assert owner.is_alive(mine | {"machine": now.replace("now", "before")}) is False
    for other in (now.replace("installation", "other"), "installation/before/pid:[1]", "name"):
        assert owner.is_alive(mine | {"machine": other}) is None
    assert owner.is_alive(mine | {"machine": now.replace("now", "before"), "host": "b"}) is None


@pytest.mark.parametrize(
    ("code", "alive"),
    [
        ("echo RUNNING", True),
        ("echo COMPLETING", None),
        ("true", False),
        ("echo PENDING", False),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", False),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", None),
        ('test "$*" = "-h -o %T -j 17" && echo RUNNING', True),
    ],
)
def test_slurm_is_asked_for_an_owner_elsewhere(folder, tmp_path, monkeypatch, code, alive):
    slurm(tmp_path, monkeypatch, code)
    assert owner.is_alive(ELSEWHERE | {"slurm_job": "17", "slurm_cluster": "here"}) is alive
    assert owner.is_alive(ELSEWHERE | {"slurm_job": "17", "slurm_cluster": "there"}) is None


def test_the_lock_of_a_dead_slurm_job_is_broken_at_once(folder, tmp_path, monkeypatch, caplog):
    slurm(tmp_path, monkeypatch, "true")
    lock_of(folder, slurm_job="17", slurm_cluster="here")
    with JobDirectory(folder, {}):
        assert not caplog.records


def test_a_slurm_job_put_back_in_the_queue_does_not_wait_for_itself(folder, monkeypatch):
    who = ELSEWHERE | {"slurm_job": "17"}
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert owner.is_alive(who) is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert owner.is_alive(who) is False


def test_a_lock_names_its_slurm_job(folder, tmp_path, monkeypatch):
    slurm(tmp_path, monkeypatch, "true")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with JobDirectory(folder, {}):
        said = json.loads((folder / "lock.json").read_text())
    assert (said["slurm_job"], said["slurm_cluster"]) == ("17", "here")


def test_who_lost_the_lock_does_not_finish(folder):
    with JobDirectory(folder, {}) as place:
        place.store.mkdir()
        (folder / "lock.json").write_text("{}")
        with pytest.raises(BusyError, match="taken over"):
            place.finish(folder / "out.zarr")
        with pytest.raises(BusyError, match="taken over"):
            place.save("state", b"")
    assert not (folder / "out.zarr").exists()
