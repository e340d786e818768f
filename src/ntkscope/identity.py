"""Content addressing: what makes two runs equal, and what makes a stage's code equal."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

DIGEST_LENGTH = 12

_ENTRANCES = {
    "data": "ntkscope.data.prepare",
    "training": "ntkscope.training.task",
    "kernels": "ntkscope.kernels.stage",
    "regression": "ntkscope.regression.stage",
    "metrics": "ntkscope.metrics.measure",
    "fits": "ntkscope.fits.tables",
    "figures": "ntkscope.figures.draw",
}
"""The module that a stage's rule calls."""

STAGES = tuple(_ENTRANCES)

_FOUND_BY_NAME = {
    "ntkscope.data.sources": "data/sources/*.py",
    "ntkscope.data.tasks": "data/tasks/*.py",
    "ntkscope.training.methods": "training/methods/*.py",
    "ntkscope.metrics.observers": "metrics/observers/*.py",
    "ntkscope.figures.draw": "figures/*/*.py",
    "ntkscope.fits.laws": "fits/*/comparisons.py",
    "ntkscope.fits.findings.registry": "fits/*/claims/__init__.py",
}
"""A module → the files that it imports by name: what a newcomer adds, and what is one paper's."""

# Ground that moves files and words, and changes no number.
_NEUTRAL = (
    "config",
    "stores",
    "errors",
    "identity",
    "runtime.allocation",
    "runtime.imports",
    "runtime.logs",
    "runtime.planned_code",
    "runtime.provenance",
    "runtime.startup",
    "runtime.timings",
)


def digest(value: Any, length: int = DIGEST_LENGTH) -> str:
    """First `length` hex digits of the SHA-256 of `value` as canonical JSON.

    Keys are sorted and floats written with their shortest exact representation, so equal
    values have equal digests on every machine.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


@cache
def stage_digest(stage: str, entrance: str | None = None, script: Path | None = None) -> str:
    """Digest of the library sources behind one stage, blind to comments, docstrings and layout.

    Snakemake does not notice a changed library module behind a script; each rule therefore has
    this digest among its params. It covers the module that the rule calls and all that this
    imports, whatever stage that belongs to, but no module that the job never loads.

    Args:
        stage: one of `STAGES`.
        entrance: another module of the stage that a rule calls, such as `ntkscope.fits.collect`.
        script: a rule's script, whose code counts too.
    """
    if stage not in STAGES:
        raise ValueError(f"no stage {stage!r}: one of {', '.join(STAGES)}")
    library = sources_digest(Path(__file__).parent, entrance or _ENTRANCES[stage])
    return library if script is None else digest([library, _parsed(_text(script))[0]])


def sources_digest(package: Path, entrance: str) -> str:
    """Digest of the code of a module and of all modules of its package that it imports or looks up.

    Args:
        package: folder of the package.
        entrance: dotted name of the module, beginning with the package's.
    """
    waiting, code = [entrance], {}
    while waiting:
        name = waiting.pop()
        file = _file(package, name)
        if name not in code and file is not None:
            code[name], imported = _parsed(_text(file))
            waiting += [other for other in imported if _counts(package, other)]
            waiting += _found_by_name(package, name)
    return digest(code)


@cache
def _parsed(text: str) -> tuple[str, tuple[str, ...]]:
    """The code of a module without words, and the names that it imports."""
    tree = ast.parse(text)
    imported = tuple(_imports(tree))
    return _code(tree), imported


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _found_by_name(package: Path, name: str) -> list[str]:
    """Modules that a module imports by a name that it makes."""
    files = package.glob(_FOUND_BY_NAME[name]) if name in _FOUND_BY_NAME else ()
    parts = (file.relative_to(package.parent).with_suffix("").parts for file in files)
    return sorted(".".join(part for part in each if part != "__init__") for each in parts)


def _file(package: Path, name: str) -> Path | None:
    """The file of a module, or None for a name that is no module of the package."""
    place = package.parent / Path(*name.split("."))
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Dotted names of all that a module imports, at its top or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _counts(package: Path, name: str) -> bool:
    first, _, rest = name.partition(".")
    neutral = any(rest == one or rest.startswith(f"{one}.") for one in _NEUTRAL)
    return first == package.name and bool(rest) and not neutral


def _code(tree: ast.Module) -> str:
    """The code without docstrings; the tree is changed."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
