"""One process writes a store of a watch; all others look at it, and change nothing."""

from __future__ import annotations

import copy
import errno
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ntkscope import Watch, read_store
from ntkscope.errors import BusyError, DiskError, StoreError
from ntkscope.stores import ZarrStore
from ntkscope.stores.verify import look
from ntkscope.watch import WatchError, kernel_store
from ntkscope.watch.stored import Stored
from tests.unit.watch.loops import PROBE, make_watch, network

WRITER = """
import sys
from tests.unit.watch.loops import make_watch, network
watch = make_watch(store=sys.argv[1], every=1)(network())
for line in sys.stdin:
    exec(line)
    print(flush=True)
"""


def steps_of(store: Path) -> list[int]:
    return read_store(store, "kernels")["step"].values.tolist()


def watched(store: Path, steps: int = 0, **options: Any) -> Watch:
    watch = make_watch(store=store, every=1, **options)(network())
    for step in range(steps):
        watch.step(step)
    return watch


def die(watch: Watch) -> None:
    """As its process is killed: what is in memory is gone, and nobody holds the store."""
    assert watch._store is not None
    watch._store._pending, watch._store._unmarked = [], []
    watch._store._let_go()


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a folder: when it was written, and what."""
    found = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file): (file.stat().st_mtime_ns, file.read_bytes()) for file in found}


@contextmanager
def another(store: Path) -> Iterator[Any]:
    """Another process with a watch, that does line after line, and ends at the end of them."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def do(line: str) -> None:
        print(line, file=process.stdin, flush=True)
        process.stdout.readline()  # type: ignore[union-attr]

    try:
        yield process, do
    finally:
        process.kill()
        process.wait()


def test_who_looks_writes_nothing_and_who_writes_alone_writes(tmp_path: Path, caplog: Any) -> None:
    store = tmp_path / "of the run" / "k.zarr"
    with another(store) as (process, do):
        do("for step in range(5): watch.step(step)")
        do("watch.boundary(); mask = watch._store._store.group['complete']; mask.resize((6,))")
        before = files(store)  # in the middle of a write
        looking = watched(store)
        assert looking.dataset()["step"].values.tolist() == list(range(5))
        assert looking.dataset().attrs["boundaries"].tolist() == [4]
        assert looking.resume() == 4
        assert "5 kernels of its store" in str(looking)
        looking.plot(tmp_path.parent / "figure.png")
        looking.close()
        with pytest.raises(StoreError, match="incomplete"):
            read_store(store, "kernels")
        for call in (lambda: looking.step(5), looking.step, looking.boundary):
            with pytest.raises(BusyError, match=f"process {process.pid} on .* is writing") as error:
                call()
            assert "delete" in str(error.value)
        assert files(store) == before
        assert len([*store.parent.iterdir()]) == 2  # it, and its lock
        do("watch.step(5); watch.step(6); watch.flush()")
        assert looking.dataset()["step"].values.tolist() == list(range(7))
        process.kill()
        process.wait()
        assert looking.step() is not None
        assert "waiting for" not in caplog.text
        looking.close()
        assert steps_of(store) == list(range(8))
        assert look(store) == (store, "", True)
        assert [each.name for each in store.parent.iterdir()] == ["k.zarr"]


ENDS = """
import multiprocessing, sys
from pathlib import Path
from tests.unit.watch.test_one_writer import watched

def child():
    watch = watched(Path(sys.argv[1]), 2)
    raise ValueError(watch)

process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
sys.exit(process.exitcode + 1)
"""


def test_a_process_that_ends_leaves_nothing_unwritten_and_no_lock(tmp_path: Path) -> None:
    """A fork of a process in which autograd was never at work."""
    store = tmp_path / "k.zarr"
    done = subprocess.run([sys.executable, "-c", ENDS, str(store)], check=False)
    assert done.returncode == 2
    assert steps_of(store) == [0, 1]
    assert not look(store).known  # it is not sealed: the run has not ended
    assert [each.name for each in tmp_path.iterdir()] == ["k.zarr"]


UNWRITTEN = """
import copy, sys
from pathlib import Path
from tests.unit.watch.test_one_writer import watched

watch = watched(Path(sys.argv[1]), 2)
other = copy.deepcopy(watch)
watch.step(2)
watch.flush()
other.step(2)
other.step(4)
watch.step(3)
watch.flush()
"""


