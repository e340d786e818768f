"""Any single-letter mistake in any key is refused, and the right key suggested."""

from __future__ import annotations

import copy
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkscope.config import load_config
from ntkscope.config.diagnostics.allowed import keys_of, node_at
from ntkscope.config.sections import Config
from ntkscope.errors import ConfigError
from ntkscope.runtime.nearest import nearest

ROOT = Path(__file__).parents[3]
STREAMS = ("class_split", "overlap", "frequency", "relabel", "single")
MODELS = (
    {"kind": "mlp", "width": 8},
    {"kind": "cnn", "width": 8},
    {"kind": "myrtle7", "width": 8},
    {"kind": "module", "function": "json:loads"},
)


def whole() -> dict[str, Any]:
    """A configuration in which every key of every section is written."""
    values = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    base = values["experiments"]["reactivation"]
    values["experiments"] = {}
    for number, stream in enumerate(STREAMS):
        experiment = {**base, "stream": {"kind": stream}, "training": {"sampling": "independent"}}
        experiment.update(analysis="table", regimes=["feature"])
        experiment["model"] = MODELS[number % len(MODELS)]
        values["experiments"][stream] = experiment
    sections = ("model", "regimes", "stream", "training")
    parts = {"part": {"dataset": values["dataset"], **{key: base[key] for key in sections}}}
    values["experiments"]["parts"] = {**base, "analysis": "table", "variants": parts}
    curves = {"analysis": "table", "parts": {"part": {}}}
    values["learning_curves"] = {"curves": curves}
    written = Config.model_validate(values).model_dump()
    for regime in ("feature", "lazy", "rates"):
        del written["regimes"][regime]["weight_std"], written["regimes"][regime]["bias_std"]
    return written


def keys(values: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all keys that the schema fixes."""
    if not isinstance(values, dict):
        return []
    named = path in (("regimes",), ("experiments",), ("learning_curves",))
    named = named or path[-1:] in (("variants",), ("parts",))
    here = [] if named else [(*path, key) for key in values]
    return here + [inner for key in values for inner in keys(values[key], (*path, key))]


WHOLE = whole()
KEYS = keys(WHOLE)
KEYS_BESIDE = {path: keys_of(node_at(path[:-1], WHOLE) or {}) for path in KEYS}


@st.composite
def misspelt(draw: st.DrawFn, word: str) -> str:
    """The word with one letter dropped, added, changed or moved."""
    at = draw(st.integers(0, len(word) - 1))
    letter = draw(st.sampled_from(string.ascii_lowercase))
    changed = {
        "drop": word[:at] + word[at + 1 :],
        "add": word[:at] + letter + word[at:],
        "change": word[:at] + letter + word[at + 1 :],
        "move": word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
    }
    return changed[draw(st.sampled_from(sorted(changed)))]


def test_the_whole_is_right() -> None:
    load_config(WHOLE)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_misspelt_key_is_refused_and_the_right_one_suggested(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(KEYS))
    word = data.draw(misspelt(path[-1]).filter(lambda w: w not in KEYS_BESIDE[path]))
    values = copy.deepcopy(WHOLE)
    section = values
    for part in path[:-1]:
        section = section[part]
    section[word] = section.pop(path[-1])
    with pytest.raises(ConfigError) as caught:
        load_config(values)
    assert f"did you mean {path[-1]!r}?" in str(caught.value)
    assert word in str(caught.value)


@pytest.mark.parametrize("name", ["feature", "lazy", "ntk"])
def test_a_misspelt_regime_is_suggested(name: str, values: dict[str, Any]) -> None:
    values["regimes"][f"{name}x"] = values["regimes"].pop(name)
    with pytest.raises(ConfigError, match=f"did you mean '{name}x'"):
        load_config(values)


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("CIFAR-10", ["cifar100", "cifar10"], "cifar10"),
        ("mnist", ["digits", "fashion_mnist"], "fashion_mnist"),
        ("batchsize", ["batch_size"], "batch_size"),
        ("xyz", ["digits"], None),
        ("", ["digits"], None),
        ("-", ["digits"], None),
    ],
)
def test_nearest(word: str, known: list[str], found: str | None) -> None:
    assert nearest(word, known) == found
