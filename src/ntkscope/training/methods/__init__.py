"""Ways of learning a stream of tasks, a file each: what is trained on, what the loss is.

A file here makes `RunSpec.method.kind` of its name possible; its class `Method` is a
`LearningMethod`.
It may import what training may.
"""

from __future__ import annotations

from importlib import import_module

from ntkscope.config.sections.training import learning_methods
from ntkscope.config.specs import RunSpec
from ntkscope.errors import ConfigError
from ntkscope.training.methods.base import LearningMethod, TaskStart


def method_of(run: RunSpec, start: TaskStart) -> LearningMethod:
    """The way that a run learns its last task.

    Raises:
        ConfigError: there is none of this name.
    """
    known = learning_methods()
    if run.method.kind not in known:
        raise ConfigError(
            f"there is no way of learning called {run.method.kind!r}",
            where="training.method",
            remedy=f"use one of: {', '.join(known)}",
        )
    method: LearningMethod = import_module(f"{__name__}.{run.method.kind}").Method(run, start)
    return method


__all__ = ["LearningMethod", "TaskStart", "method_of"]
