"""What a reader copies from the site: its configurations are valid, its Python parses."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ntkscope.config import load_config

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def blocks(language: str) -> dict[str, str]:
    """The site's blocks of a language, by page and number."""
    return {
        f"{page.stem}-{number}": block
        for page in PAGES
        for number, block in enumerate(
            re.findall(rf"^```{language}\n([\s\S]*?)^```", page.read_text("utf-8"), re.MULTILINE)
        )
    }


CONFIGURATIONS = {name: text for name, text in blocks("yaml").items() if "preset:" in text}


def merged(over: Mapping[str, Any], under: Mapping[str, Any]) -> dict[str, Any]:
    """As Snakemake merges files: section by section."""
    mine = {
        key: merged(value, under.get(key) or {}) if isinstance(value, Mapping) else value
        for key, value in over.items()
    }
    return {**under, **mine}


def test_there_are_some() -> None:
    assert len(CONFIGURATIONS) >= 4


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_is_valid(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with regimes of its own is whole and replaces the default; others are merged over it."""
    monkeypatch.chdir(tmp_path)
    inputs, labels = np.zeros((400, 5), "float32"), np.arange(400) % 4
    np.savez("mine.npz", inputs=inputs, labels=labels)
    mine = yaml.safe_load(CONFIGURATIONS[name])
    default = yaml.safe_load((ROOT / "config/config.yaml").read_text("utf-8"))
    config = load_config(mine if "regimes" in mine else merged(mine, default))
    assert config.preset == mine["preset"]


@pytest.mark.parametrize(("name", "text"), blocks("python").items())
def test_python_parses(name: str, text: str) -> None:
    assert ast.parse(text), name
