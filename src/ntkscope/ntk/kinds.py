"""What each kind of kernel is, in one place. f is the network's output, K their number, J = ∂f/∂θ.

Three conventions of "the" N×N kernel are in use: the mean over outputs (neural-tangents' default,
ours), their sum (K times as large), and the kernel of the summed outputs, the pseudo-NTK
(Mohamadi et al. 2023, "A fast, well-founded approximation to the empirical neural tangent kernel").
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

KINDS = {
    "trace": "Θ[n,m] = (1/K) Σ_k ⟨∂f_k(x_n)/∂θ, ∂f_k(x_m)/∂θ⟩: mean over the K outputs",
    "full": "Θ[n,k,m,l] = ⟨∂f_k(x_n)/∂θ, ∂f_l(x_m)/∂θ⟩",
    "pseudo": "Θ[n,m] = ⟨∂g(x_n)/∂θ, ∂g(x_m)/∂θ⟩ of g = Σ_k f_k / √K",
}
"""What every function for kernels gives."""

EMPIRICAL_KINDS = {
    **KINDS,
    "diagonal": "Θ[n,m,k] = ⟨∂f_k(x_n)/∂θ, ∂f_k(x_m)/∂θ⟩: every output with itself only",
}
"""Those that `empirical_ntk` has besides."""

OutputPairs = Literal["trace", "diagonal", "full"]
"""Of output vectors (k, l): Σ_k (k, k) as [n, m]; (k, k) as [R, n, m]; all as [R, n, R, m]."""


def normalisation(kind: str) -> str:
    """The definition of a kind of kernel, for a store's attributes."""
    return EMPIRICAL_KINDS[kind]


def pairs_of(kind: str) -> OutputPairs:
    """Which pairs of output vectors a kind of kernel is made of."""
    return {"full": "full", "diagonal": "diagonal"}.get(kind, "trace")  # type: ignore[return-value]


def output_vectors_of(kind: str, outputs: int, like: Tensor) -> Tensor:
    """The vectors [R, K] that are sent back: R = K unit vectors, or one for the pseudo-NTK."""
    if kind == "pseudo":
        return torch.full((1, outputs), outputs**-0.5, dtype=like.dtype, device=like.device)
    return torch.eye(outputs, dtype=like.dtype, device=like.device)


def mirror(kernel: Tensor, tile: int = 256) -> Tensor:
    """Copy the upper triangle of […, N, N] onto the lower, in place, tile by tile.

    The result is symmetric exactly, not to rounding.
    """
    for start in range(0, kernel.shape[-1], tile):
        here, below = slice(start, start + tile), slice(start + tile, None)
        kernel[..., below, here] = kernel[..., here, below].mT
        square = kernel[..., here, here]
        square.copy_(torch.where(_below(square.shape[-1], kernel.device), square.mT, square))
    return kernel


@lru_cache(maxsize=8)
def _below(size: int, device: torch.device) -> Tensor:
    """Which elements of a square matrix are below its diagonal."""
    return torch.ones(size, size, dtype=torch.bool, device=device).tril(-1)
