"""How a run's seeds are trained: as one stacked network or one by one, whichever is faster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from ntkscope.models import Conv, Definition, SingleNetwork, StackedNetwork, load_tensors

# Measured on one core (5 seeds, SGD, batch 64): time per step one by one / stacked. MLP of 2 layers
# of width 64: 2.8, 256: 1.4, 512: 1.05, 1024: 1.0. CNN on 8×8×1, 8 channels: 1.9, 32 channels: 1.1;
# CNN on 28×28×1, 16 channels: 0.8; on 32×32×3, 32 channels: 0.5; Myrtle-5 on 32×32×3: 0.5.
# Modules without a description of their layers: models/single.py.
_MOST_ACTIVATIONS = 2**17


class Stack(Protocol):
    """M networks that are trained together; each tensor has a leading axis of them."""

    models: int

    def parameter_dict(self) -> Mapping[str, Tensor]:
        """Name → [M, …] of the trained parameters, which an optimiser changes in place."""

    def differentiable(self) -> Mapping[str, Tensor]:
        """Name → [M, …] of the trained parameters, through which gradients flow."""

    def constant_dict(self) -> Mapping[str, Tensor]:
        """Name → [M, …] of all else that the outputs depend on."""

    def gradients(self) -> Mapping[str, Tensor]:
        """Name → [M, …] of the trained parameters, after a backward pass."""

    def zero_grad(self) -> None:
        """Forget the gradients."""

    def begin_step(self, step: int) -> None:
        """Be ready to train at a step."""

    def eval(self) -> object:
        """Be ready to be evaluated."""

    def __call__(self, x: Tensor) -> Tensor:
        """Inputs [M, B, …] to logits [M, B, K]."""


def make_stack(
    definition: Definition,
    tensors: Mapping[str, Tensor],
    seeds: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
) -> Stack:
    """The networks of some seeds with their parameters and constants, name → [M, …]."""
    if definition.layers is not None:
        return StackedNetwork(definition.layers, {n: t.to(device) for n, t in tensors.items()})
    network = definition.build().to(device, dtype)
    first = {name: tensor[0] for name, tensor in tensors.items()}
    load_tensors(network, first, definition.function)
    return SingleNetwork(network, seeds[0], definition.outputs, definition.function)


def stack_sizes(
    definition: Definition, shape: tuple[int, ...], batch: int, seeds: int
) -> list[int]:
    """Number of networks in each stack; they add up to `seeds`.

    Dense networks are always stacked: small ones gain since their time is overhead. Convolutions
    are stacked by groups, which gains only while their activations are small. (On a GPU the same
    rule is used; it was not measured there.) Modules of unknown layers go one by one.

    Args:
        definition: of the networks.
        shape: of a sample: image (y, x, channel), or vector (feature,).
        batch: images a step.
        seeds: number of networks.
    """
    if definition.layers is None:
        return [1] * seeds
    channels = [layer.outputs for layer in definition.layers if isinstance(layer, Conv)]
    activations = batch * max(channels, default=0) * math.prod(shape[:2])
    return [seeds] if activations <= _MOST_ACTIVATIONS else [1] * seeds
