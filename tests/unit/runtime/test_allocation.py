"""Freed memory that stays: asked of glibc once, never less, not against the user's wish."""

import ctypes

import pytest

from ntkscope.runtime import allocation


@pytest.fixture
def asked(monkeypatch):
    """What glibc is asked for, which here changes nothing."""
    calls = []

    class Library:
        mallopt = staticmethod(lambda *arguments: calls.append(arguments))

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    monkeypatch.setitem(allocation._kept, "bytes", 0)
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    return calls


def test_it_is_never_made_less(asked):
    allocation.retain_freed_memory(4, 16)
    assert asked == [(-3, 4), (-1, 16)]
    allocation.retain_freed_memory(4, 16)
    allocation.retain_freed_memory(2, 8)
    assert len(asked) == 2
    allocation.retain_freed_memory(8, 32)
    assert asked[2:] == [(-3, 8), (-1, 32)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_TRIM_THRESHOLD_", "1"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1")],
)
def test_what_the_user_has_set_stays(asked, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    allocation.retain_freed_memory(4, 16)
    assert asked == []
    monkeypatch.delenv(name)
    allocation.retain_freed_memory(8, 32)
    assert asked == [(-3, 8), (-1, 32)]


def test_without_glibc_nothing_happens(asked, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    allocation.retain_freed_memory(4, 16)
    assert asked == []
