"""Experience replay: a part of each batch is from the tasks before (Chaudhry et al. 2019).

All images of the tasks before are kept, so that what is seen does not depend on a memory's choice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ntkscope.config.specs import RunSpec
from ntkscope.training.methods import plain
from ntkscope.training.methods.base import TaskStart


class Method(plain.Method):
    """The last `strength` of each batch are those of a step of an earlier task, task by task."""

    def __init__(self, run: RunSpec, start: TaskStart) -> None:
        super().__init__(run, start)
        self._before = [start.batches(number) for number in range(len(run.tasks) - 1)]
        self._own = round(run.batch_size * (1 - run.method.strength))

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The first of the task's own batch, then the last of an earlier task's."""
        own = super().batch(step)
        if not self._before:
            return own
        turn, number = divmod(step, len(self._before))
        earlier = self._before[number]
        old = earlier(turn % len(earlier))
        inputs, labels = (
            torch.cat([new[:, : self._own], past[:, self._own :]], 1)
            for new, past in zip(own, old, strict=True)
        )
        return inputs, labels
