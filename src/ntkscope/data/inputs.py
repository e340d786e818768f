"""Samples as a network sees them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ntkscope.data.images import LoadedSamples


def to_inputs(
    images: LoadedSamples, pixels: np.ndarray, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Samples to inputs: pixels uint8 [n, y, x, channel] to [n, channel, y, x]; others as they lie.

    (pixel / white − mean) / std, or (value − mean) / std; tokens stay whole numbers.
    """
    raw = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    return normalise(images, raw.movedim(-1, -3) if raw.ndim == 4 else raw, dtype)


def normalise(images: LoadedSamples, pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Pixels […, channel, y, x] or vectors […, feature] to the training set's mean 0 and std 1.

    Tokens int64 […, position] as they are.
    """
    if images.mean is None or images.std is None:
        return pixels
    shape = (-1, 1, 1) if images.train.ndim == 4 else (-1,)
    mean = torch.tensor(images.mean, dtype=dtype, device=pixels.device).reshape(shape)
    std = torch.tensor(images.std, dtype=dtype, device=pixels.device).reshape(shape)
    return (pixels.to(dtype) / images.white - mean) / std
