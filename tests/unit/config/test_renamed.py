"""A key of an earlier version is refused with the key that took its place."""

from __future__ import annotations

from typing import Any

import pytest

from ntkscope.config import load_config
from ntkscope.config.diagnostics.renamed import RENAMED, Renamed
from ntkscope.errors import ConfigError

OLD = {
    "experiments.*.model.layers": Renamed("experiments.NAME.model.depth", since="0.2"),
    "resources.ram": Renamed("resources.mem_mb", since="0.2", why="it is in MB"),
    "colour": Renamed(None, since="0.3"),
}


@pytest.mark.parametrize(
    ("section", "key", "says"),
    [
        (
            ("experiments", "reactivation", "model"),
            "layers",
            "write experiments.NAME.model.depth instead",
        ),
        (("resources",), "ram", "write resources.mem_mb instead; it is in MB"),
        ((), "colour", "since version 0.3\n  to do: remove it"),
    ],
)
def test_an_old_key_is_told_the_new_one(
    section: tuple[str, ...],
    key: str,
    says: str,
    values: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ntkscope.config.diagnostics.renamed.RENAMED", {**RENAMED, **OLD})
    inside = values
    for part in section:
        inside = inside.setdefault(part, {})
    inside[key] = 1
    with pytest.raises(ConfigError) as caught:
        load_config(values)
    assert f"{'.'.join((*section, key))}: there is no such key since version" in str(caught.value)
    assert says in str(caught.value)
