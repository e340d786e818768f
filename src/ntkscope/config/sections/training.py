"""The sections of learning, and of what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ntkscope.config.sections.base import (
    Most,
    NaturalFloat,
    OneOf,
    Positive,
    Precision,
    Section,
    Sweep,
)

Optimizer = Literal["sgd", "adam"]
Schedule = Literal["constant", "linear", "cosine"]
Loss = Literal["cross_entropy", "mse"]
Sampling = Literal["epochs", "independent"]


def learning_methods() -> list[str]:
    """Names of the files of ways of learning; nothing is imported."""
    files = (Path(__file__).parents[2] / "training" / "methods").glob("*.py")
    return sorted(file.stem for file in files if file.stem not in ("__init__", "base"))


Method = Annotated[str, OneOf(learning_methods)]
"""A way of learning."""


class Training(Section):
    """How a task is learnt."""

    optimizer: Sweep[Optimizer] = Field(["sgd"], description="Optimiser.")
    momentum: Sweep[Annotated[float, Field(ge=0, lt=1)]] = Field(
        [0.0], description="Heavy-ball momentum; sgd only."
    )
    weight_decay: Sweep[NaturalFloat] = Field(
        [0.0], description="L2 penalty: weight_decay · parameter is added to the gradient."
    )
    schedule: Sweep[Schedule] = Field(
        ["constant"], description="Learning rate over a task's steps; starts again at each task."
    )
    loss: Sweep[Loss] = Field(
        ["cross_entropy"],
        description="What is minimised; mse: half the squared distance to one-hot targets.",
    )
    batch_size: Sweep[Positive] = Field([64], description="Images per training step.")
    method: Sweep[Method] = Field(
        ["plain"],
        description="What is added from task to task: nothing, ewc (elastic weight consolidation) "
        "or replay (of the tasks before).",
    )
    method_strength: Sweep[NaturalFloat] = Field(
        [1.0], description="Of ewc: the factor of its penalty; of replay: its share of a batch."
    )
    sampling: Sweep[Sampling] = Field(
        ["epochs"],
        description="epochs: a seeded permutation per epoch; independent: each image drawn afresh.",
    )
    precision: Precision = Field("float32", description="dtype of parameters and arithmetic.")
    evaluation_samples: Positive = Field(
        200, description="Test images of each task behind the log's loss and accuracy."
    )


class Snapshots(Section):
    """At which steps the parameters are kept."""

    around_boundary: Most = Field(
        20, description="Number of steps before and after each boundary at which all are kept."
    )
    log_spaced: Most = Field(
        10,
        description="Number of further steps of each task, log-spaced; all, if it has fewer.",
    )
