"""Where each value of a merged configuration was written: the file and line, or the command line.

Snakemake hands over one merged dict and the names of its files; the files are read again here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ntkscope.errors import ConfigError

COMMAND_LINE = "the command line (--config)"
MISSING = object()

_MERGE = "tag:yaml.org,2002:merge"

Key = tuple[str | int, ...]


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


@dataclass(frozen=True)
class Origins:
    """The files that a configuration was merged from, in any order."""

    documents: tuple[Document, ...]

    def files(self, key: Key, values: Any) -> list[str]:
        """Names of all files that the value of a key comes from; the command line is one of them.

        A list comes from one place as a whole, a mapping from all places of what it holds.
        """
        whole = _up_to_list(key, values)
        value = value_at(whole, values)
        if isinstance(value, Mapping) and value:
            inner = [name for part in value for name in self.files((*whole, part), values)]
            return list(dict.fromkeys(inner))
        holders = (d.name for d in self.documents if _same(value_at(whole, d.values), value))
        return [next(holders, COMMAND_LINE)]

    def where(self, key: Key, values: Any) -> str:
        """The same with line numbers, as a phrase; for a key that is missing, of its section."""
        if not self.documents:
            return "the values given"
        while key and value_at(key, values) is MISSING:
            key = key[:-1]
        lines = {document.name: document.line(key) for document in self.documents}
        names = self.files(key, values) if key else list(lines)
        return " and ".join(f"{n}, line {lines[n]}" if lines.get(n) else n for n in names)


def value_at(key: Sequence[str | int], values: Any) -> Any:
    """The value of a key, or `MISSING`."""
    for part in key:
        try:
            values = values[part]
        except (TypeError, KeyError, IndexError):
            return MISSING
    return values


def read_document(file: str | Path) -> Document:
    """A YAML file that holds one mapping.

    Raises:
        ConfigError: no such file, or not YAML, or not a mapping, or a key that occurs twice.
    """
    file = _short(Path(file))
    text = _text(file)
    try:
        root, values = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(
            f"this is not YAML: {_plain(error)}",
            where=_marked(file, error),
            remedy="indent with spaces, not tabs, and close every bracket and quote",
        ) from None
    if not isinstance(values, dict):
        found = "empty" if values is None else f"a {type(values).__name__}"
        raise ConfigError(
            f"a configuration is a mapping of keys to values; this file is {found}",
            where=file,
            remedy="write key: value lines; config/README.md explains every key",
        )
    return Document(str(file), values, _lines(root, file))


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
        raise ConfigError(
            f"the configuration is not UTF-8 text: byte {error.start} is {error.reason}",
            where=file,
            remedy="save the file as UTF-8",
        ) from None


def _plain(error: Exception) -> str:
    """What is wrong in one line, without the place, which is said elsewhere."""
    problem = getattr(error, "problem", None)
    return " ".join(str(problem or error).split())


def _marked(file: str | Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{file}, line {mark.line + 1}" if mark else str(file)


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


def _up_to_list(key: Key, values: Any) -> Key:
    """As much of a key as is not inside a list."""
    for length in range(len(key)):
        if isinstance(value_at(key[:length], values), list):
            return key[:length]
    return key


def _same(a: Any, b: Any) -> bool:
    return repr(a) == repr(b)  # unlike ==, tells True from 1
