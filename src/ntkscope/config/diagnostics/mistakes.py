"""What is wrong with the value of a key, in words for the person who wrote it.

Pydantic finds the mistakes; the schema says what is allowed; here both become plain words.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ntkscope.config.diagnostics.allowed import (
    Node,
    choices,
    keys_of,
    kinds_of,
    node_at,
    walk,
    words,
)
from ntkscope.config.diagnostics.documents import Key
from ntkscope.config.diagnostics.origins import MISSING, Origins, value_at
from ntkscope.config.sections import NAME, Experiment
from ntkscope.runtime.nearest import did_you_mean, nearest

_NO_POINT = re.compile(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)")
_LONGEST = 60
_REQUIRED = [name for name, field in Experiment.model_fields.items() if field.is_required()]


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        key: the path of the key; empty for the whole configuration.
        text: what is wrong; names the value.
        allowed: what the key may be.
        remedy: what to do.
    """

    key: Key
    text: str
    allowed: str | None = None
    remedy: str | None = None

    def say(self, values: Any, origins: Origins) -> str:
        """The mistake in a few lines: key, value, what is allowed, file and line."""
        lines = [f"{dotted(self.key)}: {self.text}" if self.key else self.text]
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        if self.remedy:
            lines.append(f"  to do: {self.remedy}")
        return "\n".join([*lines, f"  where: {origins.where(self.key, values)}"])


def mistakes_of(error: ValidationError, values: Any, origins: Origins) -> list[Mistake]:
    """The mistakes in an error of pydantic's, in the order it found them, each once."""
    details = [(_key(detail, values), detail) for detail in error.errors(include_url=False)]
    meant = {_meant(key, values) for key, detail in details if detail["type"] == "extra_forbidden"}
    found: dict[Key, Mistake] = {}
    for key, detail in details:
        if detail["type"] != "missing" or key not in meant:
            mistake = _mistake(key, detail, values, origins)
            found.setdefault(mistake.key, mistake)
    inner = {key for key in found for n in range(len(key)) if key[:n] in found}
    return [mistake for key, mistake in found.items() if key not in inner]


def dotted(key: Key) -> str:
    """`("a", "b", 2)` as `a.b[2]`."""
    return "".join(f"[{p}]" if type(p) is int else f".{p}" for p in key).lstrip(".")


def _key(detail: ErrorDetails, values: Any) -> Key:
    """The path of a mistake in the user's own nesting: pydantic's less its tags of unions."""
    key: list[str | int] = []
    *parents, last = detail["loc"]
    for part in parents:
        key += [part] if value_at((*key, part), values) is not MISSING else []
    absent = detail["type"] in ("missing", "invalid_key")
    return (*key, last) if absent or _is_there((*key, last), values) else tuple(key)


def _is_there(key: Key, values: Any) -> bool:
    return value_at(key, values) is not MISSING and not isinstance(value_at(key[:-1], values), str)


def _mistake(key: Key, detail: ErrorDetails, values: Any, origins: Origins) -> Mistake:
    """Says one error of pydantic's in plain words."""
    value, node = value_at(key, values), node_at(key, values)
    allowed = words(node) if node else None
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(key, values, origins)
        case "missing" | "union_tag_not_found" if other := _other_name(key, values):
            text = f"this experiment is incomplete; did you mean experiments.{other}?"
            return Mistake(key[:2], text, f"at least {', '.join(_REQUIRED)}")
        case "missing":
            return Mistake(key, "this key is required", allowed)
        case "union_tag_not_found" if isinstance(value, Mapping):
            return _without_kind(key, value, node or {})
        case "union_tag_invalid":
            key, node = (*key, "kind"), {"enum": kinds_of(node or {}), "type": "string"}
            return _wrong(key, value_at(key, values), node)
        case "string_pattern_mismatch" if detail["loc"][-1] == "[key]":
            return _wrong_name(key, detail["ctx"]["pattern"])
        case "invalid_key" | "string_type" if detail["loc"][-1] == "[key]" or value is MISSING:
            return _not_text(key, detail["input"])
        case "repeated":
            text = f"{_show(value)} holds {_show(detail['ctx']['value'])} twice"
            return Mistake(key, text, allowed, "remove one of them")
        case "unusable":
            return Mistake(key, f"{_show(value)} is not allowed: {detail['ctx']['why']}", allowed)
    return _wrong(key, value, node or {})


def _wrong_name(key: Key, pattern: str) -> Mistake:
    place = "can be part of a file's" if pattern == NAME else "Python can give an argument"
    text = f"{key[-1]!r} is not a name that {place}"
    return Mistake(key, text, words({"type": "string", "pattern": pattern}))


def _meant(key: Key, values: Any) -> Key:
    """The key that an unknown one was probably meant to be."""
    return (*key[:-1], nearest(str(key[-1]), _siblings(key, values)) or "")


def _siblings(key: Key, values: Any) -> list[str]:
    """The keys that the section of `key` may have."""
    return keys_of(node_at(key[:-1], values) or {}, value_at(key[:-1], values))


