"""Which configuration has the preset that a figure is asked for by, and which preset is at hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ntkscope.errors import NtkscopeError
from ntkscope.runtime.nearest import did_you_mean

DEFAULT = Path("config/config.yaml")
"""What every run of a folder begins with; other configurations are laid over it."""
SHORT = "digits"
"""The preset whose figures lie in `figures/` itself."""


def preset_of(files: Iterable[Path]) -> str:
    """The preset of configurations, later ones over earlier ones; `digits` where none says one."""
    said = [_preset(file) for file in files]
    return next((preset for preset in reversed(said) if preset), SHORT)


def file_of(preset: str, folder: Path) -> Path | None:
    """The file of `config/` that has a preset, from `folder`; None: config/config.yaml has it.

    A file's name goes before what it says, and config/config.yaml before the others.

    Raises:
        NtkscopeError: there is none; says what there is.
    """
    found = {file.stem: file for file in sorted((folder / "config").glob("*.yaml"))}
    default = found.pop(DEFAULT.stem, folder / DEFAULT)
    if preset in found:
        return found[preset].relative_to(folder)
    if preset == preset_of([default]):
        return None
    for file in found.values():
        if _preset(file) == preset:
            return file.relative_to(folder)
    there = [preset_of([default]), *found]
    raise NtkscopeError(
        f"there is no preset {preset!r}{did_you_mean(preset, there)}",
        where=Path("config") / f"{preset}.yaml",
        remedy=f"there are: {', '.join(there)}; or give --config FILE",
    )


def _preset(file: Path) -> str:
    """What a file says its preset is; nothing of one that Snakemake will refuse."""
    import yaml

    try:
        values: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return ""
    said = values.get("preset") if isinstance(values, dict) else None
    return said if isinstance(said, str) else ""
