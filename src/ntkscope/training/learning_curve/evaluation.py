"""How good one network of a learning curve is: outputs, errors, losses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ntkscope.config.curve_specs import LearningSpec
from ntkscope.models import Architecture, StackedNetwork
from ntkscope.training.learning_curve.members import Member
from ntkscope.training.learning_curve.samples import CurveSamples
from ntkscope.training.learning_curve.scalar_losses import (
    scalar_loss,
    squared_error,
    zero_one_error,
)
from ntkscope.training.state import Named

TRAINING_SAMPLES = 2000
"""Most training samples of which the error of kept parameters is taken."""

_LOOK_SAMPLES = 500  # likewise while a network learns, sixty times

_CHUNK = 500  # samples at once


@dataclass(frozen=True)
class Look:
    """One network at one step.

    Attributes:
        validation_error, validation_loss: of all validation samples.
        train_error, train_loss: of up to 500 training samples; with stop: convergence of all.
        finite: whether all parameters and outputs are.
    """

    validation_error: float
    validation_loss: float
    train_error: float
    train_loss: float
    finite: bool


@dataclass(frozen=True)
class Verdict:
    """One network on its test set, and on up to 2000 of its training samples."""

    prediction: Tensor
    error: float
    squared_error: float
    train_error: float
    train_loss: float


class Evaluation:
    """Networks one at a time, so that a number does not depend on a network's company.

    Args:
        layers: of the networks.
        learning: loss, and the rule that says which samples count.
        samples: of all networks.
    """

    def __init__(self, layers: Architecture, learning: LearningSpec, samples: CurveSamples) -> None:
        self.layers, self.learning, self.samples = layers, learning, samples
        self._squared = samples.task.error == "squared"

    def look(self, member: Member, parameters: Named) -> Look:
        """A network that is learning."""
        seed = member.place[0]
        inputs, targets = self.samples.validation[seed]
        outputs = self.outputs(parameters, inputs)
        counted = member.samples if self.learning.stop == "convergence" else _LOOK_SAMPLES
        trained = self.samples.training(seed, min(counted, member.samples))
        on_training = self.outputs(parameters, trained[0])
        finite = _finite(outputs, on_training, *parameters.values())
        return Look(
            validation_error=self._error(seed, outputs, targets, finite),
            validation_loss=self._loss(outputs, targets),
            train_error=self._error(seed, on_training, trained[1], finite),
            train_loss=self._loss(on_training, trained[1]),
            finite=finite,
        )

    def verdict(self, member: Member, parameters: Named) -> Verdict:
        """A network that has ended, by the parameters that are kept."""
        seed = member.place[0]
        prediction, error, squared = self.test(seed, parameters)
        inputs, targets = self.samples.training(seed, min(TRAINING_SAMPLES, member.samples))
        outputs = self.outputs(parameters, inputs)
        return Verdict(
            prediction=prediction,
            error=error,
            squared_error=squared,
            train_error=self._error(seed, outputs, targets, finite=True),
            train_loss=self._loss(outputs, targets),
        )

    def test(self, seed: int, parameters: Named) -> tuple[Tensor, float, float]:
        """Outputs, error and squared error on the test set of a seed; NaN where not finite."""
        inputs, targets = self.samples.test[seed]
        outputs = self.outputs(parameters, inputs)
        finite = _finite(outputs, *parameters.values())
        return outputs, self._error(seed, outputs, targets, finite), squared_error(outputs, targets)

    @torch.no_grad()
    def outputs(self, parameters: Named, inputs: Tensor) -> Tensor:
        """[n] for inputs [n, …]."""
        alone = StackedNetwork(self.layers, {n: p.unsqueeze(0) for n, p in parameters.items()})
        return torch.cat([alone(x.unsqueeze(0)).flatten() for x in inputs.split(_CHUNK)])

    def _error(self, seed: int, outputs: Tensor, targets: Tensor, finite: bool) -> float:
        if not finite:
            return math.nan
        if self._squared:
            return squared_error(outputs, targets) / self.samples.variances[seed]
        return zero_one_error(outputs, targets)

    def _loss(self, outputs: Tensor, targets: Tensor) -> float:
        return float(scalar_loss(self.learning.loss, outputs, targets).double().mean())


def _finite(*tensors: Tensor) -> bool:
    return all(bool(t.isfinite().all()) for t in tensors)
