"""A job's folder: what is not its own stays, a kill at any moment loses nothing that was saved."""

import os
import signal
import time

import pytest

from ntkscope.errors import DiskError, StoreError
from ntkscope.stores import JobDirectory, job_directory


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


def test_what_a_link_leads_to_is_left_alone(folder, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "precious").write_text("x")
    folder.symlink_to(theirs)
    with pytest.raises(StoreError, match="symbolic link"):
        JobDirectory(folder, {}).__enter__()
    folder.unlink()
    with JobDirectory(folder, {"a": 1}):
        (folder / "store.zarr").symlink_to(theirs)
    with JobDirectory(folder, {"a": 2}) as place:
        assert not place.store.exists()
        place.store.mkdir()
        (tmp_path / "out.zarr").symlink_to(theirs)
        place.finish(tmp_path / "out.zarr")
    assert (theirs / "precious").read_text() == "x"


def test_a_folder_of_something_else_is_refused_as_it_is(folder):
    folder.mkdir()
    (folder / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match=r"no folder of a job.*'thesis.tex'"):
        JobDirectory(folder, {}).__enter__()
    assert [file.name for file in folder.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("after_the_move", [False, True])
def test_killed_while_it_finishes(folder, tmp_path, monkeypatch, after_the_move):
    def killed(*_):
        raise SystemExit(137)

    with JobDirectory(folder, {}) as place:
        place.save("checkpoint", b"5")
        place.store.mkdir()
        moved = place.store
        with monkeypatch.context() as patch, pytest.raises(SystemExit):
            patch.setattr(job_directory, "uuid" if after_the_move else "remove", killed)
            if after_the_move:
                patch.setattr(job_directory.uuid, "uuid4", killed, raising=False)
            place.finish(tmp_path / "out.zarr")
        assert moved.exists() is not after_the_move
    with JobDirectory(folder, {}) as place:  # a checkpoint without its store is worth nothing
        assert [*place.saved("checkpoint")] == ([] if after_the_move else [b"5"])


@pytest.fixture
def heard():
    """SIGINT is not ignored, as it is in what a shell runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_a_first_signal_is_obeyed_when_all_is_saved_a_second_one_at_once(folder):
    with pytest.raises(SystemExit) as end, JobDirectory(folder, {}) as place:
        assert not place.is_due(100)
        os.kill(os.getpid(), signal.SIGTERM)
        assert place.is_due(100)
        place.save("checkpoint", b"5")
        place.heartbeat()
    assert end.value.code == 143
    with pytest.raises(SystemExit), JobDirectory(folder, {}) as place:
        assert [*place.saved("checkpoint")] == [b"5"]
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    with pytest.raises(KeyboardInterrupt), JobDirectory(folder, {}) as place:
        os.kill(os.getpid(), signal.SIGINT)
        place.heartbeat()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not (folder / "lock.json").exists()


def test_a_full_disk_is_said_with_what_it_takes(folder, monkeypatch):
    full = pytest.raises(DiskError, match=r"the disk is full: .* MB are free on /")
    with full as error, JobDirectory(folder, {}) as place:
        place.store.mkdir()
        raise OSError(28, "No space left on device")
    assert str(place.store) in str(error.value)
    assert not (folder / "lock.json").exists()
    with JobDirectory(folder, {}):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.mkdir", lambda *_, **__: (_ for _ in ()).throw(
        OSError(30, "Read-only file system", str(tmp_path))
    ))  # fmt: skip
    with pytest.raises(DiskError, match="nothing can be written here: read-only file system"):
        JobDirectory(tmp_path / "state", {}).__enter__()
