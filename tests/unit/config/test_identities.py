"""Every key of the configuration changes what runs are called, or cannot change their numbers."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest

from ntkscope.config import expand, load_config
from ntkscope.config.curves import expand_curves
from ntkscope.config.diagnostics.allowed import members, node_at
from ntkscope.config.diagnostics.documents import Key
from ntkscope.config.diagnostics.origins import value_at
from ntkscope.errors import NtkscopeError
from tests.unit.config.made_up import value

ELSEWHERE = {
    "absent": "which parts there are, each with an identity of its own",
    "analysis": "tables and figures",
    "check_rounding": "the same runs, and others",
    "confidence": "tables and figures",
    "download": "where files come from, which are verified",
    "error_at_most": "tables and figures",
    "label": "figures",
    "preset": "tables and figures",
    "range": "tables and figures",
    "role": "tables and figures",
    "root": "where files are, which are verified",
    "window": "tables and figures",
}
"""Keys that change no number of a run: what they change instead, which is made again."""

SECTIONS_ELSEWHERE = {"resources", "figure"}
SPLIT = {"tasks": 3, "kind": "class_split", "classes_per_task": 3}
STREAM: dict[str, Any] = {
    "dataset": {},
    "seeds": [*range(30)],
    "seeds_per_run": 30,
    "regimes": {"r": {}},
    "experiments": {
        "x": {
            "analysis": "table",
            "model": {"kind": "mlp"},
            "regimes": ["r"],
            "stream": SPLIT,
            **{key: {} for key in ("training", "snapshots", "probe", "kernel", "fits", "figure")},
        }
    },
}
CURVES: dict[str, Any] = {
    "learning_curves": {
        "x": {
            "analysis": "table",
            "task": {},
            "network": {"width": 8},
            "learning": {"steps_at_least": 30, "epochs": 1.0, "snapshots": [3, 10]},
            "samples": {
                "network": [20, 40, 80],
                "kernel": [20, 40, 80],
                "validation": 50,
                "test": 100,
            },
            "kernels": {"after": [20, 80], "during": [3, 10], "by_layer": True},
            "fits": {"range": [20, 80]},
            "figure": {},
        }
    },
}


def changed(base: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A base whose experiment, or regime, has other keys in some sections."""
    made = copy.deepcopy(base)
    kind = "experiments" if "experiments" in base else "learning_curves"
    for name, keys in sections.items():
        section = made["regimes"]["r"] if name == "regime" else made[kind]["x"][name]
        if "kind" in keys:
            section.clear()
        section |= keys
    return made


BASES = {
    "mlp": changed(STREAM, training={"momentum": 0.5}),
    "cnn": changed(
        STREAM,
        model={"kind": "cnn"},
        stream={"kind": "frequency"},
        training={"sampling": "independent"},
        regime={"parametrisation": "ntk"},
    ),
    "replay": changed(STREAM, training={"method": "replay", "method_strength": 0.5}),
    "curves": changed(CURVES),
    "ntk": changed(
        CURVES,
        network={"parametrisation": "ntk", "kind": "cnn", "depth": 2},
        learning={"stop": "convergence", "scaling": "inverse_width", "full_rate_width": 4},
    ),
    "groups": changed(
        CURVES,
        task={"name": "two_groups", "dataset": {"name": "digits"}, "positive": [0, 1]},
    ),
}


def identities(values: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The checked configuration, and what all of its stores are called."""
    config = load_config(copy.deepcopy(values))
    found = [
        f"{ancestor.id}/{cell.kernel.id}"
        for name in config.experiments
        for cell in expand(config, name)
        for run in filter(None, (cell.run, cell.twin))
        for ancestor in run.lineage
    ]
    for name in config.learning_curves:
        for each in expand_curves(config, name):
            specs = (each.networks, *each.regressions)
            found += [f"{spec.id}/{spec.counts.store_of(spec.task)}" for spec in specs]
    return config.model_dump(), {*found}


def keys_of(base: dict[str, Any], above: Key = ()) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Every key that a section of the base may have, unless it is a section, and its schema."""
    section = value_at(above, base)
    node = node_at(above, base)
    for each in members(node, section) if node else ():
        for key, inside in each["properties"].items():
            is_plain = "patternProperties" not in inside and not members(inside)
            if is_plain and SECTIONS_ELSEWHERE.isdisjoint((*above, key)):
                yield (*above, key), inside
    for key, inside in section.items():
        if isinstance(inside, dict):
            yield from keys_of(base, (*above, key))


def matters(base: dict[str, Any], key: Key, node: dict[str, Any]) -> bool | None:
    """Whether another value of a key changes what stores are called; None: no other will do."""
    (before, names), rng = identities(base), random.Random(".".join(key))
    others = False
    for _ in range(12):
        made = copy.deepcopy(base)
        value_at(key[:-1], made)[key[-1]] = value(node, rng)
        try:
            after, other_names = identities(made)
        except NtkscopeError:
            continue
        if other_names != names:
            return True
        others |= after != before
    return False if others else None


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, bool]]:
    """Of each key and each base in which it has other values: whether one changes identities."""
    made: dict[str, dict[str, bool]] = {}
    for name, base in BASES.items():
        for key, node in keys_of(base):
            if (found := matters(base, key, node)) is not None:
                made.setdefault(".".join(key), {})[name] = found
    return made


SAME = {
    ("experiments.x.probe.task", "cnn"): "both tasks have the same classes",
    **{("seeds_per_run", base): "of experiments" for base in ("curves", "ntk", "groups")},
}
"""Keys without effect in a base, and why."""


def test_a_key_changes_identities_or_cannot_change_numbers(found) -> None:
    silent = {(key, base) for key, seen in found.items() for base in seen if not seen[base]}
    assert {(k, base) for k, base in silent if k.rpartition(".")[2] not in ELSEWHERE} == {*SAME}


def test_what_changes_tables_alone_changes_no_identity(found) -> None:
    loud = {key for key, seen in found.items() if any(seen.values())}
    assert {key for key in loud if key.rpartition(".")[2] in ELSEWHERE} == set()
    assert len(loud) > 60
