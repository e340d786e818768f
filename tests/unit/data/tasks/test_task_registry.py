"""A task is one file: dropped into the folder of tasks, it is known everywhere."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ntkscope
from ntkscope.config import tasks as looked_up
from ntkscope.config.datasets import DATASETS
from ntkscope.config.tasks import TASKS
from ntkscope.data import tasks
from ntkscope.identity import sources_digest

from .conftest import Make

COINS = '''
"""Coins: what they show is what they are."""

from ntkscope.config.tasks import TaskSource
from ntkscope.data.tasks.base import BLOCK, in_blocks, of_vectors, signs


def block(split, rng):
    coins = signs(rng.integers(0, 2, (BLOCK, 1)))
    return coins, coins[:, 0]


def open_coins(spec, images):
    return of_vectors(in_blocks("coins", block), 1)


TASKS = {
    "coins": TaskSource(
        title="coins", open=open_coins, licence="none", citation="", shape=(1,)
    )
}
'''
NAMES = {
    *("digit_pairs", "digit_pairs_channels", "digits_parity", "digits_halves"),
    *("fashion_pairs", "fashion_halves", "cifar5m_vehicles", "cifar10_animals", "svhn_parity"),
    *("two_groups", "single_index", "sparse_parity", "gaussian_process"),
}


@pytest.fixture
def coins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file more in the folder of tasks."""
    (tmp_path / "coins.py").write_text(COINS, encoding="utf-8")
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    looked_up._sources.cache_clear()
    yield
    sys.modules.pop("ntkscope.data.tasks.coins", None)
    looked_up._sources.cache_clear()


def test_a_new_file_is_a_task(coins: None, make: Make) -> None:
    assert {*TASKS} == {*NAMES, "coins"}
    task = make("coins", train=30, images=None)
    assert task.inputs("train", 0)[:, 0].tolist() == task.targets("train", 0).tolist()


def test_each_task_says_what_is_known_of_it_before_it_is_drawn() -> None:
    assert {*TASKS} == NAMES
    for name, source in TASKS.items():
        assert source.title
        assert source.licence
        assert source.dataset is None or source.dataset in DATASETS
        assert source.shape or source.dataset or source.chosen
        assert (source.error == "squared") == (name == "gaussian_process")


def test_a_task_counts_as_code_of_its_stage(tmp_path: Path) -> None:
    package = tmp_path / "ntkscope"
    shutil.copytree(Path(ntkscope.__file__).parent, package)
    before = sources_digest(package, "ntkscope.data.tasks")
    with (package / "data" / "tasks" / "deform.py").open("a") as file:
        file.write("MORE = 1\n")
    assert sources_digest(package, "ntkscope.data.tasks") != before
    unchanged = sources_digest(Path(ntkscope.__file__).parent, "ntkscope.data.prepare")
    assert sources_digest(package, "ntkscope.data.prepare") == unchanged
