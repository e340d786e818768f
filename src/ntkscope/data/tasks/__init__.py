"""Scalar tasks, one file per task or family: each names its own in `TASKS`.

May import `data.images`, the ground and, in functions, torch and `ntk`. To add a task is to add a
file here; nothing lists them. `write` makes a task's store, `store` reads it.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ntkscope.config.tasks import TaskSource

if TYPE_CHECKING:
    from ntkscope.data.tasks.base import OpenedTask
    from ntkscope.data.tasks.store import LoadedTask, load_task
    from ntkscope.data.tasks.write import prepare_task

__all__ = ["LoadedTask", "OpenedTask", "discover", "load_task", "prepare_task"]

_HOMES = {
    "LoadedTask": "store",
    "OpenedTask": "base",
    "load_task": "store",
    "prepare_task": "write",
}


def discover() -> dict[str, TaskSource]:
    """Every task of this folder, by its name."""
    found: dict[str, TaskSource] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name not in ("store", "write"):  # which zarr comes with
            found.update(getattr(import_module(f"{__name__}.{module.name}"), "TASKS", {}))
    return found


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
