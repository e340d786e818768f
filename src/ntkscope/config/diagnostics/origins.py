"""Where each value of a merged configuration was written: the file and line, or the command line.

Snakemake hands over one merged dict and the names of its files; the files are read again here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """A YAML file: its values, and the tree that knows their lines."""

    name: str
    values: dict[str, Any]
    root: yaml.Node


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
        lines = {d.name: _line(d.root, key) for d in self.documents}
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
    if not isinstance(values, dict) or root is None:
        found = "empty" if values is None else f"a {type(values).__name__}"
        raise ConfigError(
            f"a configuration is a mapping of keys to values; this file is {found}",
            where=file,
            remedy="write key: value lines; config/README.md explains every key",
        )
    _refuse_repeats(root, file)
    return Document(str(file), values, root)


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


def _refuse_repeats(node: yaml.Node, file: str | Path) -> None:
    """YAML keeps the last of two equal keys without a word; what the first said would be lost."""
    first: dict[str, int] = {}
    for name, line, inner in _entries(node):
        if name in first:
            raise ConfigError(
                f"the key {name!r} occurs twice in one section",
                where=f"{file}, lines {first[name]} and {line}",
                remedy="keep one of them, or join what they hold",
            )
        first[name] = line
        _refuse_repeats(inner, file)


def _entries(node: yaml.Node) -> Iterator[tuple[str, int, yaml.Node]]:
    """Key, line (from 1) and value of each entry of a mapping; none for other nodes."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag != _MERGE:
                yield str(key.value), key.start_mark.line + 1, value


def _line(node: yaml.Node, key: Key) -> int:
    """Line of as much of a key as the tree holds; 0 if none of it."""
    line = 0
    for part in key:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
            continue
        found = {name: (at, inner) for name, at, inner in _entries(node)}
        if str(part) not in found:
            break
        line, node = found[str(part)]
    return line


def _up_to_list(key: Key, values: Any) -> Key:
    """As much of a key as is not inside a list."""
    for length in range(len(key)):
        if isinstance(value_at(key[:length], values), list):
            return key[:length]
    return key


def _same(a: Any, b: Any) -> bool:
    return repr(a) == repr(b)  # unlike ==, tells True from 1
