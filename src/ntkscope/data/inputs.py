"""Images as a network sees them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ntkscope.data.images import LoadedImages


def to_inputs(
    images: LoadedImages, pixels: np.ndarray, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Pixels uint8 [n, y, x, channel] to inputs [n, channel, y, x]: (pixel/white − mean) / std."""
    raw = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    return normalise(images, raw.movedim(-1, -3), dtype)


def normalise(images: LoadedImages, pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Pixels uint8 […, channel, y, x] to inputs of the training set's zero mean and unit std."""
    mean = torch.tensor(images.mean, dtype=dtype, device=pixels.device)[:, None, None]
    std = torch.tensor(images.std, dtype=dtype, device=pixels.device)[:, None, None]
    return (pixels.to(dtype) / images.white - mean) / std
