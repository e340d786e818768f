"""A picture that is cut, or emptied, is none."""

from __future__ import annotations

from pathlib import Path

import matplotlib.figure
import pytest

from ntkscope.stores.pictures import is_whole
from ntkscope.stores.verify import look


@pytest.mark.parametrize("suffix", [".pdf", ".png"])
def test_a_picture_that_is_cut_is_none(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"figure{suffix}"
    matplotlib.figure.Figure().savefig(file)
    content = file.read_bytes()
    assert is_whole(file)
    assert look(file).wrong == ""
    for kept in (0, 1, 2, 4, 9, len(content) // 2, len(content) - 20, len(content) - 3):
        file.write_bytes(content[:kept])
        assert not is_whole(file), kept
        assert look(file).wrong == "the picture is cut"
    file.write_bytes(b"x" + content)
    assert not is_whole(file)


def test_of_other_files_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "table.csv").touch()
    assert is_whole(tmp_path / "table.csv")
