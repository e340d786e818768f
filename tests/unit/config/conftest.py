"""The default configuration, afresh for each test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> str:
    """The default's file, named as from the repository."""
    monkeypatch.chdir(ROOT)
    return "config/config.yaml"


@pytest.fixture
def values(file: str) -> dict[str, Any]:
    """What it says."""
    loaded: dict[str, Any] = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    return loaded
