"""What a user meant who wrote a word that is not known."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, or None if none is alike.

    Case and punctuation do not count (`CIFAR-10` is `cifar10`); a word of which `word` is a part
    (`mnist` of `fashion_mnist`) will do where no spelling is near.
    """
    plain = {_plain(candidate): candidate for candidate in known}
    word = _plain(word)
    close = difflib.get_close_matches(word, plain, n=1, cutoff=0.6)
    if close:
        return plain[close[0]]
    parts = [candidate for key, candidate in plain.items() if len(word) > 1 and word in key]
    return parts[0] if parts else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'width'?`, or nothing."""
    found = nearest(word, known)
    return "" if found is None else f"; did you mean {found!r}?"


def _plain(word: str) -> str:
    return re.sub(r"[\W_]+", "", word).lower() or word
