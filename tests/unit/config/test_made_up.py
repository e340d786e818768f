"""Any configuration is planned, or refused by an error of ours: never a traceback, never long."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from ntkscope.config import expand, load_config, load_files, runs_of
from ntkscope.config.curves import expand_curves
from ntkscope.errors import NtkscopeError
from tests.unit.config.made_up import configuration

SECONDS = 2.0  # of CPU


def written(values: dict[str, Any]) -> Path | None:
    """A file of it in the working folder; None where it holds what no YAML does."""
    file = Path("mine.yaml")
    try:
        file.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    except (yaml.YAMLError, UnicodeEncodeError, TypeError):
        return None
    return file


def outcome(seed: int) -> str:
    """What becomes of a made-up configuration: planned, refused, or what is wrong with it."""
    values = configuration(random.Random(seed))
    began, words = time.process_time(), "planned"
    try:
        config = load_files(file) if (file := written(values)) else load_config(values)
        assert sum(len(expand(config, name)) for name in config.experiments) < 100_000
        assert all(runs_of(config))
        assert all(
            each.networks.id for n in config.learning_curves for each in expand_curves(config, n)
        )
    except NtkscopeError as error:
        words = "refused"
        str(error).encode()
    except Exception as error:
        words = f"{type(error).__name__}: {error}"
    took = time.process_time() - began
    return words if took < SECONDS else f"took {took:.1f} s"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def check(seeds: range) -> None:
    found = {seed: outcome(seed) for seed in seeds}
    wrong = {seed: each for seed, each in found.items() if each not in ("planned", "refused")}
    assert wrong == {}
    assert {*found.values()} == {"planned", "refused"}


def test_thirty_configurations() -> None:
    check(range(30))


@pytest.mark.slow
def test_five_hundred_configurations() -> None:
    check(range(30, 530))
