"""How a run's seeds are trained: as one stacked network or one by one, whichever is faster."""

from __future__ import annotations

import math

from ntkscope.models import Architecture, Conv

# Measured on one core (5 seeds, SGD, batch 64): time a step one by one / stacked. MLP of 2 layers
# of width 64: 2.8, 256: 1.4, 512: 1.05, 1024: 1.0. CNN on 8×8×1, 8 channels: 1.9, 32 channels: 1.1;
# CNN on 28×28×1, 16 channels: 0.8; on 32×32×3, 32 channels: 0.5; Myrtle-5 on 32×32×3: 0.5.
_MOST_ACTIVATIONS = 2**17


def stack_sizes(layers: Architecture, shape: tuple[int, ...], batch: int, seeds: int) -> list[int]:
    """Number of networks in each stack; they add up to `seeds`.

    Dense networks are always stacked: small ones gain since their time is overhead. Convolutions
    are stacked by groups, which gains only while their activations are small. (On a GPU the same
    rule is used; it was not measured there.)

    Args:
        layers: the architecture.
        shape: of a sample: image (y, x, channel), or vector (feature,).
        batch: images a step.
        seeds: number of networks.
    """
    channels = max((layer.outputs for layer in layers if isinstance(layer, Conv)), default=0)
    activations = batch * channels * math.prod(shape[:2])
    return [seeds] if activations <= _MOST_ACTIVATIONS else [1] * seeds
