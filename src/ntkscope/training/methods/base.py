"""What a way of learning is given, and what it can change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ntkscope.training.batches import Batches
from ntkscope.training.stacking import Stack


@dataclass(frozen=True)
class TaskStart:
    """What is known when a task begins; the same when a killed job goes on.

    Attributes:
        batches: number of a task, from 0 → its batches; those of this task are the last.
        parameters: name → [S, …] at the end of the task before; empty at the first.
        kept: name → [S, …], what `end_task` of the task before gave.
    """

    batches: Callable[[int], Batches]
    parameters: Mapping[str, Tensor]
    kept: Mapping[str, Tensor]


class LearningMethod(Protocol):
    """A way of learning; made for each task from its run and a `TaskStart`, without other state."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs [S, B, …] and labels [S, B] of a step of the task, from 0."""

    def penalty(self, stack: Stack, seeds: slice) -> Tensor | None:
        """What is added to the loss of each network of a stack, [M], or None; of which seeds."""

    def end_task(self, stacks: Sequence[Stack]) -> dict[str, Tensor]:
        """Name → [S, …], kept for the next task, from the networks at this task's end."""
