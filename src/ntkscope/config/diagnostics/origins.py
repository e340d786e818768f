"""Where each value of a merged configuration was written: the file and line, or the command line.

Snakemake hands over one merged dict and the names of its files; the files are read again here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ntkscope.config.diagnostics.documents import Document, Key

COMMAND_LINE = "the command line (--config)"
MISSING = object()


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


def _up_to_list(key: Key, values: Any) -> Key:
    """As much of a key as is not inside a list."""
    for length in range(len(key)):
        if isinstance(value_at(key[:length], values), list):
            return key[:length]
    return key


def _same(a: Any, b: Any) -> bool:
    return repr(a) == repr(b)  # unlike ==, tells True from 1
