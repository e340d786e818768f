"""An elementwise function by itself: its values, its slope, and where it has kinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Nonlinearity:
    """φ, applied elementwise.

    Attributes:
        name: for messages.
        value: φ(z), elementwise and differentiable by autograd.
        kinks: where φ is not analytic; between them it is.
    """

    name: str
    value: Function
    kinks: tuple[float, ...] = ()

    def slope(self, z: Tensor) -> Tensor:
        """φ'(z) as autograd has it."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            (found,) = torch.autograd.grad(self.value(z).sum(), z, allow_unused=True)
        return torch.zeros_like(z) if found is None else found
