"""The samples of a learning curve, on the device, each read once."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ntkscope.config.curve_specs import NetworksSpec
from ntkscope.data.tasks.store import LoadedTask, load_task
from ntkscope.errors import ConfigError, StoreError, replaced
from ntkscope.training.learning_curve.input_table import InputTable

Samples = tuple[Tensor, Tensor]
"""Inputs [n, channel, y, x] or [n, feature], and targets [n]."""


class CurveSamples:
    """What the networks of a spec learn and are judged by.

    Args:
        spec: seeds, numbers of samples, precision.
        path: the task's store.
        device: where the samples lie.

    Attributes:
        task: the opened store.
        most: training samples of each seed.
        inputs: training inputs of all seeds, one after the other: S · most.
        targets: [S · most].
        validation, test: of each seed.
        variances: of the test targets of each seed; squared errors are told relative to it.

    Raises:
        StoreError: the store has not these seeds or so many samples.
        ConfigError: the loss is not one for the task's targets.
    """

    def __init__(self, spec: NetworksSpec, path: Path, device: torch.device) -> None:
        self.task = load_task(path)
        _check(spec, self.task, path)
        self._options = (getattr(torch, spec.learning.precision), device)
        self.most = max(spec.sizes)
        places = [self.task.seeds.index(seed) for seed in spec.task.seeds]
        self.inputs = InputTable(self.task, places, self.most, *self._options)
        targets = [self.task.targets("train", place, self.most, *self._options) for place in places]
        self.targets = torch.cat(targets)
        self.validation = [self._split("validation", place, spec.validation) for place in places]
        self.test = [self._split("test", place, spec.test) for place in places]
        self.variances = [float(y.double().var(unbiased=False)) for _, y in self.test]

    def training(self, seed_position: int, samples: int) -> Samples:
        """The first training samples of a seed."""
        start = seed_position * self.most
        stop = start + samples
        return self.inputs.span(start, stop), self.targets[start:stop]

    def _split(self, split: str, place: int, count: int) -> Samples:
        inputs = self.task.inputs(split, place, count, *self._options)
        return inputs, self.task.targets(split, place, count, *self._options)


def _check(spec: NetworksSpec, task: LoadedTask, path: Path) -> None:
    missing = set(spec.task.seeds) - set(task.seeds)
    if missing:
        raise StoreError(
            f"the task has no samples of the seeds {sorted(missing)}",
            where=path,
            remedy=replaced(path),
        )
    if spec.learning.loss == "logistic" and task.error != "zero_one":
        raise ConfigError(
            f"the targets of {task.title} are real numbers, and the logistic loss is for ±1",
            where="learning.loss",
            remedy="use loss: mse",
        )
