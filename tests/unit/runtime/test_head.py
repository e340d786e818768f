"""Locks of a Snakemake that was killed are removed; those of one that lives, or may, are not."""

import json
import sys
from contextlib import contextmanager

import pytest

from ntkscope.runtime import head, owner

DEAD = {"pid": 1, "host": "here", "started": -5.0}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "0.input.lock").write_text("a")
    return tmp_path


def sign_as(folder, monkeypatch, **who):
    with monkeypatch.context() as patch:
        patch.setattr(head, "me", lambda: {**owner.me(), **who})
        head.sign_locks(folder)


def test_a_dead_heads_locks_are_removed(folder, monkeypatch):
    sign_as(folder, monkeypatch, **DEAD)
    assert head.remove_dead_locks(folder)
    assert not list((folder / "locks").iterdir())
    assert not head.remove_dead_locks(folder)


@pytest.mark.parametrize("who", [{}, DEAD | {"machine": "another"}])
def test_a_heads_that_may_live_stay(folder, monkeypatch, who):
    sign_as(folder, monkeypatch, **who)
    assert not head.remove_dead_locks(folder)
    assert list((folder / "locks").iterdir())


def test_what_was_never_signed_stays_though_the_last_head_is_dead(folder, monkeypatch):
    sign_as(folder, monkeypatch, **DEAD)
    (folder / "locks" / "0.input.lock").unlink()
    (folder / "locks" / "spare").touch()  # so that its inode is another
    (folder / "locks" / "0.input.lock").write_text("a")
    assert not head.remove_dead_locks(folder)


def test_one_living_signer_is_enough(folder, monkeypatch):
    sign_as(folder, monkeypatch, **DEAD)
    head.sign_locks(folder)
    (folder / "locks" / "1.output.lock").write_text("a")
    sign_as(folder, monkeypatch, **DEAD)
    assert head.remove_dead_locks(folder)
    assert [file.name for file in (folder / "locks").iterdir()] == ["0.input.lock"]


def test_a_signer_of_whom_nobody_knows_stays_one(folder, monkeypatch):
    sign_as(folder, monkeypatch, **DEAD | {"machine": "another"})
    sign_as(folder, monkeypatch, **DEAD)  # and here another head, killed since
    assert not head.remove_dead_locks(folder)
    assert list((folder / "locks").iterdir())


@pytest.mark.parametrize("content", ["", "[", "[]", "3", '{"a": 3}', "[" * 2000])
def test_a_damaged_list_is_nobodys(folder, monkeypatch, content):
    (folder / "heads.json").write_text(content)
    assert not head.remove_dead_locks(folder)
    sign_as(folder, monkeypatch, **DEAD)
    assert json.loads((folder / "heads.json").read_text())
    assert head.remove_dead_locks(folder)


def test_a_folder_without_locks_is_left_alone(tmp_path):
    assert not head.remove_dead_locks(tmp_path / ".snakemake")
    assert not (tmp_path / ".snakemake").exists()


def test_locks_are_signed_as_they_are_made(tmp_path, monkeypatch):
    @contextmanager
    def lock():
        (tmp_path / "locks").mkdir()
        (tmp_path / "locks" / "0.input.lock").write_text("a")
        yield

    @contextmanager
    def lock_warn_only():
        yield

    assert head.signing(lock_warn_only) is lock_warn_only
    with head.signing(lock, tmp_path)():
        assert f"process {owner.me()['pid']} on" in head.head_in_words(tmp_path)


def test_an_interrupted_plan_leaves_no_traceback(monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    head.interrupted_in_words()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "interrupted: the same command goes on\n"
    sys.excepthook(ValueError, ValueError("wrong"), None)
    assert capsys.readouterr().err == "ValueError: wrong\n"
