"""The sections of streams of tasks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ntkscope.config.sections.base import KIND, Natural, Positive, Section, Seed, Steps, Sweep

Tasks = Annotated[int, Field(ge=1, le=100)]
"""Of a stream: each is a run that goes on from the one before."""

_ORDER = "Seed of the order in which classes are used; null: 0, 1, 2, …"


class _Stream(Section):
    steps: Sweep[Steps] = Field([300], description="Training steps of each task.")


class ClassSplit(_Stream):
    """Each task has classes that no task before it had."""

    kind: Literal["class_split"] = Field(description=KIND)
    tasks: Sweep[Tasks] = Field([2], description="Number of tasks.")
    classes_per_task: Sweep[Positive] = Field([5], description="Classes of each task, all new.")
    change: Sweep[Literal["abrupt", "gradual"]] = Field(
        ["abrupt"],
        description="abrupt: the classes change at the boundary; gradual: their frequencies go "
        "linearly from the last task's classes to the new ones over each task.",
    )
    order_seed: Sweep[Seed | None] = Field([None], description=_ORDER)


class Overlap(_Stream):
    """Two tasks that share some of their classes."""

    kind: Literal["overlap"] = Field(description=KIND)
    classes: Sweep[Positive] = Field([5], description="Classes of the first task.")
    new_classes: Sweep[Natural] = Field(
        [5], description="Classes of the second task that the first lacks."
    )
    protocol: Sweep[Literal["swap", "add"]] = Field(
        ["swap"], description="swap: new classes replace old ones; add: they join them."
    )
    order_seed: Sweep[Seed | None] = Field([None], description=_ORDER)


class Frequency(_Stream):
    """Fixed classes whose frequencies shift: D_α = (1−α) D̃0 + α D̃1, other classes rare in each."""

    kind: Literal["frequency"] = Field(description=KIND)
    classes: Sweep[Positive] = Field(
        [10], description="Classes of both tasks; half of them are rare in each."
    )
    epsilon: Sweep[Annotated[float, Field(ge=0, le=1)]] = Field(
        [0.1], description="Frequency of a rare class relative to a common one."
    )
    alpha: Sweep[Literal["stepped", "ramped"]] = Field(
        ["stepped"],
        description="stepped: α jumps 0→1 at the boundary; ramped: linearly over task 2.",
    )
    order_seed: Sweep[Seed | None] = Field([None], description=_ORDER)


class Relabel(_Stream):
    """The second and later tasks change labels, or inputs under the old labels."""

    kind: Literal["relabel"] = Field(description=KIND)
    tasks: Sweep[Tasks] = Field([2], description="Number of tasks.")
    classes: Sweep[Positive] = Field([5], description="Classes of each task.")
    change: Sweep[Literal["shift", "permute", "inputs"]] = Field(
        ["shift"],
        description="shift: same inputs, labels + classes·task; "
        "permute: same inputs, labels permuted; inputs: new classes under the old labels.",
    )
    order_seed: Sweep[Seed | None] = Field([None], description=_ORDER)


class Single(_Stream):
    """One task only."""

    kind: Literal["single"] = Field(description=KIND)
    classes: Sweep[Positive] = Field([10], description="Classes of the task.")
    order_seed: Sweep[Seed | None] = Field([None], description=_ORDER)


Stream = Annotated[ClassSplit | Overlap | Frequency | Relabel | Single, Field(discriminator="kind")]
