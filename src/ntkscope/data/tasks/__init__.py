"""Scalar tasks, one file per task or family: each names its own in `TASKS`.

May import `data.images`, the ground and, in functions, torch and `ntk`. To add a task is to add a
file here; nothing lists them. `write` makes a task's store, `store` reads it.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

from ntkscope.config.tasks import TaskSource
from ntkscope.runtime.imports import lazy_names

if TYPE_CHECKING:
    from ntkscope.data.tasks.base import OpenedTask
    from ntkscope.data.tasks.store import LoadedTask, load_task
else:
    homes = {"LoadedTask": "store", "OpenedTask": "base", "load_task": "store"}
    __getattr__, __dir__ = lazy_names(
        __name__, {name: f"{__name__}.{home}" for name, home in homes.items()}
    )

__all__ = ["LoadedTask", "OpenedTask", "discover", "load_task"]


def discover() -> dict[str, TaskSource]:
    """Every task of this folder, by its name."""
    found: dict[str, TaskSource] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name not in ("store", "write"):  # which zarr comes with
            found.update(getattr(import_module(f"{__name__}.{module.name}"), "TASKS", {}))
    return found
