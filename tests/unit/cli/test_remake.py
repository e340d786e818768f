"""`ntkscope remake`: what was there is never lost, and keeps its date where it is the same."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ntkscope.cli import main, remake
from ntkscope.stores import ZarrStore
from ntkscope.stores.zarr_store import Array

STORE = Path("results/data/mine.zarr")


def written(path: Path, value: float) -> None:
    arrays = {"a": Array(("x",), (4,), np.dtype("f8"), (2,))}
    store = ZarrStore.allocate(path, "images", arrays, coords={}, mask=("x",), attrs={})
    store.write("a", ..., np.full(4, value))
    store.done(...)
    store.seal()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Snakefile").write_text("module ntkscope:", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    STORE.parent.mkdir(parents=True)
    written(STORE, 1.0)
    (STORE / ".snakemake_timestamp").touch()
    os.utime(STORE / ".snakemake_timestamp", (1000.0, 1000.0))
    next(file for file in (STORE / "a/c").rglob("*") if file.is_file()).write_bytes(b"damaged")
    return tmp_path


def made_by(monkeypatch: pytest.MonkeyPatch, make: Callable[[], None], status: int = 0) -> None:
    def ended(command: list[str]) -> int:
        assert command[:3] == [sys.executable, "-m", "snakemake"]
        assert str(STORE) in command
        assert not STORE.exists()
        make()
        return status

    monkeypatch.setattr(remake, "_ended", ended)


def aside() -> list[str]:
    return [each.name for each in STORE.parent.glob(".mine.zarr.damaged-*")]


def test_what_is_the_same_keeps_its_date(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def make() -> None:
        written(STORE, 1.0)
        (STORE / ".snakemake_timestamp").touch()

    made_by(monkeypatch, make)
    assert main(["remake", str(STORE)]) == 0
    assert "the same to the bit: all that was made of it stands" in capsys.readouterr().out
    assert (STORE / ".snakemake_timestamp").stat().st_mtime == 1000.0
    assert aside() == []


def test_what_differs_is_new_and_what_was_there_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made_by(monkeypatch, lambda: written(STORE, 2.0))
    assert main(["remake", str(STORE)]) == 0
    assert "or differs" in capsys.readouterr().out
    assert STORE.stat().st_mtime > 1000.0
    assert len(aside()) == 1


def test_what_cannot_be_made_is_there_as_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made_by(monkeypatch, lambda: None, status=1)
    assert main(["remake", str(STORE)]) == 1
    assert "there as before" in capsys.readouterr().out
    assert (STORE / ".snakemake_timestamp").stat().st_mtime == 1000.0
    assert aside() == []


def test_what_no_rule_makes_is_left(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in ("mine.zarr", "../results/mine.zarr", "results"):
        assert main(["remake", path]) == 1
        assert "not below results/" in capsys.readouterr().err