def test_a_process_ends_whose_last_kernels_cannot_be_written(tmp_path: Path) -> None:
    """And says so: what holds them then is dropped where no thread can begin any more."""
    store = tmp_path / "k.zarr"
    done = subprocess.run(
        [sys.executable, "-c", UNWRITTEN, str(store)],
        check=False, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    begins_threads = sys.version_info < (3, 12)  # while the interpreter ends
    why = "another Watch, or process, has written this store since"
    assert done.stderr.count(why if begins_threads else "can't create new thread") == 1
    assert steps_of(store) == [0, 1, 2, 3]
    assert [each.name for each in tmp_path.iterdir()] == ["k.zarr"]


def test_a_forked_copy_is_another_process(tmp_path: Path) -> None:
    store = tmp_path / "k.zarr"
    watch = watched(store, 3)

    def child() -> None:
        try:
            watch.step(3)
            watch.flush()
        except BusyError:
            os._exit(7)  # else as a process of its own ends, and drops the watch
        os._exit(1)

    for target, code in ((child, 7), (lambda: None, 0)):
        process = multiprocessing.get_context("fork").Process(target=target)
        process.start()
        process.join()
        assert process.exitcode == code
        assert watch._store is not None
        assert watch._store._lock.is_mine()
    watch.step(3)
    watch.close()
    assert steps_of(store) == [0, 1, 2, 3]


def test_a_later_watch_of_a_process_takes_over(tmp_path: Path) -> None:
    store = tmp_path / "k.zarr"
    first = watched(store, 3)
    second = watched(store)
    second.step()
    assert second.dataset()["step"].values.tolist() == [0, 1, 2, 3]  # the first has written
    first.step(3)
    with pytest.raises(WatchError, match="has written this store since"):
        first.flush()
    with pytest.raises(WatchError, match="has written this store since"):
        first.flush()
    second.step()
    second.flush()
    with pytest.raises(WatchError, match="would replace all"):
        watched(store).step(0)
    second.step(5)  # of whom nothing was taken
    second.leave()
    assert steps_of(store) == [0, 1, 2, 3, 4, 5]
    second.step(6)
    del second
    assert steps_of(store) == [0, 1, 2, 3, 4, 5, 6]
    assert not (tmp_path / ".k.zarr.lock").exists()


def test_a_copy_of_a_watch_is_another_writer(tmp_path: Path) -> None:
    store = tmp_path / "k.zarr"
    watch = watched(store, 3)
    other = copy.deepcopy(watch)
    watch.step(3)
    watch.flush()
    other.step(3)
    with pytest.raises(WatchError, match="has written this store since"):
        other.flush()
    watch.close()
    assert steps_of(store) == [0, 1, 2, 3]


@pytest.mark.parametrize("way", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
@pytest.mark.parametrize("stored", [True, False])
def test_a_copy_goes_on_with_a_network_of_its_own(way: Any, stored: bool, tmp_path: Path) -> None:
    options = {"store": tmp_path / "k.zarr"} if stored else {}
    watch = make_watch(every=1, **options)(network())
    watch.alarm(rate=0.5)
    for step in range(3):
        watch.step(step)
    model, other = way((watch.model, watch))
    assert other.model is model is not watch.model
    watch.leave()
    with torch.no_grad():
        model[5].weight += 1.0
    assert other.step(3)["ntk/velocity"] > 0.01
    other.close()
    assert other.dataset()["step"].values.tolist() == [0, 1, 2, 3]
    if stored:
        assert steps_of(tmp_path / "k.zarr") == [0, 1, 2, 3]


def test_an_exception_within_does_not_seal(tmp_path: Path, caplog: Any) -> None:
    store = tmp_path / "k.zarr"
    with pytest.raises(ZeroDivisionError), make_watch(store=store)(network()) as watch:
        watch.step(0)
        watch.step(1 / 0)  # type: ignore[arg-type]
    assert steps_of(store) == [0]
    assert not look(store).known
    assert not (tmp_path / ".k.zarr.lock").exists()
    watch.step(1)  # it may go on
    watch.close()
    assert look(store).known


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_what_could_not_be_written_is_written_later(
    error: BaseException, tmp_path: Path, monkeypatch: Any
) -> None:
    store = tmp_path / "k.zarr"
    watch = watched(store, 3)
    watch.flush()
    watch.step(3)
    write = ZarrStore.write

    def refused(self: ZarrStore, name: str, *rest: Any) -> None:
        if name == "step":
            raise error
        write(self, name, *rest)

    with monkeypatch.context() as patched, pytest.raises((DiskError, KeyboardInterrupt)):
        patched.setattr(ZarrStore, "write", refused)
        watch.flush()
    assert watched(store).dataset()["step"].values.tolist() == [0, 1, 2]
    watch.step(4)
    watch.close()
    assert steps_of(store) == [0, 1, 2, 3, 4]
    assert look(store) == (store, "", True)


def raising(error: Exception) -> Any:
    def function(*_: Any, **__: Any) -> None:
        raise error

    return function


def test_of_a_disk_that_works_no_kernel_is_left_out(tmp_path: Path, monkeypatch: Any) -> None:
    """However large kernels are, and also soon after a write that failed."""
    now, store = 0.0, tmp_path / "k.zarr"
    watch = watched(store, 1)
    watch.flush()
    assert watch._store is not None
    watch._store._clock = lambda: now
    monkeypatch.setattr(kernel_store, "_MOST", 1)
    for step in range(1, 4):
        watch.step(step)
    with monkeypatch.context() as patched:
        patched.setattr(ZarrStore, "write", raising(OSError(errno.ENOSPC, "full")))
        watch.step(4)
    watch.flush()
    for step in range(5, 8):
        watch.step(step)
    watch.close()
    assert steps_of(store) == list(range(8))


def test_a_full_disk_ends_no_training(tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    """What it refuses is kept, up to a limit, and tried again, but not at each step."""
    now, tried, store = [0.0], [], tmp_path / "k.zarr"
    watch = watched(store, 1)
    watch.flush()
    assert watch._store is not None
    watch._store._clock, watch._store._since = lambda: now[0], now[0]
    size = watch._store._steps and 4 * (1 + 3) * PROBE**2
    monkeypatch.setattr(kernel_store, "_MOST", 6 * size)

    def full(*_: Any, **__: Any) -> None:
        tried.append(now[0])
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(ZarrStore, "write", full)
        for step in range(1, 20):
            now[0] += 10.0
            watch.step(step)
    assert tried == [10.0, 70.0, 130.0, 190.0]  # at once, then each minute
    assert caplog.text.count("the disk is full") == 1
    assert caplog.text.count("7 kernels could not be written: those behind are left") == 1
    assert watch.dataset()["step"].values.tolist() == list(range(20))
    now[0] += 60.0
    watch.step(20)
    watch.close()
    assert steps_of(store) == [*range(8), 20]
    assert look(store) == (store, "", True)


def test_kernels_are_written_also_while_none_is_due(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(kernel_store, "_SECONDS", 0.0)
    watch = make_watch(store=tmp_path / "k.zarr", every=100)(network())
    watch.step(0)
    watch.step(2)
    assert steps_of(tmp_path / "k.zarr") == [0]


def test_a_store_that_is_cut_back_meanwhile_is_read_again(tmp_path: Path, monkeypatch: Any) -> None:
    store = tmp_path / "k.zarr"
    watched(store, 6).close()
    opened, writers = Stored.open, []

    def cut(path: Path) -> Stored:
        found = opened(path)
        if not writers:
            writers.append(watched(store))
            monkeypatch.setattr(Stored, "open", opened)
            writers[0].step(3)
            writers[0].flush()
        return found

    looking = watched(store)
    monkeypatch.setattr(Stored, "open", cut)
    assert looking.dataset()["step"].values.tolist() == [0, 1, 2, 3]
    assert np.isfinite(looking.dataset()["trace"].values).all()


def test_a_kill_after_a_cut_loses_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    store = tmp_path / "k.zarr"
    watched(store, 6).close()
    watch = watched(store)
    monkeypatch.setattr(ZarrStore, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        watch.step(3)
    assert ZarrStore.open_part(store, "kernels").mask.tolist() == [True] * 3 + [False]
    assert Stored.open(store).steps.tolist() == [0, 1, 2]
    monkeypatch.undo()
    watch.close()
    assert steps_of(store) == [0, 1, 2, 3]


def test_a_kill_loses_the_kernels_of_a_second_at_most(tmp_path: Path, caplog: Any) -> None:
    """However slow the steps are; and what is lost is counted where the run goes on."""
    now, store = [0.0], tmp_path / "k.zarr"
    watch = make_watch(store=store, every=1, overhead=None)(network())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kernel_store.KernelStore.__init__, "__defaults__", (lambda: now[0],))
        for step in range(6):  # of two seconds
            now[0] += 2.0
            watch.step(step)
            assert Stored.open(store).steps.tolist() == list(range(step + 1))
        for step in range(6, 9):  # of no time
            watch.step(step)
        assert Stored.open(store).steps.tolist() == list(range(6))
        for step in range(9, 6 + 32):
            watch.step(step)
        assert Stored.open(store).steps.tolist() == list(range(6 + 32))
    watch.step(38)
    die(watch)
    again = make_watch(store=store, every=1, overhead=None)(network())
    again.step(40)
    assert (
        caplog.text.count("step 37, and the run goes on from step 40; no kernel have 2 steps") == 1
    )
    again.close()
    caplog.clear()
    make_watch(store=store, every=1, overhead=None)(network()).step(41)
    assert "between" not in caplog.text


def test_a_boundary_is_kept_whose_kernel_a_full_disk_left_out(
    tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    store = tmp_path / "k.zarr"
    watch = watched(store, 3)
    watch.flush()
    with monkeypatch.context() as patched:
        patched.setattr(kernel_store, "_MOST", 0)
        patched.setattr(ZarrStore, "write", raising(OSError(errno.ENOSPC, "full")))
        for step in range(3, 6):
            watch.step(step)
        watch.boundary(5)
    assert watch.dataset().attrs["boundaries"].tolist() == [5]
    watch.flush()
    assert Stored.open(store).steps.tolist() == [0, 1, 2, 3]
    die(watch)
    again = watched(store)
    assert again.dataset().attrs["boundaries"].tolist() == [3]  # the kernel before
    again.step(6)
    assert "the boundaries at [5], which count at the kernel before" in caplog.text
    again.close()
    assert read_store(store, "kernels").attrs["boundaries"] == [5]
    table = watched(store).dataset()
    assert table["step"].values.tolist() == [0, 1, 2, 3, 6]
    assert table["task"].values.tolist() == [1, 1, 1, 1, 2]
    assert table.attrs["boundaries"].tolist() == [3]
    assert np.isfinite(table["distance_from_boundary"].values[0, 3:]).all()
    watched(store).plot()


@pytest.mark.parametrize("failing", ["write", "describe"])
def test_a_boundary_that_could_not_be_written_is_written_later(
    failing: str, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    """And it ends no training."""
    store = tmp_path / "k.zarr"
    watch = watched(store, 3)
    watch.flush()
    watch.step(3)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(ZarrStore, failing, full)
        watch.boundary()
        watch.flush(strict=False)
        watch.close(strict=False)
        assert caplog.text.count("the disk is full") == 1
        with pytest.raises(DiskError):
            watch.flush()
    watch.step(4)
    watch.close()
    again = watched(store).dataset()
    assert again.attrs["boundaries"].tolist() == [3]
    assert again["task"].values.tolist() == [1, 1, 1, 1, 2]
    assert look(store) == (store, "", True)


def test_a_chunk_that_is_lost_is_no_kernel(tmp_path: Path) -> None:
    store = tmp_path / "k.zarr"
    watched(store, 3).flush()
    (store / "ntk/c/0/1/0/0").unlink()
    with pytest.raises(StoreError, match="ntk/c/0/1/0/0 is lost"):
        watched(store).dataset()


def test_a_lock_or_store_that_was_removed(tmp_path: Path) -> None:
    store = tmp_path / "k.zarr"
    watch = watched(store, 2)
    watch.flush()
    (tmp_path / ".k.zarr.lock").unlink()
    watch.step(2)
    watch.flush()
    assert (tmp_path / ".k.zarr.lock").exists()
    store.rename(tmp_path / "away.zarr")
    watch.step(3)
    with pytest.raises(StoreError, match="has gone while its run goes on"):
        watch.flush()
    (tmp_path / "away.zarr").rename(store)
    watch.close()
    assert steps_of(store) == [0, 1, 2, 3]


def test_processes_that_meet_after_the_watch_was_made(monkeypatch: Any) -> None:
    watch = make_watch()(network())
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    assert watch.step(0) is None
    assert watch.report().active is False


@pytest.mark.parametrize("step", [1.5, True, "1", -1, torch.tensor([1, 2]), None])
def test_what_is_no_number_of_a_step(step: Any) -> None:
    watch = make_watch()(network())
    if step is None:
        for number in (np.int64(3), torch.tensor(4), 5.0):
            watch.step(number)  # type: ignore[arg-type]
        assert watch.dataset()["step"].values.tolist() == [3, 4, 5]
        return
    with pytest.raises(WatchError, match="no number of a step"):
        watch.step(step)
