"""Files dated in the future are named before a job reads them."""

import os
import time
from pathlib import Path

import pytest

from ntkscope.errors import StoreError
from ntkscope.runtime.dates import check_dates


def put(path: Path, seconds: float) -> Path:
    """A file dated so many seconds from now."""
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.utime(path, (time.time() + seconds,) * 2)
    return path


def test_what_is_older_than_a_new_file_passes(tmp_path):
    just_now = tmp_path / "new"
    just_now.touch()
    check_dates([put(tmp_path / "old", -5), just_now, tmp_path / "not there"], tmp_path)


def test_the_first_of_the_future_is_named(tmp_path):
    late = [put(tmp_path / name, 3600) for name in "ab"]
    with pytest.raises(StoreError, match=r"dated in the future, .*\(one of 2\)") as error:
        check_dates([put(tmp_path / "old", -5), *late], tmp_path)
    assert error.value.where == late[0]


def test_a_store_is_as_old_as_the_stamp_of_its_job(tmp_path):
    stamp = put(tmp_path / "a.zarr" / ".snakemake_timestamp", 3600)
    with pytest.raises(StoreError):
        check_dates([stamp.parent], tmp_path)
    put(stamp, -5)
    put(stamp.parent, 3600)
    check_dates([stamp.parent], tmp_path)