def _unknown(key: Key, values: Any, origins: Origins) -> Mistake:
    word, known = str(key[-1]), _siblings(key, values)
    allowed = f"the keys {', '.join(known)}"
    if (merged := _merged_from_another(key, values, origins)) is not None:
        return merged
    name, colon, value = word.partition(":")
    if colon and nearest(name, known):
        remedy = f"write a space after the colon: {nearest(name, known)}: {value}"
        return Mistake(key, "there is no such key", allowed, remedy)
    if nearest(word, known) is None and (elsewhere := _elsewhere(word, key)):
        return Mistake(key, f"there is no such key here; {word!r} belongs to {elsewhere}", allowed)
    return Mistake(key, f"there is no such key{did_you_mean(word, known)}", allowed)


def _merged_from_another(key: Key, values: Any, origins: Origins) -> Mistake | None:
    """A section of one kind over the same section of another kind keeps the other's keys."""
    kind = (*key[:-1], "kind")
    if key[-1] not in keys_of(node_at(key[:-1], values) or {}) or not origins.documents:
        return None
    here, other = origins.files(key, values), origins.files(kind, values)
    if here == other:
        return None
    text = (
        f"kind: {value_at(kind, values)} ({other[0]}) has no such key, but {here[0]}, with which "
        "it is merged key by key, sets it"
    )
    remedy = "give the experiment another name, or add --replace-workflow-config"
    return Mistake(key, text, remedy=remedy)


def _elsewhere(word: str, key: Key) -> str:
    """The places that have a key of this very name."""
    name = str(key[1]) if len(key) > 1 and key[0] == "experiments" else "NAME"
    found = []
    for path in dict.fromkeys(path[:-1] for path in walk() if len(path) > 1 and path[-1] == word):
        names = name if path[0] == "experiments" else "NAME"
        found.append(".".join(names if part == "*" else part for part in path))
    return " or ".join(found)


def _without_kind(key: Key, section: Mapping[str, Any], node: Node) -> Mistake:
    known = keys_of(node)
    typo = nearest("kind", [str(name) for name in section if name not in known])
    hint = f"; by {typo!r}, did you mean 'kind'?" if typo else ""
    return Mistake(key, f"this section needs a kind{hint}", f"kind: {' | '.join(kinds_of(node))}")


def _other_name(key: Key, values: Any) -> str | None:
    """The experiment that an unfinished one (which lacks several keys) is, misspelt."""
    if len(key) < 3 or key[0] != "experiments":
        return None
    written = value_at(key[:2], values)
    if not isinstance(written, Mapping) or len(set(_REQUIRED) - set(written)) < 2:
        return None
    return nearest(str(key[1]), (str(name) for name in values["experiments"] if name != key[1]))


def _not_text(key: Key, value: Any) -> Mistake:
    text = f"the key {_show(value)} is not text (YAML reads on, off, yes, no as true and false)"
    return Mistake(key[:-1] if key else key, text, remedy="put it in quotes, or use another word")


def _wrong(key: Key, value: Any, node: Node) -> Mistake:
    """A value that is not one of those allowed."""
    known = [str(choice) for choice in choices(node)]
    hint = _hint(value, _types(node)) or did_you_mean(str(value), known)
    return Mistake(key, f"{_show(value)} is not allowed{hint}", words(node) if node else None)


def _types(node: Node) -> set[str]:
    """JSON types that the schema allows, sweeps aside."""
    if "anyOf" in node:
        one = node["anyOf"][0]
        both = {kind for option in node["anyOf"] for kind in _types(option)}
        return _types(one) if "array" in both else both
    kind = node.get("type", "object")
    return set(kind) if isinstance(kind, list) else {kind}


def _hint(value: Any, types: set[str]) -> str:
    """Why a value that looks right is not."""
    if value is None:
        return ": nothing is written; give a value, or remove the key"
    if value in ([], {}):
        return ": it is empty"
    if isinstance(value, str):
        return _hint_of_text(value, types)
    if isinstance(value, float) and not math.isfinite(value):
        return ": it is not finite"
    if isinstance(value, float) and types & {"integer"} and value.is_integer():
        return f": it is not a whole number; write {int(value)}"
    if not isinstance(value, list | dict) and types == {"array"}:
        return f": it is not a list; write [{_show(value)}]"
    if isinstance(value, bool) and types & {"integer", "number"}:
        return ": it is not a number"
    return ""


def _hint_of_text(value: str, types: set[str]) -> str:
    number = types & {"integer", "number"}
    if number and (found := _NO_POINT.fullmatch(value.strip())):
        whole, fraction, sign, exponent = found.groups()
        right = f"{whole}{fraction or '.0'}e{sign or '+'}{exponent}"
        return f": it is text to YAML, for want of a point or a sign; write {right}"
    if number and re.fullmatch(r"[-+.\d]+", value.strip()):
        return f": it is text; write {value.strip()} without quotes"
    if number and re.fullmatch(r"[-+.\d]+([,\s]+[-+.\d]+)+", value.strip()):
        items = ", ".join(re.split(r"[,\s]+", value.strip()))
        return f": it is text; write a list, [{items}]"
    if types == {"boolean"} and value.lower() in ("true", "false", "yes", "no"):
        return f": it is text; write {value} without quotes"
    if types == {"object"}:
        return ": a section of keys belongs here, indented below"
    return ""


def _show(value: Any) -> str:
    """A value as it is written in YAML, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
