"""Content addressing: what makes two runs equal, and what makes a stage's code equal."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

DIGEST_LENGTH = 12

STAGES = ("data", "training", "kernels", "metrics", "fits", "figures")

# What else changes the numbers of a stage: shared ground that computes, and the earlier stages that
# it calls (which are run again anyway when they change; but a half-done job must not go on).
_ALSO = {"training": ("models", "data"), "kernels": ("models", "data", "training")}


def digest(value: Any, length: int = DIGEST_LENGTH) -> str:
    """First `length` hex digits of the SHA-256 of `value` as canonical JSON.

    Keys are sorted and floats written with their shortest exact representation, so equal
    values have equal digests on every machine.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


@cache
def stage_digest(stage: str) -> str:
    """Digest of the library sources of one stage, blind to comments, docstrings and layout.

    Snakemake notices a changed script but not a changed library module behind it; each rule
    therefore has this digest among its params.
    """
    if stage not in STAGES:
        raise ValueError(f"no stage {stage!r}: one of {', '.join(STAGES)}")
    return sources_digest(Path(__file__).parent / part for part in (stage, *_ALSO.get(stage, ())))


def sources_digest(folders: Iterable[Path]) -> str:
    """Digest of the code of all Python files below `folders`."""
    code = {
        str(file.relative_to(folder.parent)): _code(file)
        for folder in folders
        for file in sorted(folder.rglob("*.py"))
    }
    return digest(code)


def _code(file: Path) -> str:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
