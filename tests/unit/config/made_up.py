"""Random configurations: what the schema allows, and the same with a value or two of nonsense."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ntkscope.config.diagnostics.allowed import members, node_at, resolve, schema
from ntkscope.config.diagnostics.documents import Key
from ntkscope.config.diagnostics.origins import value_at

MINI = Path(__file__).parents[3] / "config" / "test" / "mini.yaml"

WORDS = ("feature", "a", "x1", "wide_net", "composed")
TEXTS = (
    "",
    "a label",
    "rate ∝ $1/n$",
    r"$\undefined$",
    "~/x",
    "~nobody/x",
    "data",
    "été\n",
    "\ud800",
)
KEYS = ("widht", "a/b", 5, 1.5, None, True, b"x", "", "\n", "x" * 5000, "\ud800")
NONSENSE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    3.5,
    10**400,
    2**63,
    -(10**9),
    1e300,
    1e-300,
    float("nan"),
    float("-inf"),
    "",
    "1e-3",
    "\0",
    "\ud800",
    "x" * 5000,
    [],
    [[]],
    [None],
    [1, 1],
    {},
    {"kind": "mlp"},
    {"kind": []},
    {1: 2},
    {None: None, True: 1},
    {"a": {"b": {"c": {}}}},
    b"bytes",
    {1, 2},
    object(),
)


def configuration(rng: random.Random) -> dict[str, Any]:
    """A configuration: made up, or a small one with other values; two in three with nonsense."""
    if rng.random() < 0.3:
        made: dict[str, Any] = value(schema(), rng)
        _name_regimes(made, rng)
    else:
        made = yaml.safe_load(MINI.read_text(encoding="utf-8"))
        for _ in range(rng.randint(1, 3)):
            _change(made, rng)
    for _ in range(rng.choice((0, 0, 1, 2))):
        _spoil(made, rng)
    return made


def _change(made: dict[str, Any], rng: random.Random) -> None:
    """Another value, that the schema allows, for a key; or one for a key that was not given."""
    key = rng.choice([key for key in _keys(made) if node_at(key, made)])
    section = value_at(key, made)
    node = node_at(key, made)
    assert node is not None
    known = [k for each in members(node, section) for k in each["properties"]]
    if isinstance(section, dict) and known:
        key = (*key, rng.choice(known))
        node = node_at(key, made) or {}
    value_at(key[:-1], made)[key[-1]] = value(node, rng)


def value(node: dict[str, Any], rng: random.Random) -> Any:
    """A value that a node of the schema allows, mostly a small one."""
    node = resolve(node)
    if options := node.get("oneOf") or node.get("anyOf"):
        return value(rng.choice(options), rng)
    if "enum" in node or "const" in node:
        return rng.choice(node.get("enum", [node.get("const")]))
    if "patternProperties" in node:
        (inner,) = node["patternProperties"].values()
        return {name: value(inner, rng) for name in rng.sample(WORDS, rng.randint(1, 2))}
    if "properties" in node:
        required = node.get("required", ())
        keys = [key for key in node["properties"] if key in required or rng.random() < 0.4]
        return {key: value(node["properties"][key], rng) for key in keys}
    return _plain(node, rng)


def _plain(node: dict[str, Any], rng: random.Random) -> Any:
    kind = node["type"][0] if isinstance(node["type"], list) else node["type"]
    low = node.get("minimum", node.get("exclusiveMinimum", 0))
    high = node.get("maximum", node.get("exclusiveMaximum", 1))
    match kind:
        case "array":
            items = [value(node["items"], rng) for _ in range(rng.randint(1, 3))]
            return sorted(items) if node.get("maxItems") == 2 else items
        case "integer":
            small = [min(high, low + rng.randint(1, 20)) for _ in range(6)]
            return rng.choice((low, *small, high))
        case "number":
            return rng.choice((low, high, low + (min(high, low + 1) - low) * rng.random()))
        case "boolean":
            return rng.random() < 0.5
        case "null":
            return None
    return rng.choice(WORDS if "pattern" in node else TEXTS)


def _name_regimes(made: dict[str, Any], rng: random.Random) -> None:
    """Name regimes that there are, or hardly an experiment would get as far as its runs."""
    names = list(made.get("regimes") or ())
    for experiment in made.get("experiments", {}).values():
        for section in (experiment, *experiment.get("variants", {}).values()):
            if names and "regimes" in section:
                section["regimes"] = rng.sample(names, 1)


def _keys(node: Any, above: Key = ()) -> Iterator[Key]:
    """The path of everything in a configuration."""
    keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield (*above, key)
        yield from _keys(node[key], (*above, key))


def _spoil(made: dict[str, Any], rng: random.Random) -> None:
    """Nonsense for a value, or for the name of a key."""
    if not made:
        return
    *above, key = rng.choice(list(_keys(made)))
    container = value_at(above, made)
    if isinstance(container, dict) and rng.random() < 0.3:
        container[rng.choice(KEYS)] = container.pop(key)
    else:
        container[key] = copy.copy(rng.choice(NONSENSE))
