"""What the schema of the configuration says of a key, as data and in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from ntkscope.config.diagnostics.origins import value_at
from ntkscope.config.sections import FUNCTION, IDENTIFIER, NAME, Config

Node = dict[str, Any]
_NAME_WORDS = "at most 100 lower-case letters, digits and _, a letter first"
_PATTERNS = {
    NAME: f"a name: {_NAME_WORDS}",
    IDENTIFIER: "a name: letters, digits and _, no digit first",
    FUNCTION: "package.module:function",
}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@cache
def schema() -> Node:
    """The JSON schema of `Config` (do not change the dict)."""
    made = Config.model_json_schema()
    for definition in (made, *made["$defs"].values()):
        for field in definition["properties"].values():
            if "patternProperties" in field:
                field["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def resolve(node: Node) -> Node:
    """The definition a node refers to, or the node itself."""
    if "$ref" in node:
        found: Node = schema()["$defs"][node["$ref"].rsplit("/", 1)[1]]
        return found
    return node


def members(node: Node, value: Any = None) -> list[Node]:
    """The sections a node allows: of alternatives the one of `value`'s kind, or all of them."""
    node = resolve(node)
    if "discriminator" not in node:
        return [node] if "properties" in node else []
    kind = value.get("kind") if isinstance(value, Mapping) else None
    mapping = node["discriminator"]["mapping"]
    if isinstance(kind, str) and kind in mapping:
        return [resolve({"$ref": mapping[kind]})]
    return [resolve(option) for option in node["oneOf"]]


def keys_of(node: Node, value: Any = None) -> list[str]:
    """The keys of a section, each once."""
    return list(dict.fromkeys(key for m in members(node, value) for key in m["properties"]))


def kinds_of(node: Node) -> list[str]:
    """The kinds a section of alternatives can be of; empty for any other."""
    if "discriminator" not in resolve(node):
        return []
    kinds = (member["properties"]["kind"] for member in members(node))
    return [kind for node in kinds for kind in choices(node)]


def choices(node: Node) -> list[Any]:
    """The values of a key that has few (those of one value of a sweep); empty for any other."""
    node = resolve(node)
    if "anyOf" in node:
        return choices(node["anyOf"][0])
    return list(node.get("enum", [node["const"]] if "const" in node else []))


def node_at(key: Sequence[str | int], values: Any) -> Node | None:
    """What the schema says of a key, or None for a key it does not know.

    Args:
        key: the path of the key.
        values: the configuration: its `kind`s tell which of several sections is meant.
    """
    node: Node | None = schema()
    for depth, part in enumerate(key):
        node = node and _child(node, part, value_at(key[:depth], values))
    return node


def _child(node: Node, part: str | int, value: Any) -> Node | None:
    node = resolve(node)
    found: Iterator[Node | None]
    if isinstance(part, int):
        found = (option.get("items") for option in (node, *node.get("anyOf", ())))
    elif "patternProperties" in node:
        found = iter(node["patternProperties"].values())
    else:
        found = (member["properties"].get(part) for member in members(node, value))
    return next((each for each in found if each is not None), None)


def words(node: Node) -> str:
    """What a value may be, in plain words: `a whole number ≥ 1, or null`."""
    node = resolve(node)
    if "anyOf" in node:
        first, second = node["anyOf"]
        if second.get("type") == "array":
            return f"{words(first)}, or a list of such, none twice (a sweep)"
        return f"{words(first)}, or null"
    if kinds := kinds_of(node):
        return f"a section with a kind: {_either(kinds)}"
    if "properties" in node:
        return f"a section with any of the keys {', '.join(node['properties'])}"
    if "patternProperties" in node:
        if IDENTIFIER in node["patternProperties"]:
            return "a section of names of Python's, each with a value or a list (a sweep)"
        return f"at least one section under a name of its own: {_NAME_WORDS}"
    return _either(choices(node)) or _plain_words(node)


def _plain_words(node: Node) -> str:
    match node["type"]:
        case ["boolean", "number", "string"]:
            return "true, false, a number or text"
        case "array":
            return f"{_list_words(node)}; each {words(node['items'])}"
        case "boolean":
            return "true or false"
        case "integer":
            return f"a whole number {_bounds(node)}".strip()
        case "number":
            return f"a number {_bounds(node)}".strip()
        case "string" if "pattern" in node:
            return _PATTERNS[node["pattern"]]
        case "string" if "maxLength" in node:
            return f"text of at most {_number(node['maxLength'])} characters"
    return "text"


def _list_words(node: Node) -> str:
    """How many values a list may have."""
    if node.get("maxItems") == 2:
        return "a list of two, the first the smaller"
    return f"a list of {'at least one value' if 'minItems' in node else 'values'}, none twice"


def _either(values: Sequence[str]) -> str:
    *most, last = values or [""]
    return f"{', '.join(most)} or {last}" if most else last


def _bounds(node: Node) -> str:
    if "minimum" in node and "maximum" in node:
        return f"from {_number(node['minimum'])} to {_number(node['maximum'])}"
    return " and ".join(
        f"{sign} {_number(node[key])}" for key, sign in _BOUNDS.items() if key in node
    )


def _number(value: float) -> str:
    if value == 2**63 - 1:
        return "2⁶³ − 1"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def walk(node: Node | None = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of the configuration as a path, `*` standing for a name that the user chooses."""
    node = resolve(schema() if node is None else node)
    if "patternProperties" in node:
        for inner in node["patternProperties"].values():
            yield from walk(inner, (*path, "*"))
    for member in members(node):
        for key, inner in member["properties"].items():
            yield (*path, key)
            yield from walk(inner, (*path, key))
