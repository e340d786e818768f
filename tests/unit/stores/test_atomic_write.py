"""Files that appear whole or not at all, also where two processes write the same one."""

import os
import subprocess
import sys

from ntkscope.stores import atomic, remove_partial_files


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    file = tmp_path / "a.nc"
    with atomic(file) as first:
        first.write_text("whole, of the first")
        with atomic(file) as second:
            second.write_text("second")
        assert file.read_text() == "second"
    assert file.read_text() == "whole, of the first"
    assert [each.name for each in tmp_path.iterdir()] == ["a.nc"]


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    code = (
        "import os, sys; from ntkscope.stores import atomic\n"
        "with atomic(sys.argv[1]) as partial: partial.write_text('half'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a[1].nc")], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".partial-")
    with atomic(tmp_path / "a[1].nc") as partial:
        partial.write_text("whole")
        assert not left.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["a[1].nc"]


def test_what_another_machine_is_writing_into_a_shared_store_is_left(tmp_path):
    """Parts of one kernel on two machines: both seal it, and neither takes the other's file."""
    store = tmp_path / "k.zarr"
    (store / "complete").mkdir(parents=True)
    name = f".partial-0a1b2c3d-77-{32 * 'e'}-manifest"
    theirs, again = store / "complete" / name, tmp_path / ".partial-again-k.zarr"
    theirs.write_text("half")
    again.mkdir()
    with atomic(store / "complete/manifest", shared=True) as mine:  # of another thread
        mine.write_text("whole")
        remove_partial_files(store, shared=True)
        assert theirs.exists()
        assert mine.exists()
        assert not again.exists()
    now = theirs.stat().st_mtime
    os.utime(theirs, (now - 700, now - 700))
    remove_partial_files(store, shared=True)
    assert [each.name for each in (store / "complete").iterdir()] == ["manifest"]
    theirs.write_text("half")  # of a store that a lock guards nobody else writes
    remove_partial_files(store)
    assert not theirs.exists()


def test_what_another_is_writing_beside_is_left(tmp_path):
    """Of another machine: whether its writer lives is not known here."""
    start = f".partial-0a1b2c3d-77-{32 * 'e'}-"
    left = [tmp_path / f"{start}run[1].zarr", tmp_path / ".partial-again-run[1].zarr"]
    others = [tmp_path / f"{start}my-run[1].zarr", tmp_path / f"{start}run1.zarr"]
    for each in (*left, *others):
        each.mkdir()
    remove_partial_files(tmp_path / "run[1].zarr")
    assert sorted(tmp_path.iterdir()) == sorted(others)
