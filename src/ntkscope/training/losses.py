"""Losses of many networks at once, one value a network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def per_network_loss(kind: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of each network over its batch.

    Args:
        kind: `cross_entropy`, or `mse`: ½ Σ_k (f_k − y_k)², y one-hot (Jacot et al. 2018).
        logits: [M, B, K].
        labels: int64 [M, B].

    Returns:
        [M].
    """
    models, batch, classes = logits.shape
    if kind == "cross_entropy":
        each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        return each.view(models, batch).mean(1)
    target = F.one_hot(labels, classes).to(logits.dtype)
    return (logits - target).square().sum(2).mul(0.5).mean(1)
