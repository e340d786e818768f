"""Each name of the library's face has an example in its docstring, which runs as it stands."""

from __future__ import annotations

import doctest
import tempfile
from pathlib import Path

import pytest

import ntkscope

FACE = [name for name in ntkscope.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", FACE)
def test_the_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (found,) = doctest.DocTestFinder(recurse=False).find(getattr(ntkscope, name), name, globs={})
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(found, out=said.append)
    assert result.failed == 0, "".join(said)
    run = [each for each in found.examples if doctest.SKIP not in each.options]
    assert len(run) > 2
