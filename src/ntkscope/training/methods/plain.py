"""Plain training: each task on its own images, by its loss alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ntkscope.config.specs import RunSpec
from ntkscope.training.methods.base import TaskStart
from ntkscope.training.stacking import Stack


class Method:
    """Nothing is added and nothing kept. Other ways differ from it where they have to."""

    def __init__(self, run: RunSpec, start: TaskStart) -> None:
        self.run, self.start = run, start
        self._batches = start.batches(len(run.tasks) - 1)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The task's own."""
        return self._batches(step)

    def penalty(self, stack: Stack, seeds: slice) -> Tensor | None:
        """None."""
        return None

    def end_task(self, stacks: Sequence[Stack]) -> dict[str, Tensor]:
        """Nothing."""
        return {}
