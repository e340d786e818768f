"""A YAML file of the configuration: its values and their lines, or why it is none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ntkscope.errors import ConfigError

Key = tuple[str | int, ...]

_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MOST_VALUES = 100_000  # with aliases written out; the whole paper has 1,000
_DEEPEST = 50
_MISREAD = {
    "octal": r"[-+]?0[0-9_]+",
    "sexagesimal": r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?",
}
_UNREADABLE = (  # what PyYAML raises for texts such as `!!int ""` or `!!timestamp x`
    yaml.YAMLError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


@dataclass(frozen=True)
class Document:
    """A YAML file: its values, and the lines of their keys."""

    name: str
    values: dict[str, Any]
    lines: dict[Key, int]

    def line(self, key: Key) -> int:
        """Line of as much of a key as the file holds; 0 if none of it."""
        known = tuple(part if type(part) is int else str(part) for part in key)
        return next(
            (self.lines[known[:n]] for n in range(len(key), 0, -1) if known[:n] in self.lines), 0
        )


def read_document(file: str | Path) -> Document:
    """A YAML file that holds one mapping.

    Raises:
        ConfigError: no such file, or not YAML, or not a mapping, or a key that occurs twice; a
            number that YAML reads as another; aliases that make it endless.
    """
    file = _short(Path(file))
    text = _text(file)
    try:
        root, values = yaml.compose(text, yaml.SafeLoader), None
        if root is not None:
            _check(root, file, {})
            values = yaml.safe_load(text)
    except _UNREADABLE as error:
        raise _not_yaml(error, file) from None
    if not isinstance(values, dict):
        found = "empty" if values is None else f"a {type(values).__name__}"
        raise ConfigError(
            f"a configuration is a mapping of keys to values; this file is {found}",
            where=f"{file}, line 1",
            remedy="write key: value lines; config/README.md explains every key",
        )
    return Document(str(file), values, _lines(root, file))


def misread(text: str) -> str | None:
    """What a number is to YAML 1.1 that reads otherwise to a person: `010` is 8, `1:30` is 90.

    Returns:
        Its name, or None for text that everybody reads alike.
    """
    return next((name for name, form in _MISREAD.items() if re.fullmatch(form, text)), None)


def _short(file: Path) -> Path:
    """The path from the working folder, for a file below it."""
    below = file.is_absolute() and file.is_relative_to(Path.cwd())
    return file.relative_to(Path.cwd()) if below else file


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the configuration cannot be read: {error.strerror}",
            where=file,
            remedy="name a file that exists, e.g. config/config.yaml",
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"the configuration is not UTF-8 text: byte {error.start} is {error.reason}",
            where=f"{file}, line {line}",
            remedy="save the file as UTF-8",
        ) from None


def _not_yaml(error: Exception, file: Path) -> ConfigError:
    if isinstance(error, RecursionError):
        return _too_deep(file)
    remedy = "indent with spaces, not tabs, and close every bracket and quote"
    if "single document" in str(error):
        remedy = "remove the line --- and what belongs to another configuration"
    return ConfigError(
        f"this is not YAML: {_plain(error)}", where=_marked(file, error), remedy=remedy
    )


def _plain(error: Exception) -> str:
    """What is wrong in one line, without the place, which is given elsewhere."""
    parts = [getattr(error, key, None) for key in ("context", "problem")]
    words = ", ".join(filter(None, parts)) or getattr(error, "reason", None) or error
    return " ".join(str(words).split())


def _marked(file: str | Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{file}, line {mark.line + 1}" if mark else str(file)


def _too_deep(file: Path, line: int | None = None) -> ConfigError:
    return ConfigError(
        f"sections are nested more than {_DEEPEST} deep",
        where=f"{file}, line {line}" if line else file,
        remedy="close brackets where they end; no key of the configuration is so deep",
    )


def _check(node: yaml.Node, file: Path, sizes: dict[int, int], depth: int = 0) -> int:
    """How many values a node holds with its aliases written out; `sizes` are those known so far.

    Raises:
        ConfigError: too many or too deep, or a number that means another number than it says.
    """
    line = node.start_mark.line + 1
    if depth > _DEEPEST:
        raise _too_deep(file, line)
    if id(node) not in sizes:
        _check_number(node, f"{file}, line {line}")
        sizes[id(node)] = 1 + sum(_check(part, file, sizes, depth + 1) for part in _parts(node))
    if sizes[id(node)] > _MOST_VALUES:
        raise ConfigError(
            f"with its aliases written out it has more than {_MOST_VALUES:,} values",
            where=f"{file}, line {line}",
            remedy="use fewer aliases (*name) of aliases",
        )
    return sizes[id(node)]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_number(node: yaml.Node, where: str) -> None:
    if not isinstance(node, yaml.ScalarNode) or node.style or node.tag not in _NUMBERS:
        return
    if (name := misread(node.value)) is not None:
        read = yaml.safe_load(node.value)
        raise ConfigError(
            f"{node.value} is the number {read} to YAML, which takes it for {name}",
            where=where,
            remedy=f"write {read} if that is meant, or the decimal number, or quotes around text",
        )


def _lines(node: yaml.Node | None, file: Path, key: Key = ()) -> dict[Key, int]:
    """Line (from 1) of every key below a node, and of every item of a list.

    Raises:
        ConfigError: a key occurs twice: YAML would keep the last without a word.
    """
    found: dict[Key, int] = {}
    parts: list[tuple[str | int, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        parts = [(str(name.value), name, value) for name, value in node.value if name.tag != _MERGE]
    elif isinstance(node, yaml.SequenceNode):
        parts = [(number, value, value) for number, value in enumerate(node.value)]
    for part, place, value in parts:
        line = place.start_mark.line + 1
        if (*key, part) in found:
            raise ConfigError(
                f"the key {part!r} occurs twice in one section",
                where=f"{file}, lines {found[(*key, part)]} and {line}",
                remedy="keep one of them, or join what they hold",
            )
        found |= {(*key, part): line, **_lines(value, file, (*key, part))}
    return found
