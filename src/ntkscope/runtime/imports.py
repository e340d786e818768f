"""What is imported only when it is asked for, and what `pip install ntkscope` leaves out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ntkscope.errors import MissingExtraError


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose names are imported at their first use.

    Args:
        package: its `__name__`.
        homes: name → module that defines it. No name is that of a submodule of the package, which
            Python would put into its place.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: sorted({*vars(sys.modules[package]), *homes})


def need_extra(extra: str, package: str, *modules: str) -> None:
    """Refuse to import a package whose libraries are not installed, and say which extra has them.

    Raises:
        MissingExtraError: a module cannot be found.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise MissingExtraError(
            f"{package} needs {', '.join(missing)}, which ntkscope does not bring by itself",
            where=package,
            remedy=f"pip install 'ntkscope[{extra}]'",
        )
