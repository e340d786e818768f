"""Disks that are full or closed, said before work where that can be known."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from ntkscope.errors import DiskError
from ntkscope.runtime import disk


def test_what_the_disk_has_no_room_for_is_not_begun(tmp_path):
    disk.check_space(tmp_path / "deep" / "a.zarr", 1000)
    with pytest.raises(DiskError, match=r"the disk is full: .* MB are needed, .* MB are free"):
        disk.check_space(tmp_path / "deep" / "a.zarr", shutil.disk_usage(tmp_path).total + 1)
    assert not (tmp_path / "deep").exists()


def test_a_closed_folder_is_said_before_anything_is_made(tmp_path, monkeypatch):
    disk.check_writable([tmp_path / "results" / "runs", tmp_path / "figures"])
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DiskError, match="nothing can be written here: permission denied"):
        disk.check_writable([tmp_path / "results" / "runs"])
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_what_the_disk_refuses_is_an_error_for_the_user(tmp_path, number):
    with pytest.raises(DiskError) as error, disk.disk_errors(tmp_path):
        raise OSError(number, "said by the system", str(tmp_path / "a"))
    assert error.value.where == tmp_path / "a"


def test_other_errors_pass():
    with pytest.raises(FileNotFoundError), disk.disk_errors(Path()):
        raise FileNotFoundError(errno.ENOENT, "none")
