"""Ways of learning in the configuration: their files make their names."""

from __future__ import annotations

from typing import Any

import pytest

from ntkscope.config import expand, load_config
from ntkscope.config.specs import MethodSpec
from ntkscope.errors import ConfigError


def method_of(values: dict[str, Any], **training: Any) -> list[MethodSpec]:
    experiment = values["experiments"]["reactivation"]
    experiment = experiment | {"analysis": "table", "training": training, "regimes": ["feature"]}
    cells = expand(load_config({**values, "experiments": {"own": experiment}}), "own")
    return list(dict.fromkeys(cell.run.method for cell in cells))


def test_a_method_and_its_strength_reach_the_run(values: dict[str, Any]) -> None:
    assert method_of(values) == [MethodSpec()]
    assert method_of(values, method="ewc", method_strength=[1.0, 30.0]) == [
        MethodSpec(kind="ewc", strength=1.0),
        MethodSpec(kind="ewc", strength=30.0),
    ]
    both = method_of(values, method=["plain", "ewc"], method_strength=2.0)
    assert both == [MethodSpec(), MethodSpec(kind="ewc", strength=2.0)]  # of plain: no meaning


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"method": "ewk"}, "ewc"),
        ({"method": "replay", "method_strength": 1.5}, "from 0 to 1"),
        ({"method": "ewc", "method_strength": -1.0}, "method_strength"),
    ],
)
def test_what_cannot_be_is_refused(
    values: dict[str, Any], training: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        method_of(values, **training)
