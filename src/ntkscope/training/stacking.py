"""How a run's seeds are trained: as one stacked network or one by one, whichever is faster."""

from __future__ import annotations

import math

import torch

from ntkscope.models import Architecture, Conv, parameter_shapes

# Measured on one core (5 seeds, SGD, ms a step one by one / stacked): MLP of 2 layers, batch 64,
# width 64: 2.6, 256: 1.2, 512: 0.7, 1024: 1.0; CNN 8×8×1, 8 channels: 1.9, 32 channels: 1.1;
# CNN 28×28×1, 16 channels: 0.8; CNN 32×32×3: 0.5; Myrtle-5 32×32×3, 64 channels: 0.5.
_MOST_PARAMETERS = 2**17
_MOST_ACTIVATIONS = 2**17


def stack_sizes(
    layers: Architecture, shape: tuple[int, ...], batch: int, seeds: int, device: torch.device
) -> list[int]:
    """Number of networks in each stack; they add up to `seeds`.

    Small networks gain from being stacked since their time is overhead; large ones lose since
    a stack no longer fits into cache. On a GPU dense networks are stacked always (not measured).

    Args:
        layers: the architecture.
        shape: image (y, x, channel).
        batch: images a step.
        seeds: number of networks.
        device: where they train.
    """
    parameters = sum(math.prod(s) for s in parameter_shapes(layers).values())
    channels = max((layer.outputs for layer in layers if isinstance(layer, Conv)), default=0)
    activations = batch * channels * shape[0] * shape[1]
    on_gpu = device.type != "cpu" and not channels
    small = parameters <= _MOST_PARAMETERS and activations <= _MOST_ACTIVATIONS
    return [seeds] if on_gpu or small else [1] * seeds
