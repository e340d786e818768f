"""Losses and errors of networks with one output."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def scalar_loss(kind: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """Loss of each sample.

    Args:
        kind: `mse`: (f − y)²; `logistic`: log(1 + exp(−f y)), for targets ±1.
        outputs, targets: of the same shape.

    Returns:
        The same shape.
    """
    if kind == "logistic":
        return F.softplus(-outputs * targets)
    return (outputs - targets).square()


def zero_one_error(outputs: Tensor, targets: Tensor) -> float:
    """Fraction of samples with sign f ≠ y; an output of 0 or NaN is an error."""
    return float((outputs.sign() != targets).double().mean())


def squared_error(outputs: Tensor, targets: Tensor) -> float:
    """Mean of (f − y)²; of samples [n]."""
    return float((outputs.double() - targets.double()).square().mean())
