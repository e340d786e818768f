"""Every number has a range: what no job could do with is refused before there are any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ntkscope.config import load_config
from ntkscope.config.diagnostics.allowed import schema
from ntkscope.errors import ConfigError

_LOW = {"minimum", "exclusiveMinimum"}
_HIGH = {"maximum", "exclusiveMaximum"}


def numbers(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every number that the schema speaks of, and where."""
    if isinstance(node, dict):
        if node.get("type") in ("integer", "number"):
            yield place, node
        for key, inner in node.items():
            yield from numbers(inner, f"{place}.{key}")
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from numbers(inner, f"{place}[{number}]")


def test_every_number_has_a_least_and_a_most() -> None:
    found = dict(numbers(schema()))
    assert len(found) > 80
    assert [
        place for place, node in found.items() if not (_LOW & {*node} and _HIGH & {*node})
    ] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("regimes.lazy.learning_rate", 1e300),
        ("regimes.lazy.learning_rate", 1e-300),
        ("regimes.ntk.weight_std", 1e9),
        ("experiments.reactivation.stream.steps", 10**9),
        ("experiments.reactivation.stream.order_seed", 2**63),
        ("experiments.reactivation.probe.seed", 2**63),
        ("experiments.reactivation.model.width", 10**9),
        ("experiments.reactivation.model.depth", 10**6),
        ("experiments.reactivation.snapshots", {"log_spaced": 10**9}),
        ("experiments.reactivation.training.weight_decay", 1e300),
        ("resources", {"kernel_jobs": 10**6}),
        ("resources", {"mem_mb": 10**30}),
    ],
)
def test_numbers_out_of_range_are_refused(key: str, value: Any, values: dict[str, Any]) -> None:
    *parents, last = key.split(".")
    section = values
    for part in parents:
        section = section.setdefault(part, {})
    section[last] = value
    with pytest.raises(ConfigError, match=r"(?s)is not allowed.* from [\d.e-]+ to "):
        load_config(values)
