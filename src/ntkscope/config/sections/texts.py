"""Texts of the configuration that something must be able to use: labels, paths."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_LONGEST_NAME = 255  # bytes of a part of a path, on Linux and macOS


def _unusable(why: str) -> PydanticCustomError:
    return PydanticCustomError("unusable", "{why}", {"why": why})


def _label(text: str) -> str:
    """The text, if matplotlib can draw it: between two `$` stands its mathtext."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise _unusable("it holds a control character or half of a surrogate pair")
    if "$" in text:
        _check_mathtext(text)
    return text


def _check_mathtext(text: str) -> None:
    from matplotlib.cbook import is_math_text
    from matplotlib.mathtext import MathTextParser

    if not is_math_text(text):
        return
    try:
        MathTextParser("path").parse(text)
    except (ValueError, RuntimeError, RecursionError) as error:
        reason = " ".join(str(error).strip().splitlines()[-1:]) or type(error).__name__
        reason = re.sub(r"^\w+Exception: |, found .*$|  \(at char.*$", "", reason)
        raise _unusable(
            f"matplotlib cannot draw it: {reason}; write \\$ for a dollar sign"
        ) from None


def expanded(path: str) -> Path:
    """A path with `~` and `~user` expanded.

    Raises:
        PydanticCustomError: there is no such user, or no file can be called so.
    """
    try:
        path.encode()
        found = Path(path).expanduser()
    except RuntimeError:
        raise _unusable(f"there is no home folder of {path.partition('/')[0]}") from None
    except UnicodeEncodeError:
        raise _unusable("it holds half of a surrogate pair") from None
    if "\0" in path or any(len(part.encode()) > _LONGEST_NAME for part in found.parts):
        raise _unusable("no file can be called so")
    return found


def visible(path: Path) -> bool:
    """Whether there is such a file or folder, and this user may see it."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def _path(text: str) -> str:
    expanded(text)
    return text


Label = Annotated[str, Field(max_length=120), AfterValidator(_label)]
"""A name in figures."""

PathText = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_path)]
"""A path, absolute or from the working folder."""
