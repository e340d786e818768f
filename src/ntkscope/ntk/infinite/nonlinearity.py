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
        return self.both(z)[1]

    def both(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """φ(z) and φ'(z)."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            value = self.value(z)
            (slope,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), slope
