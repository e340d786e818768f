"""Keys of earlier versions, and what to write instead: the one table, read by `mistakes`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Renamed:
    """What became of a key.

    Attributes:
        new: what to write instead, in words for the user; None: the key was removed.
        since: the version that no longer knows the old key.
        why: a sentence more, where the new key is not just another name.
    """

    new: str | None
    since: str
    why: str = ""

    @property
    def remedy(self) -> str:
        """What to do, in one sentence."""
        do = f"write {self.new} instead" if self.new else "remove it"
        return f"{do}; {self.why}" if self.why else do


RENAMED: dict[str, Renamed] = {}
"""Old key → what became of it; `*` stands for a name that the user chose.

`"experiments.*.model.layers": Renamed("experiments.NAME.model.depth", since="0.2")`
"""


def renamed(key: Sequence[str | int]) -> Renamed | None:
    """What became of a key, or None for one that no version knew."""
    for old, now in RENAMED.items():
        parts = old.split(".")
        if len(parts) == len(key) and all(
            p in ("*", str(k)) for p, k in zip(parts, key, strict=True)
        ):
            return now
    return None
