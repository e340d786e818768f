"""Elementwise activations and their derivatives."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "erf": torch.erf,
}


def activation_derivative(kind: str, z: Tensor) -> Tensor:
    """φ'(z), elementwise, as autograd has it (0 for relu at 0)."""
    if kind == "relu":
        return (z > 0).to(z.dtype)
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(ACTIVATIONS[kind](z).sum(), z)
    return slope
